"""Issuers, auditors, regulators and the city's vote over money (modules.md 3.2)."""

import pytest

from cccnode.city import CITY
from cccnode.city.bank import (
    AssetCreate,
    AssetSetCap,
    AssetSetIssuer,
    BankAttestFloat,
    BankBurn,
    BankFreeze,
    BankMint,
    BankRedeem,
    BankTransfer,
    BankUnfreeze,
    TreasurySpend,
)
from cccnode.city.bank.assets import create
from cccnode.city.bank.state import (
    ASSETS_MAX,
    FEES,
    TREASURY,
    Asset,
    Policy,
    asset_ids,
    balances,
    credit,
    set_supply,
    supply,
    write_asset,
)
from cccnode.codec import Noun
from cccnode.ledger.module import GOVERNANCE, Context
from cccnode.ledger.state import Overlay, writes_of
from cccnode.types.errors import DECIDED_BY_VOTE, Fault
from cccnode.types.limits import AMOUNT_MAX
from tests.city.people import THB_CAP, People, account, founded, organisation
from tests.support.city import receipts

HASH = bytes(32)
ISSUER = 6
AUDITOR, REGULATOR = 0, 1
HOLDERS = {account(AUDITOR): ["auditor"], account(REGULATOR): ["regulator"], organisation(2): ["auditor"]}


def _people(backing: int = 1_000) -> People:
    people = People(document=founded(holders=HOLDERS))
    if backing:
        assert "ok" == people.send(BankAttestFloat("thb", backing, HASH), AUDITOR)
    return people


def _mint(people: People, to: bytes, amount: int, by: int = ISSUER, asset: str = "thb") -> str:
    return people.send(BankMint(asset, to, amount), by)


def test_mint() -> None:
    """The issuer mints to members and to the treasury; the supply follows, and an event says so."""
    people = _people()
    assert ["ok", "ok"] == [_mint(people, account(2), 600), _mint(people, TREASURY, 400)]

    assert (600, 400, 1_000) == (
        people.balance(2, "thb"),
        people.balance(TREASURY, "thb"),
        people.ask("bank_supply", "thb"),
    )
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("to", "amount", "by", "asset", "error"),
    [
        (account(2), 5, 0, "thb", "bank/NOT_ISSUER"),
        (account(2), 5, ISSUER, "uccc", "bank/NOT_ISSUER"),
        (account(2), 5, ISSUER, "gold", "bank/UNKNOWN_ASSET"),
        (account(2), 0, ISSUER, "thb", "bank/ZERO"),
        (FEES, 5, ISSUER, "thb", "bank/BLOCKED"),
        (bytes(20), 5, ISSUER, "thb", "bank/UNKNOWN_ACCOUNT"),
        (account(2), THB_CAP + 1, ISSUER, "thb", "bank/CAP"),
        (account(2), 1_001, ISSUER, "thb", "bank/FLOAT_EXCEEDED"),
    ],
)
def test_invalid_mint(to: bytes, amount: int, by: int, asset: str, error: str) -> None:
    """Nobody else mints, not to nobody, and not beyond the cap or what an auditor saw."""
    people = _people()

    assert error == _mint(people, to, amount, by, asset)
    assert 0 == people.supply("thb")


def test_float_ages() -> None:
    """What an auditor saw a day ago is not enough any more, and nothing at all never was."""
    people = _people(backing=0)
    assert "bank/FLOAT_EXCEEDED" == _mint(people, account(2), 1)
    people.send(BankAttestFloat("thb", 9, HASH), AUDITOR)
    people.pass_time(86_400_000 - 1_000)
    assert "ok" == _mint(people, account(2), 1)
    assert "bank/FLOAT_STALE" == _mint(people, account(2), 1)
    assert (9, account(AUDITOR)) == (people.ask("bank_float", "thb").amount, people.ask("bank_float", "thb").attestor)


