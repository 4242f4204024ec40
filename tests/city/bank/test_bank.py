"""Transfers and what anyone may ask about money (modules.md 3.2)."""

import pytest

from cccnode.city.bank import BankMulti, errors, fees
from cccnode.city.bank.messages import OUTPUTS_MAX, Output
from cccnode.city.bank.queries import AssetParams, Balance, BalanceParams, BalancesParams
from cccnode.city.bank.state import balance, balances_group, set_balance
from cccnode.codec import Malformed, decode, encode
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.state import Overlay, module_account, writes_of
from cccnode.types.errors import NOT_FOUND, ErrorSpec, Fault
from cccnode.types.limits import AMOUNT_MAX
from tests.ledger.test_conservation import two_assets
from tests.support.city import BALANCE, FEE, City, receipts


def _code(city: City, to: int | bytes = 1, amount: int = 5, asset: str = "uccc", by: int = 0) -> int:
    return city.run(city.sign(city.transfer(to, amount, asset), by=by)).codes[0]


@pytest.mark.parametrize("asset", ["uccc", "thb"])
def test_assets_are_apart(asset: str) -> None:
    """A transfer of one asset leaves the others alone, but for the fee."""
    city = City(document=two_assets())
    before = {name: city.balance(1, name) for name in ("uccc", "thb")}
    assert 0 == _code(city, 1, 7, asset)

    assert {name: amount + 7 * (name == asset) for name, amount in before.items()} == {
        name: city.balance(1, name) for name in before
    }


def test_to_itself() -> None:
    """A transfer to the own account costs the fee and changes nothing else."""
    city = City()

    assert 0 == _code(city, 0, BALANCE - FEE)
    assert BALANCE - FEE == city.balance(0)


def test_everything() -> None:
    """Who sends his last unit keeps no empty item, so a proof of the group lists what is owned."""
    city = City()
    assert 0 == _code(city, 1, BALANCE - FEE)

    assert {} == dict(city.state.group(balances_group(city.account(0))))


@pytest.mark.parametrize(
    ("to", "amount", "asset", "spec"),
    [
        (1, 0, "uccc", errors.ZERO_AMOUNT),
        (1, 5, "gold", errors.UNKNOWN_ASSET),
        (b"\x09" * 20, 5, "uccc", errors.UNKNOWN_ACCOUNT),
        (module_account("fees"), 5, "uccc", errors.BLOCKED),
        (module_account("treasury"), 5, "uccc", errors.BLOCKED),
        (1, BALANCE, "uccc", errors.INSUFFICIENT),
        (1, AMOUNT_MAX, "uccc", errors.INSUFFICIENT),
        (2, 5, "solid", errors.NOT_TRANSFERABLE),
    ],
)
def test_invalid_transfer(to: int | bytes, amount: int, asset: str, spec: ErrorSpec) -> None:
    """A transfer that may not be is refused by name; the fee stays, the money does not move."""
    city = City(document=two_assets())

    assert (spec.code, BALANCE - FEE) == (_code(city, to, amount, asset), city.balance(0))


def test_invalid_overflow() -> None:
    """A balance never passes the largest amount (only a supply above its cap could bring it there)."""
    city = City()
    overlay = Overlay(city.state)
    set_balance(overlay, city.account(1), "uccc", AMOUNT_MAX - 4)
    overlay.commit()
    city.state.apply(writes_of(overlay))

    assert errors.OVERFLOW.code == _code(city, 1, 5)
    assert 0 == _code(city, 1, 4)


def _output(city: City, to: int, amount: int) -> Output:
    return Output(city.account(to), "uccc", amount)


def test_multi() -> None:
    """A multi-transfer pays all, with one event for each payment."""
    city = City()
    outcome = city.run(city.sign(BankMulti((_output(city, 1, 3), _output(city, 2, 4), _output(city, 1, 5)))))

    assert [BALANCE - FEE - 12, BALANCE + 8, BALANCE + 4] == [city.balance(n) for n in range(3)]
    assert [3, 4, 5] == [event[-1] for event in receipts(outcome)[0].events]


@pytest.mark.parametrize(("amount", "spec"), [(0, errors.ZERO_AMOUNT), (BALANCE, errors.INSUFFICIENT)])
def test_invalid_multi(amount: int, spec: ErrorSpec) -> None:
    """One bad payment drops them all."""
    city = City()
    outcome = city.run(city.sign(BankMulti((_output(city, 1, 3), _output(city, 2, amount)))))

    assert (spec.code,) == outcome.codes
    assert [BALANCE - FEE, BALANCE, BALANCE] == [city.balance(n) for n in range(3)]


@pytest.mark.parametrize("count", [0, OUTPUTS_MAX + 1])
def test_invalid_number_of_outputs(count: int) -> None:
    """A multi-transfer has 1 to 64 outputs; others do not decode."""
    raw = encode([0x0202, [[bytes(20), "uccc", 1]] * count])

    with pytest.raises(Malformed):
        decode(BankMulti, raw)


def test_queries() -> None:
    """Balances, the list of what an account owns, and an asset with its supply."""
    city = City(document=two_assets())
    ask = city.registry.answer
    address = city.account(0)

    assert Balance(address, "thb", 77) == ask("bank_balance", city.state, BalanceParams(address, "thb"))
    assert Balance(bytes(20), "uccc", 0) == ask("bank_balance", city.state, BalanceParams(bytes(20)))
    assert (Balance(address, "thb", 77), Balance(address, "uccc", BALANCE)) == ask(
        "bank_balances", city.state, BalancesParams(address)
    )
    asset = ask("bank_asset", city.state, AssetParams("thb"))
    assert (2, 2**63 - 100 + 77) == (asset.asset.exponent, asset.supply)  # type: ignore[attr-defined]


def test_invalid_queries() -> None:
    """An unknown asset is not found."""
    city = City()
    for method, params in (("bank_balance", BalanceParams(bytes(20), "gold")), ("bank_asset", AssetParams("gold"))):
        with pytest.raises(Fault) as caught:
            city.registry.answer(method, city.state, params)
        assert caught.value.spec is NOT_FOUND


def test_fees_by_size() -> None:
    """A transaction above 512 bytes pays for each further byte where the parameters say so."""
    schedule = FeeSchedule("uccc", 1_000, 3)

    assert [1_000, 1_000, 1_003, 1_000 + 3 * 488] == [schedule.fee(size) for size in (1, 512, 513, 1_000)]


def test_treasury_collects() -> None:
    """Fees of a block are in the treasury when it ends, and nothing stays on the way (BNK-6)."""
    city = City()
    city.run(*(city.sign(city.transfer(1, 1)) for _ in range(5)))

    assert (5 * FEE, 0) == (city.balance(fees.TREASURY), balance(Overlay(city.state), fees.FEES, "uccc"))
