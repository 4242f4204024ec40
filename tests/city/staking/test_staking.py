"""Bonding, rewards, taking back, slashing and jail: every message, every error, and the numbers of the rule."""

import pytest
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.fees import TREASURY
from cccnode.city.evidence import EvidenceReport
from cccnode.city.registry.messages import RegistryPause
from cccnode.city.staking import (
    StkClaim,
    StkClaimCommission,
    StkDelegate,
    StkSetCommission,
    StkUndelegate,
    StkUnjail,
)
from cccnode.city.staking.rules import BONDED_ACCOUNT, UNBONDING_ACCOUNT, check_leaving
from cccnode.city.staking.state import UNBONDING_MAX, WAD, bonded, delegator, read_validator
from cccnode.ledger.module import Context
from cccnode.types.errors import GENESIS_INVALID, Fault
from genesis.document import document_bytes, read_genesis
from tests.city.staking.bonds import CCC, DAY_MS, Bonds
from tests.support.city import demo

FEE = 1_000


def _earned(part: int, amount: int, total: int) -> int:
    """What a delegator gets of a validator's part, without commission: the rule of modules.md 3.4."""
    return part * WAD // total * amount // WAD


def test_bonding_earns_in_proportion() -> None:
    """Each validator gets the same part; who bonded three times as much with it gets three times as much."""
    town = Bonds()
    org = town.members[1]
    assert "ok" == town.send("demo0", StkDelegate(town.address(), 300 * CCC))
    assert "ok" == town.send(org, StkDelegate(town.address(), 1 * CCC))
    assert "ok" == town.send(org, StkDelegate(town.address(), 2 * CCC))
    town.pay(4 * 1_010)

    assert {town.address(): (300 * CCC, _earned(1_010, 300, 303))} == town.delegations()
    assert {town.address(): (3 * CCC, _earned(1_010, 3, 303))} == town.delegations(org)
    rest = [row for name, row in town.validators().items() if name != town.members[0]]
    assert [1_010] * 3 == [row.commission_due for row in rest]
    assert 303 * CCC == town.held(BONDED_ACCOUNT) == town.validators()[town.members[0]].tokens
    town.sound()


def test_claims_pay_once() -> None:
    """What was earned is paid out whole, then there is nothing until the next fees; commission belongs to the house."""
    town = Bonds(commission_step_bps=2_000)
    house = town.members[0]
    town.send("demo0", StkDelegate(town.address(), 100 * CCC))
    assert "ok" == town.send(house, StkSetCommission(2_000))
    town.pay(4_000)
    before, purse = town.owned(), town.owned(house)

    assert "ok" == town.send("demo0", StkClaim(town.address()))
    assert ("staking", "claimed", town.accounts["demo0"], town.address(), 800) in town.events
    assert "ok" == town.send("demo0", StkClaim(town.address()))
    assert before + 800 - 2 * FEE == town.owned()
    assert "ok" == town.send(house, StkClaimCommission())
    assert purse + 200 - FEE == town.owned(house)
    assert "ok" == town.send(house, StkClaimCommission())
    town.sound()


def test_fractions_are_never_lost() -> None:
    """Divisions leave something in every block, and every claim does; all of it is accounted for."""
    town = Bonds()
    town.send("demo0", StkDelegate(town.address(), 7))
    town.send(town.members[1], StkDelegate(town.address(), 11))
    for fees in (4, 8, 4 * 17, 400, 4):
        town.pay(fees)
        town.sound()
        town.send("demo0", StkClaim(town.address()))
        town.sound()
    validator = read_validator(town.overlay, town.address())

    assert validator is not None
    assert any(validator.dust)


def test_taken_back_tokens_wait() -> None:
    """They stop earning at once, are free by themselves when their time has come, and not a millisecond earlier."""
    town = Bonds()
    town.send("demo0", StkDelegate(town.address(), 100 * CCC))
    town.pay(400)
    assert "ok" == town.send("demo0", StkUndelegate(town.address(), 40 * CCC))
    done_ms = town.header.time_ms + 3 * DAY_MS
    town.pay(400)
    assert {town.address(): (60 * CCC, 100 + _earned(100, 60 * CCC, 60 * CCC))} == town.delegations()
    assert [40 * CCC] == town.waiting()
    before = town.owned()

    town.block(time_ms=done_ms - 1)
    assert (before, 40 * CCC) == (town.owned(), town.held(UNBONDING_ACCOUNT))
    town.block(time_ms=done_ms)
    assert (before + 40 * CCC, 0) == (town.owned(), town.held(UNBONDING_ACCOUNT))
    assert [] == town.waiting()
    town.sound()


