"""Final blocks become state: in order, once, durable before anybody hears of it."""

from collections.abc import Sequence

import pytest

from cccnode.driver import execution
from cccnode.driver.execution import Applied, whole_job
from cccnode.ingress import trusted_transactions
from cccnode.ledger.registry import Registry
from cccnode.types.block import block_id
from cccnode.types.errors import DISK_FULL, Fault
from cccnode.types.transaction import Verified
from storage.memory import MemoryEngine
from tests.driver.test_catch_up import Follower, chain

ENOSPC = 28


def job(height: int) -> object:
    block = chain()[height - 1]
    return whole_job(block_id(block.header), block)


def test_reads_see_the_last_durable_height() -> None:
    """While a block is executed and written, everything still shows the one before (J16)."""
    follower = Follower()
    replica = follower.replica
    follower.network.nodes[4].runtime._disk_ms = (50, 50)
    heard: list[Applied] = []
    replica.decided_hooks.append(heard.append)
    replica.executor.push(job(1))
    follower.network.world.run_until(40)
    assert (0, 0, []) == (replica.chain.height, replica.store.applied.height, heard)

    follower.run()
    assert (1, 1, [1]) == (replica.chain.height, replica.store.applied.height, [each.outcome.height for each in heard])


def test_only_in_height_order() -> None:
    """A gap, a repetition or another chain is a mistake of the caller."""
    follower = Follower()
    executor = follower.replica.executor
    with pytest.raises(AssertionError, match="height order"):
        executor.push(job(2))
    executor.push(job(1))
    with pytest.raises(AssertionError, match="height order"):
        executor.push(job(1))
    follower.run()

    assert 1 == follower.height


def test_a_block_takes_several_turns() -> None:
    """Decoding, executing and staging are slices, between which the loop may handle votes (J16)."""
    follower = Follower()
    runtime = follower.network.nodes[4].runtime
    turns = []
    call_soon = runtime.call_soon
    runtime.call_soon = lambda callback: (turns.append(1), call_soon(callback))
    follower.replica.executor.push(job(next(i for i, block in enumerate(chain(), 1) if block.batches)))
    follower.run()

    assert len(turns) > 4


def test_the_next_block_is_decoded_while_one_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop would be idle meanwhile; nothing is executed before what precedes it is durable."""
    follower = Follower()
    replica = follower.replica
    follower.network.nodes[4].runtime._disk_ms = (50, 50)
    raws = {raw: block.header.height for block in chain() for batch in block.batches for raw in batch}
    decoded: dict[bytes, int] = {}

    def decode(registry: Registry, given: Sequence[bytes]) -> list[Verified]:
        assert not decoded.keys() & set(given), "each is decoded once"
        decoded.update(dict.fromkeys(given, replica.chain.height))
        return trusted_transactions(registry, given)

    monkeypatch.setattr(execution, "trusted_transactions", decode)
    follower.deliver(1, list(chain()))

    assert len(chain()) == follower.height
    assert decoded == {raw: max(0, height - 2) for raw, height in raws.items()}


def test_power_lost_between_block_and_state() -> None:
    """The block is in its segment, the state is not: the next start executes it again, to the same result (J18)."""
    follower = Follower()
    node = follower.network.nodes[4]

    def refuse(operation: str, _path: str) -> int | None:
        return ENOSPC if operation == "write" else None

    node.engine.refuse = refuse
    follower.replica.executor.push(job(1))
    with pytest.raises(Fault, match="home/DISK_FULL") as caught:
        follower.run()
    assert DISK_FULL is caught.value.spec
    assert isinstance(node.engine, MemoryEngine)
    follower.network.crash(node)
    follower.network.restart(node)
    assert [1] == [block.header.height for block in node.replica.store.unapplied()]
    follower.run()

    assert 1 == node.replica.chain.height
    assert [] == follower.network.violations


def test_a_failed_write_is_not_retried() -> None:
    """The error escapes to whoever stops the node; nothing is adopted."""
    follower = Follower()
    follower.network.nodes[4].disk.refuse = lambda operation, path: ENOSPC if "blocks" in path else None
    follower.replica.executor.push(job(1))
    with pytest.raises(Fault, match="home/DISK_FULL"):
        follower.run()

    assert 0 == follower.height
