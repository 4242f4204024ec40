"""The arithmetic before a change of validators: nobody joins or goes so that the quorum could be lost."""

import pytest

from cccnode.city.registry import errors
from cccnode.city.registry.messages import RegistryApprove, RegistryPause, RemoveValidator
from cccnode.city.registry.preflight import TURNS, Preflight
from cccnode.city.registry.queries import PreflightParams
from tests.city.registry.town import Town

REFUSED = errors.QUORUM_AT_RISK.name


def _ask(town: Town, name: str, *, joins: bool, flagged: bool = False) -> Preflight:
    answer = town.ask("preflight", PreflightParams(name, joins, flagged))
    assert isinstance(answer, Preflight)
    return answer


def test_numbers() -> None:
    """The answer names the set that would be, its quorum, who is live in it and who is silent."""
    town = Town(4, peers=1)
    town.spin(8)

    assert Preflight(True, 5, 4, 4, ("org-04",)) == _ask(town, "org-04", joins=True)
    assert Preflight(True, 3, 3, 3, ()) == _ask(town, "org-01", joins=False)
    town.hush("org-02")
    assert Preflight(False, 5, 4, 3, ("org-02", "org-04")) == _ask(town, "org-04", joins=True)
    assert Preflight(False, 3, 3, 2, ("org-02",)) == _ask(town, "org-01", joins=False)
    assert Preflight(True, 3, 3, 3, ()) == _ask(town, "org-02", joins=False)


@pytest.mark.parametrize(
    ("validators", "dead", "safe"),
    [(4, 0, True), (4, 1, False), (5, 0, True), (6, 0, True), (6, 1, True), (7, 1, True), (7, 2, False)],
)
def test_a_newcomer_may_be_dead(validators: int, dead: int, safe: bool) -> None:
    """A newcomer is refused where the quorum of the new set would need him."""
    town = Town(validators, peers=1)
    town.hush(*town.members[:dead])
    name = town.demo.partners[-1].name
    assert safe is _ask(town, name, joins=True).safe
    town.decide(town.candidacy(name))

    assert safe is ("executed" == town.events[-1][1])


@pytest.mark.parametrize("validators", [1, 2])
def test_small_networks_need_a_flag(validators: int) -> None:
    """The second and third validator join by a flagged proposal only: no arithmetic can make them harmless."""
    town = Town(validators, peers=1)
    town.spin(4)
    name = town.demo.partners[-1].name
    town.decide(town.candidacy(name))
    assert ("refused", REFUSED) == town.events[-1][1::2][:2]
    assert not _ask(town, name, joins=True).safe
    assert _ask(town, name, joins=True, flagged=True).safe

    assert "executed" in town.decide(town.candidacy(name), flagged=True)
    town.turn()
    assert validators + 1 == len(town.members)


def test_the_fourth_needs_no_flag() -> None:
    """With four a network stands one failure, even that of the fourth."""
    town = Town(3, peers=1)
    town.spin(4)

    assert "executed" in town.decide(town.candidacy("org-03"))


def test_a_flag_does_not_excuse_the_silent() -> None:
    """A flag trusts the newcomer, not a member that is silent already; from four on it trusts nobody."""
    small = Town(2, peers=1)
    small.hush("org-01")
    small.decide(small.candidacy("org-02"), flagged=True)
    assert REFUSED == small.events[-1][3]

    town = Town(4, peers=1)
    town.hush("org-03")
    town.decide(town.candidacy("org-04"), flagged=True)
    assert REFUSED == town.events[-1][3]
    assert "validators=5, quorum=4, live=3, silent=org-03 org-04" == town.events[-1][4]


def test_the_dead_are_removed_first() -> None:
    """With a silent validator nobody joins; once it is removed, somebody may."""
    town = Town(7, peers=2)
    town.hush("org-05", "org-06")
    town.decide(town.candidacy("org-07"))
    assert REFUSED == town.events[-1][3]

    assert "executed" in town.decide(RemoveValidator("org-05"), by=town.members[:5])
    town.settle()
    town.silent = {"org-06"}
    assert "executed" in town.decide(town.candidacy("org-08"), by=town.members[:5])


def test_two_pending_newcomers() -> None:
    """Newcomers that wait for their epoch count as dead for the next one."""
    town = Town(4, peers=2)
    town.spin(8)
    assert "executed" in town.decide(town.candidacy("org-04"))
    town.decide(town.candidacy("org-05"))

    assert ("refused", REFUSED) == town.events[-1][1::2][:2]
    town.settle()
    town.spin(10)
    for name in town.members:
        town.block((name, RegistryApprove(2, True)))
    assert "executed" in [row.ending.name.lower() for row in town.ask("decisions") if row.number == 2]


def test_silence_is_counted_in_rounds() -> None:
    """A validator is silent when it led none of the last 16 blocks for each member; a turn makes it live again."""
    town = Town(4)
    town.spin(1)
    town.block(leader="org-03")
    led = town.height
    town.silent = {"org-03"}
    town.spin(TURNS * 4)
    (row,) = [row for row in town.ask("validators") if row.organisation == "org-03"]
    assert (led, True) == (row.led_height, row.live)

    town.block()
    (row,) = [row for row in town.ask("validators") if row.organisation == "org-03"]
    assert (led, False) == (row.led_height, row.live)
    town.block(leader="org-03")
    assert all(row.live for row in town.ask("validators"))


def test_newcomers_have_time() -> None:
    """A new key counts as live until it had its turns; a dead member does not become live by a new epoch."""
    town = Town(7, peers=1)
    town.hush("org-00")
    assert "executed" in town.decide(town.candidacy("org-07"), by=town.members[1:])
    town.turn()
    town.silent = {"org-00", "org-07"}
    rows = {row.organisation: row for row in town.ask("validators")}
    assert (False, True) == (rows["org-00"].live, rows["org-07"].live)
    assert (town.height, 0) == (rows["org-07"].since_height, rows["org-07"].led_height)

    town.spin(TURNS * 8 + 1)
    rows = {row.organisation: row for row in town.ask("validators")}
    assert (False, 0) == (rows["org-07"].live, rows["org-07"].led_height)
    assert "executed" in town.decide(RemoveValidator("org-07"), by=town.members[1:7])


def test_before_the_first_block() -> None:
    """Before any block was executed, the validators of the genesis count as live."""
    town = Town(4, peers=1)

    assert Preflight(True, 3, 3, 3, ()) == _ask(town, "org-00", joins=False)
    assert [True] * 4 == [row.live for row in town.ask("validators")]
    assert "ok" == town.send("org-00", RegistryPause())


def test_the_whole_way_is_looked_at() -> None:
    """A set that could not make a quorum on the way is refused, even if the last one could."""
    town = Town(9, peers=0)
    for name in ("org-00", "org-01"):
        assert "ok" == town.send(name, RegistryPause())
    town.settle()
    town.hush("org-08")
    voters = town.members[:6]
    assert "executed" in town.decide(RemoveValidator("org-08"), by=voters)
    assert "executed" in town.decide(town.candidacy("org-00"), by=voters)
    # In the end eight with a quorum of six.  But first both newcomers would come: nine, of whom seven must vote.
    town.decide(town.candidacy("org-01"), by=voters)

    assert "validators=9, quorum=7, live=6, silent=org-00 org-01 org-08" == town.events[-1][4]