def test_nothing_left_is_forgotten() -> None:
    """Tokens gone, rewards claimed, nothing waiting: the delegation leaves no trace, whatever place it had."""
    town = Bonds()
    for name in ("demo0", town.members[1], town.members[2]):
        town.send(name, StkDelegate(town.address(), 10))
    town.pay(4 * 30)
    town.send("demo0", StkUndelegate(town.address(), 10))
    town.send("demo0", StkClaim(town.address()))
    assert 3 == town.validators()[town.members[0]].delegators
    town.block(time_ms=town.header.time_ms + 3 * DAY_MS)

    assert {} == town.delegations()
    assert 2 == town.validators()[town.members[0]].delegators
    assert town.accounts[town.members[2]] == delegator(town.overlay, town.address(), 0)
    assert "staking/NO_DELEGATION" == town.send("demo0", StkClaim(town.address()))
    assert 0 == bonded(town.overlay, town.accounts["demo0"])
    town.sound()


def test_refusals() -> None:
    """Every row of the error table, and what it leaves as it was."""
    town = Bonds(max_delegators=1, min_delegate=5)
    peer, house, other = (
        town.accounts["org5"] if "org5" in town.accounts else bytes(20),
        town.address(),
        town.address(1),
    )
    send = town.send

    assert "staking/UNKNOWN_VALIDATOR" == send("demo0", StkDelegate(peer, 5))
    assert "staking/UNKNOWN_VALIDATOR" == send("demo0", StkDelegate(town.accounts["demo0"], 5))
    assert "staking/TOO_SMALL" == send("demo0", StkDelegate(house, 4))
    assert "bank/INSUFFICIENT" == send("demo0", StkDelegate(house, 10**12))
    assert "staking/NO_DELEGATION" == send("demo0", StkUndelegate(house, 1))
    assert "ok" == send("demo0", StkDelegate(house, 100))
    assert "staking/FULL" == send(town.members[1], StkDelegate(house, 5))
    assert "ok" == send("demo0", StkDelegate(house, 5))
    assert "staking/ZERO" == send("demo0", StkUndelegate(house, 0))
    assert "staking/TOO_MUCH" == send("demo0", StkUndelegate(house, 106))
    assert "staking/NO_DELEGATION" == send("demo0", StkUndelegate(other, 1))
    for _ in range(UNBONDING_MAX):
        assert "ok" == send("demo0", StkUndelegate(house, 1))
    assert "staking/UNBONDING_FULL" == send("demo0", StkUndelegate(house, 1))
    assert "staking/UNKNOWN_VALIDATOR" == send("demo0", StkClaimCommission())
    assert "staking/UNKNOWN_VALIDATOR" == send("demo0", StkSetCommission(1))
    assert "staking/NOT_JAILED" == send(town.members[0], StkUnjail())
    town.sound()


def test_commission_moves_a_step_a_day() -> None:
    """Too far, too soon and above the bound are refused."""
    town = Bonds(commission_max_bps=150)
    house = town.members[0]

    assert "staking/COMMISSION" == town.send(house, StkSetCommission(101))
    assert "ok" == town.send(house, StkSetCommission(100))
    assert "staking/COMMISSION" == town.send(house, StkSetCommission(120))
    town.block(time_ms=town.header.time_ms + DAY_MS)
    assert "staking/COMMISSION" == town.send(house, StkSetCommission(151))
    assert "ok" == town.send(house, StkSetCommission(150))


def _punished(town: Bonds) -> str:
    return town.send("demo0", EvidenceReport(0, *town.fault()))


def test_a_double_vote_is_slashed_and_jailed() -> None:
    """5 % of all that was bonded when it happened goes to the treasury; no rewards until it is unjailed."""
    town = Bonds()
    house, other = town.members[:2]
    town.send("demo0", StkDelegate(town.address(), 199))
    town.send(other, StkDelegate(town.address(), 1_000))
    town.send("demo0", StkUndelegate(town.address(), 100))
    town.pay(4 * 999)
    purse = town.held(TREASURY)
    assert "ok" == _punished(town)

    mine = _earned(999, 99, 1_099)
    assert {town.address(): (99 - 4, mine)} == town.delegations()
    assert {town.address(): (950, _earned(999, 1_000, 1_099))} == town.delegations(other)
    assert [95] == town.waiting()
    assert (95 + 950, 95) == (
        bonded(town.overlay, town.accounts["demo0"]) + bonded(town.overlay, town.accounts[other]),
        95,
    )
    assert purse + 4 + 50 + 5 + FEE == town.held(TREASURY)
    town.sound()

    town.pay(3 * 100)
    assert {town.address(): (95, mine)} == town.delegations()
    assert "staking/JAILED" == town.send(house, StkUnjail())
    town.block(time_ms=town.header.time_ms + 3_600_000)
    assert "ok" == town.send(house, StkUnjail())
    town.pay(4 * 1_045)
    assert {town.address(): (95, mine + _earned(1_045, 95, 1_045))} == town.delegations()
    town.sound()


