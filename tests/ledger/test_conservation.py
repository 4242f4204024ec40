"""Supply is conserved for every asset after every transaction (BNK-1), whatever is asked of the bank."""

from dataclasses import replace as change

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.city.bank import BankMulti, BankTransfer
from cccnode.city.bank.messages import Output
from cccnode.city.bank.state import balances_group
from cccnode.ledger.state import module_account
from genesis.document import AssetEntry, Genesis, document_bytes, read_genesis
from tests.support.city import City, demo

ASSETS = ("uccc", "thb", "solid", "none")


def two_assets() -> Genesis:
    """The demo with a second asset, of which account 1 owns almost all that can exist, and one that stays put."""
    document = demo().genesis.document
    first, second, *others = document.accounts
    return read_genesis(
        document_bytes(
            replace(
                document,
                assets=(
                    *document.assets,
                    AssetEntry(id="thb", exponent=2, cap=str(2**63 - 1)),
                    AssetEntry(id="solid", exponent=0, cap="10", transferable=False),
                ),
                accounts=(
                    replace(first, balances=first.balances | {"thb": "77"}),
                    replace(second, balances=second.balances | {"thb": str(2**63 - 100), "solid": "10"}),
                    *others,
                ),
            )
        )
    )


_AMOUNTS = st.integers(0, 20) | st.integers(0, 2**63 - 1) | st.just(10**9)
_TARGETS = st.integers(0, 5)
_PAYMENTS = st.tuples(_TARGETS, st.sampled_from(ASSETS), _AMOUNTS)
_TRANSACTIONS = st.tuples(
    st.integers(0, 3), st.lists(_PAYMENTS, min_size=1, max_size=4), st.booleans(), st.sampled_from([0, 999, 1_000])
)


def _address(city: City, number: int) -> bytes:
    """Four members, a module account, and nobody."""
    return city.account(number) if number < 4 else (module_account("treasury"), b"\x01" * 20)[number - 4]


@given(st.lists(_TRANSACTIONS, min_size=1, max_size=8))
def test_supply_is_conserved(transactions: list[tuple[int, list[tuple[int, str, int]], bool, int]]) -> None:
    """After every transaction the sum of all balances is the supply, and no balance is negative or zero in state."""
    city = City(document=two_assets())
    supplies = {asset: city.supply(asset) for asset in ASSETS}
    for payer, payments, together, fee_max in transactions:
        rows = [(_address(city, to), asset, amount) for to, asset, amount in payments]
        messages = [BankMulti(tuple(Output(*r) for r in rows))] if together else [BankTransfer(*r) for r in rows]
        city.run(city.sign(*messages, by=payer, fee_max=fee_max))

        assert supplies == {asset: city.total(asset) for asset in ASSETS}
        assert supplies == {asset: city.supply(asset) for asset in ASSETS}
        assert not any(city.state.group(balances_group(module_account("fees"))))


def test_supply_is_conserved_within_a_block() -> None:
    """The same for many transactions in one block."""
    city = City(document=two_assets())
    before = {asset: city.total(asset) for asset in ASSETS}
    raws = [city.sign(city.transfer((n * 3) % 4, amount=n * 1_000_003), by=n % 4) for n in range(60)]
    outcome = city.run(*raws)

    assert before == {asset: city.total(asset) for asset in ASSETS}
    assert {0} != set(outcome.codes)


def test_document_of_two_assets_is_another_chain() -> None:
    """The changed demo is a document of its own."""
    changed = two_assets()

    assert changed.chain != demo().genesis.chain
    assert change(changed, chain=b"") != changed