def test_shortfall_is_recorded() -> None:
    """An auditor may see less than there is: nothing more is minted, and what there is stays."""
    people = _people()
    _mint(people, account(2), 1_000)
    assert "ok" == people.send(BankAttestFloat("thb", 10, HASH), AUDITOR)

    assert "bank/FLOAT_EXCEEDED" == _mint(people, account(2), 1)
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("by", "asset", "error"),
    [
        (3, "thb", "bank/NOT_AUDITOR"),
        (AUDITOR, "uccc", "bank/NOT_BACKED"),
        (AUDITOR, "gold", "bank/UNKNOWN_ASSET"),
        (ISSUER, "thb", "bank/INDEPENDENT"),
    ],
)
def test_invalid_attestation(by: int, asset: str, error: str) -> None:
    """Only an auditor who is not one of the issuer's own people attests, and only what is backed."""
    assert error == _people().send(BankAttestFloat(asset, 1, HASH), by)


def test_redeem_and_burn() -> None:
    """What is given back or destroyed is gone; the event tells the issuer whom to pay."""
    people = _people()
    _mint(people, account(2), 100)
    outcome = people.run(people.sign(BankRedeem("thb", 30, HASH), by=2))
    assert "ok" == people.send(BankBurn("thb", 20), 2)

    assert ("bank", "redeem", "thb", account(2), organisation(2), 30, HASH) in receipts(outcome)[0].events
    assert (50, 50) == (people.balance(2, "thb"), people.supply("thb"))
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (BankRedeem("uccc", 1, HASH), "bank/NOT_ISSUED"),
        (BankRedeem("thb", 0, HASH), "bank/ZERO"),
        (BankRedeem("thb", 1, HASH), "bank/INSUFFICIENT"),
        (BankRedeem("gold", 1, HASH), "bank/UNKNOWN_ASSET"),
        (BankBurn("thb", 1), "bank/INSUFFICIENT"),
        (BankBurn("gold", 1), "bank/UNKNOWN_ASSET"),
    ],
)
def test_invalid_redemption(message: Noun, error: str) -> None:
    """Nobody gives back what has no issuer, nothing, or more than he owns."""
    assert error == _people().send(message, 3)


def test_overflow_at_the_largest_amount() -> None:
    """Where the cap is the largest amount there is, the sums stay within it."""
    people = _people()
    assert "ok" == people.decide(AssetSetCap("thb", AMOUNT_MAX))
    people.send(BankAttestFloat("thb", AMOUNT_MAX, HASH), AUDITOR)
    assert "ok" == _mint(people, account(2), AMOUNT_MAX)
    assert "bank/CAP" == _mint(people, account(3), 1)

    overlay = Overlay(people.state)
    set_supply(overlay, "thb", 0)
    overlay.commit()
    people.state.apply(writes_of(overlay))
    assert "bank/OVERFLOW" == _mint(people, account(2), 1)
    assert 0 == supply(Overlay(people.state), "thb")


def test_freeze() -> None:
    """What a regulator freezes neither leaves nor comes, until a regulator lets it go."""
    people = _people()
    _mint(people, account(2), 100)
    assert "ok" == people.send(BankFreeze("thb", account(2), HASH), REGULATOR)
    assert account(REGULATOR) == people.ask("bank_frozen", account(2), "thb").by
    moves = [BankTransfer(account(3), "thb", 1), BankRedeem("thb", 1, HASH), BankBurn("thb", 1)]
    assert ["bank/FROZEN"] * 3 == [people.send(message, 2) for message in moves]
    assert "bank/FROZEN" == _mint(people, account(2), 1)
    assert "ok" == _mint(people, account(3), 5)
    assert "bank/FROZEN" == people.send(BankTransfer(account(2), "thb", 1), 3)

    assert "ok" == people.send(BankUnfreeze("thb", account(2), HASH), REGULATOR)
    assert ["ok"] * 3 == [people.send(message, 2) for message in moves]