def test_an_infraction_is_punished_once() -> None:
    """Another fault of the same epoch, or the same again, takes nothing more; nor does one that is too old."""
    town = Bonds()
    town.send("demo0", StkDelegate(town.address(), 1_000))
    assert "ok" == _punished(town)
    assert "ok" == town.send("demo0", EvidenceReport(0, *town.fault(view=11)))
    assert {town.address(): (950, 0)} == town.delegations()

    town.send("demo0", StkDelegate(town.address(1), 1_000))
    town.turn()
    town.block(time_ms=town.header.time_ms + 3 * DAY_MS + 1)
    assert "ok" == town.send("demo0", EvidenceReport(0, *town.fault(1)))
    assert 1_000 == town.delegations()[town.address(1)][0]
    town.sound()


def test_absence_is_jailed_without_a_slash() -> None:
    """Who led none of the last miss_blocks blocks earns nothing until it says that it is back."""
    town = Bonds(miss_blocks=128)
    away = town.members[0]
    town.send("demo0", StkDelegate(town.address(), 1_000))
    town.silent = {away}
    town.spin(260)

    assert town.validators()[away].jailed_until_ms
    assert {town.address(): (1_000, 0)} == town.delegations()
    town.pay(300)
    assert {town.address(): (1_000, 0)} == town.delegations()
    town.silent = set()
    town.block(time_ms=town.header.time_ms + 3_600_000)
    assert "ok" == town.send(away, StkUnjail())
    town.spin(130)
    assert not town.validators()[away].jailed_until_ms


def test_a_house_that_left_keeps_nobodys_tokens() -> None:
    """When it validates no more, nothing new is bonded and nothing earned; delegators take their tokens back."""
    town = Bonds()
    house = town.members[0]
    town.send("demo0", StkDelegate(town.address(), 1_000))
    address = town.address()
    assert "ok" == town.send(house, RegistryPause())
    town.turn()
    assert house not in town.members

    assert "staking/UNKNOWN_VALIDATOR" == town.send("demo0", StkDelegate(address, 5))
    town.pay(300)
    assert {address: (1_000, 0)} == town.delegations()
    assert "ok" == town.send("demo0", StkUndelegate(address, 1_000))
    assert not town.validators()[house].validating


def test_nobody_leaves_tokens_behind() -> None:
    """The hook that members call before somebody leaves refuses as long as anything is bonded or waits."""
    town = Bonds()
    account = town.accounts["demo0"]
    context = Context(town.overlay, 1, 1, CITY.module_accounts, city=CITY)
    check_leaving(context, account)
    town.send("demo0", StkDelegate(town.address(), 1_000))
    with pytest.raises(Fault, match="staking/BONDED"):
        check_leaving(Context(town.overlay, 1, 1, CITY.module_accounts, city=CITY), account)


def test_bonds_of_the_genesis() -> None:
    """A validator bonds from its own balance; what cannot be is listed."""
    document = demo().genesis.document
    names = [entry.name for entry in document.organisations]

    def first(*rows: dict[str, object]) -> None:
        city = {"staking": {"validators": list(rows)}}
        CITY.genesis_writes(read_genesis(document_bytes(replace(document, city=city))))

    first({"organisation": names[0], "bonded": "1000", "commission_bps": 2_000})
    wrong = (
        {"organisation": "nobody", "bonded": "1"},
        {"organisation": names[0], "bonded": "5"},
        {"organisation": names[0], "bonded": "5"},
        {"organisation": names[1], "bonded": "1" + "0" * 15},
    )
    with pytest.raises(Fault) as refused:
        first(*wrong)
    errors = refused.value.values["errors"]

    assert refused.value.spec is GENESIS_INVALID
    assert isinstance(errors, list)
    assert ["does not validate", "stands twice", "owns"] == [
        next(word for word in ("does not validate", "stands twice", "owns") if word in error) for error in errors
    ]
