"""What admission would say and what execution would do, of a running node."""

from cccnode.city.bank.messages import BankTransfer
from cccnode.ledger.receipts import decode_receipt
from cccnode.node import trying
from cccnode.rpc.backend import Phase
from cccnode.types.errors import POOL_PENDING, TX_DUPLICATE, TX_EXPIRED
from cccnode.types.transaction import sign_transaction
from tests.node.support import Watched
from tests.simulation.nodes import ASSET, FEE_MAX


def _made(watched: Watched, *, lifetime_ms: int = 20_000) -> tuple[bytes, bytes]:
    """(id, bytes) of a transfer that nobody has yet."""
    demo = watched.network.demo
    return sign_transaction(
        chain=demo.genesis.chain,
        account=demo.account(0),
        valid_until_ms=watched.node.runtime.wall_ms() + lifetime_ms,
        salt=bytes(8),
        fee_max=FEE_MAX,
        messages=[BankTransfer(demo.account(1), ASSET, 5)],
        keys=[demo.accounts[0]],
    )


def test_simulate_is_what_happens() -> None:
    """The receipt of the trial is the receipt of the block, and the trial itself changes nothing."""
    watched = Watched()
    watched.run(500)
    tx_id, raw = _made(watched)
    root = watched.service.status().state_root
    tried = watched.service.simulate(raw)
    assert watched.service.status().state_root == root
    assert Phase.UNKNOWN is watched.phase(tx_id)
    assert tried.failure is None
    assert tried.writes
    watched.node.replica.submit([raw], lambda _: None)
    watched.run(1000)
    assert Phase.EXECUTED is watched.phase(tx_id)
    stored = watched.service.transaction(tx_id)
    assert decode_receipt(tried.receipt) == decode_receipt(stored.receipt)
    assert watched.service.simulate(raw).receipt is None, "decided once"
    assert TX_DUPLICATE is watched.service.simulate(raw).failure.spec


def test_simulate_needs_no_signature() -> None:
    """A signature that does not hold is not looked at; admission would look."""
    watched = Watched()
    watched.run(500)
    tx_id, raw = _made(watched)
    broken = raw[:-1] + bytes([raw[-1] ^ 1])
    assert (tx_id, None) == (watched.service.simulate(broken).tx_id, watched.service.simulate(broken).failure)
    assert "tx/BAD_SIGNATURE" == watched.service.check(broken)[1].spec.name


def test_check_takes_nothing_in() -> None:
    """The same verdict twice; pending once it has really been sent."""
    watched = Watched()
    watched.run(500)
    tx_id, raw = _made(watched)
    assert (tx_id, None) == watched.service.check(raw) == watched.service.check(raw)
    watched.node.replica.submit([raw], lambda _: None)
    watched.run(20)
    assert POOL_PENDING is watched.service.check(raw)[1].spec


def test_refusals_are_remembered(monkeypatch) -> None:
    """tx_status says that this node refused a transaction and why, for the newest of them."""
    monkeypatch.setattr(trying, "REFUSALS_MAX", 1)
    watched = Watched()
    watched.run(500)
    old, raw = _made(watched, lifetime_ms=-5)
    refusal = watched.service.check(raw)[1]
    watched.service._trier.remember([(old, refusal)])
    assert (Phase.REFUSED, TX_EXPIRED) == (watched.status(old).phase, watched.status(old).fault.spec)
    watched.service._trier.remember([(bytes(32), refusal)])
    assert Phase.UNKNOWN is watched.phase(old)
