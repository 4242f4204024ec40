"""From what organisations want to what the next epoch has: order, speed, flags, never empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.city.registry.messages import RegistryAddNode, RegistryPause, RegistryPropose, RemoveValidator, SetTimers
from cccnode.city.registry.record import Plan, advance, epoch_record, forecast, next_record, reads_record
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.validators import Timers, Validator, faults
from tests.city.registry.town import Town


def _validator(name: str, key: str = "", nodes: int = 1) -> Validator:
    text = key or name
    return Validator(name, text.encode().ljust(32, b"."), tuple(bytes([n]) * 32 for n in range(nodes)))


def _plan(order: str, wanted: str, *, keys: dict[str, str] | None = None, flags: dict[str, int] | None = None) -> Plan:
    """A plan of one-letter organisations."""
    validators = {name: _validator(name, (keys or {}).get(name, "")) for name in wanted}
    return Plan(
        order=tuple(order),
        wanted=validators,
        nodes={name: row.node_keys for name, row in validators.items()},
        flags=flags or {},
    )


def _names(validators: tuple[Validator, ...]) -> str:
    return "".join(row.organisation for row in validators)


@pytest.mark.parametrize(
    ("now", "wanted", "way"),
    [
        ("abcd", "abcd", ["abcd"]),
        ("abcd", "abcde", ["abcde", "abcde"]),
        ("abcd", "cdef", ["bcd", "cd", "cde", "cdef", "cdef"]),
        ("abcdefg", "cdefghi", ["cdefg", "cdefgh", "cdefghi", "cdefghi"]),
        ("efgh", "abcd", ["aefgh", "abefgh", "abcefgh", "abcdfgh", "abcdh", "abcd", "abcd"]),
        ("a", "b", ["ab", "b", "b"]),
        ("b", "a", ["ab", "a", "a"]),
        ("a", "", ["a"]),
        ("ab", "", ["b", "b"]),
    ],
)
def test_steps(now: str, wanted: str, way: list[str]) -> None:
    """At most f members change at once, one where f is zero, in the order of the organisations; never to nobody."""
    members = tuple(_validator(name) for name in now)

    assert way == [_names(after) for after in forecast(members, _plan("abcdefghi", wanted), 0)]


def test_keys_count_and_nodes_do_not() -> None:
    """A new consensus key is a change; other nodes are none and come at once, also for a member that waits."""
    members = tuple(_validator(name, nodes=3) for name in "abcd")
    plan = _plan("abcd", "abcd", keys={"a": "A", "c": "C"})
    first = advance(members, plan, 1)

    assert [_validator("a", "A"), _validator("b"), _validator("c"), _validator("d")] == list(first)
    assert _validator("c", "C") == advance(first, plan, 2)[2]


def test_a_member_without_a_plan_keeps_its_nodes() -> None:
    """Who waits to leave and has no registered node any more keeps those of its record."""
    members = tuple(_validator(name, nodes=2) for name in "abcd")
    after = advance(members, _plan("abcd", "ab"), 1)

    assert (_validator("a"), _validator("b"), _validator("d", nodes=2)) == after


def test_flags() -> None:
    """A flagged change does not wait, up to the record of its epoch; the others still take turns."""
    members = tuple(_validator(name) for name in "abcd")
    plan = _plan("abcdefgh", "abcdefgh", flags={"g": 3, "h": 2})

    assert "abcdegh" == _names(advance(members, plan, 2))
    assert "abcdeg" == _names(advance(members, plan, 3))
    assert "abcde" == _names(advance(members, plan, 4))


def test_never_more_than_fit() -> None:
    """Newcomers wait until there is room among 128."""
    order = [f"{number:03}" for number in range(140)]
    members = tuple(_validator(name) for name in order[8:136])
    plan = Plan(order=tuple(order), wanted={n: _validator(n) for n in order[:128]}, nodes={}, flags={})
    way = list(forecast(members, plan, 0))

    assert all(len(after) <= VALIDATORS_MAX for after in way)
    assert order[:128] == [row.organisation for row in way[-1]]


@st.composite
def _plans(draw: st.DrawFn) -> tuple[tuple[Validator, ...], Plan]:
    order = "abcdefghij"
    now = draw(st.sets(st.sampled_from(order), min_size=1))
    wanted = draw(st.sets(st.sampled_from(order), min_size=1))
    keys = {name: name.upper() for name in draw(st.sets(st.sampled_from(order)))}
    flags = {name: draw(st.integers(0, 3)) for name in draw(st.sets(st.sampled_from(order), max_size=3))}
    return tuple(_validator(name) for name in sorted(now)), _plan(
        order, "".join(sorted(wanted)), keys=keys, flags=flags
    )


@given(_plans())
def test_every_plan_comes_true(case: tuple[tuple[Validator, ...], Plan]) -> None:
    """Whatever is wanted comes true, in order and never faster than allowed; nothing is left to do then."""
    members, plan = case
    for epoch, after in enumerate(forecast(members, plan, 0), start=1):
        before = {row.organisation: row.consensus_key for row in members}
        now = {row.organisation: row.consensus_key for row in after}
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        unflagged = [name for name in changed if plan.flags.get(name, 0) < epoch]
        assert len(unflagged) <= max(1, faults(len(members)))
        assert after
        assert [name for name in plan.order if name in now] == list(now)
        members = after

    assert plan.validators == members


# -- out of state ----------------------------------------------------------------------------------------------------


def test_next_record() -> None:
    """Without a change the next record is the current one with another number."""
    town = Town(4)
    town.spin(3)

    assert replace(town.record, epoch=1) == next_record(town.state, town.record)
    assert epoch_record(town.state, 1) == next_record(town.state, town.record)


def test_what_waits_is_due_when_the_next_epoch_begins() -> None:
    """Two of four that pause leave one after the other: the second is due at once in the new epoch."""
    town = Town(6)
    town.spin(6)
    for name in ("org-02", "org-04"):
        assert "ok" == town.send(name, RegistryPause())
    first = town.turn()

    assert ["org-00", "org-01", "org-03", "org-04", "org-05"] == [row.organisation for row in first.validators]
    second = next_record(town.state, first)
    assert ["org-00", "org-01", "org-03", "org-05"] == [row.organisation for row in second.validators]


def test_flagged_changes_of_the_state() -> None:
    """Flagged removals leave together, in the next record or, when that was made before, in the one after."""
    town = Town(9, peers=0)
    town.spin(9)
    for name in ("org-05", "org-06", "org-07", "org-08"):
        assert "executed" in town.decide(RemoveValidator(name), flagged=True, by=[*town.members[:5], "org-08"])
    late = replace(town.record, epoch=1)

    assert 5 == len(next_record(town.state, town.record).validators)
    assert 5 == len(next_record(town.state, late).validators)


def test_reads_record() -> None:
    """Writes that may change the next record, or the list of nodes, are told from all others by one look-up."""
    town = Town(4)
    town.spin(2)
    _, offer = town.node()

    assert not reads_record(town.execute().writes)
    assert reads_record(town.execute(("org-04", RegistryAddNode(offer.certificate, ()))).writes)
    assert reads_record(town.execute(("org-00", town.rotation("org-00"))).writes)
    assert reads_record(town.execute(("org-01", RegistryPause())).writes)
    town = Town(1, peers=0)
    town.spin(1)
    assert reads_record(town.execute(("org-00", RegistryPropose(SetTimers(Timers(100)), False))).writes)


def test_after_a_restart() -> None:
    """After a restart certificate those who were lost are wanted no more, before and after the first block."""
    town = Town(7, peers=0)
    town.spin(7)
    survivors = tuple(row for row in town.record.validators if row.organisation in ("org-01", "org-03"))
    town.record = replace(town.record, epoch=2, validators=survivors)
    assert replace(town.record, epoch=3) == next_record(town.state, town.record)

    town.block()
    lost = [("registry", "validator_lost", f"org-{n:02}") for n in (0, 2, 4, 5, 6)]
    assert [*lost, ("registry", "restarted", 0, 2)] == town.events
    assert replace(town.record, epoch=3) == next_record(town.state, town.record)
    town.turn()
    assert ["org-01", "org-03"] == town.members
    assert "executed" in town.decide(town.candidacy("org-00"), flagged=True)
    town.settle()
    assert ["org-00", "org-01", "org-03"] == town.members