@pytest.mark.parametrize(
    ("message", "by", "error"),
    [
        (BankFreeze("thb", account(2), HASH), 0, "bank/NOT_REGULATOR"),
        (BankFreeze("uccc", account(2), HASH), REGULATOR, "bank/NOT_FREEZABLE"),
        (BankFreeze("gold", account(2), HASH), REGULATOR, "bank/UNKNOWN_ASSET"),
        (BankFreeze("thb", bytes(20), HASH), REGULATOR, "bank/UNKNOWN_ACCOUNT"),
        (BankFreeze("thb", TREASURY, HASH), REGULATOR, "bank/BLOCKED"),
        (BankUnfreeze("thb", account(2), HASH), 0, "bank/NOT_REGULATOR"),
        (BankUnfreeze("thb", account(2), HASH), REGULATOR, "bank/NOT_FROZEN"),
    ],
)
def test_invalid_freeze(message: Noun, by: int, error: str) -> None:
    """Only a regulator freezes, only what can be frozen, and never the city's own accounts."""
    assert error == _people().send(message, by)


def test_there_is_room_for_every_kind_of_money() -> None:
    """Accounts can own every asset that there is, so whoever is owed money can always be paid; one more is refused."""
    people = _people()
    state = Overlay(people.state)
    names = [f"a{number}" for number in range(ASSETS_MAX - len(asset_ids(state)))]
    for name in names:
        write_asset(state, Asset(name, 0, Policy.ISSUER, 10, transferable=True, issuer=organisation(0)))
    for name in asset_ids(state):
        credit(state, account(1), name, 1, AMOUNT_MAX)
    context = Context(state, 1, people.now, CITY.module_accounts, city=CITY, account=GOVERNANCE)

    assert ASSETS_MAX == len(asset_ids(state)) == len(balances(state, account(1)))
    with pytest.raises(Fault, match="bank/TOO_MANY_ASSETS"):
        create(context, GOLD)


GOLD = AssetCreate("gold", 3, 100, organisation(0), True, False, False, 0)


def test_city_creates() -> None:
    """By vote the city makes an asset, sets its cap and its issuer, and pays out of its purse."""
    people = _people()
    assert "ok" == people.decide(GOLD)
    assert "ok" == _mint(people, account(2), 100, 4, "gold")
    assert ["ok", "ok"] == [
        people.decide(AssetSetCap("gold", 150)),
        people.decide(AssetSetIssuer("gold", organisation(1))),
    ]
    assert ["bank/NOT_ISSUER", "ok"] == [_mint(people, TREASURY, 50, by, "gold") for by in (4, 5)]
    assert "ok" == people.decide(TreasurySpend("gold", account(3), 20))

    assert (100, 20, 30) == (people.balance(2, "gold"), people.balance(3, "gold"), people.balance(TREASURY, "gold"))
    assert 30 == next(row.amount for row in people.ask("bank_treasury") if row.asset == "gold")
    assert [] == people.broken()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (AssetCreate("thb", 2, 5, organisation(0), True, False, False, 0), "bank/ASSET_EXISTS"),
        (AssetCreate("gold", 2, 5, bytes(20), True, False, False, 0), "bank/UNKNOWN_ACCOUNT"),
        (AssetCreate("gold", 2, 5, TREASURY, True, False, False, 0), "bank/BLOCKED"),
        (AssetSetCap("uccc", 5), "bank/BELOW_SUPPLY"),
        (AssetSetCap("gold", 5), "bank/UNKNOWN_ASSET"),
        (AssetSetIssuer("uccc", organisation(0)), "bank/NOT_ISSUABLE"),
        (AssetSetIssuer("thb", bytes(20)), "bank/UNKNOWN_ACCOUNT"),
        (TreasurySpend("thb", account(1), 5), "bank/INSUFFICIENT"),
        (TreasurySpend("thb", account(1), 0), "bank/ZERO"),
        (TreasurySpend("uccc", FEES, 5), "bank/BLOCKED"),
        (TreasurySpend("gold", account(1), 5), "bank/UNKNOWN_ASSET"),
    ],
)
def test_invalid_decision(message: Noun, error: str) -> None:
    """What could not be is refused by name, when it is proposed and when it is carried out."""
    assert error == _people().decide(message)


def test_invalid_decision_by_anyone() -> None:
    """What the city decides nobody sends alone (GOV-6)."""
    people = _people()
    sent = [GOLD, AssetSetCap("thb", 5), AssetSetIssuer("thb", account(0)), TreasurySpend("uccc", account(0), 1)]

    assert [DECIDED_BY_VOTE.name] * 4 == [people.send(message, ISSUER) for message in sent]
