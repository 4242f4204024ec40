"""Sending exactly once: over lines that are cut, through nodes that refuse, lose, and contradict each other."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cccnode.client import Account, Client, ClientError, Sender, sending
from cccnode.config import RpcSection
from cccnode.rpc.backend import Phase, TxStatus
from cccnode.rpc.server import RpcServer
from cccnode.types import errors
from cccnode.types.errors import fault
from tests.support.cutting import cut_line
from tests.support.fake_node import ACCOUNT, KEY, OTHER, FakeNode, PocketPay
from tests.support.taking_node import TakingNode

SIGNER = Account(ACCOUNT, KEY)
PAY = [PocketPay(OTHER, "uccc", 5)]


@asynccontextmanager
async def _serving(*nodes: FakeNode) -> AsyncIterator[Sequence[str]]:
    servers = [RpcServer(node, RpcSection(listen="127.0.0.1:0"), None) for node in nodes]
    for server in servers:
        await server.start()
    try:
        yield [server.rpc_address for server in servers]
    finally:
        for server in servers:
            await server.stop()


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def _sender(addresses: Sequence[str], **more: Any) -> Sender:
    return Sender([Client(address) for address in addresses], SIGNER, pause=_at_once, **more)


async def exactly_once(count: int, *, tasks: int, seed: int) -> int:
    """Many tasks send over a line that is cut at random; how often it was."""
    node = TakingNode()
    async with (
        _serving(node) as (address,),
        cut_line(address, seed=seed, bytes_max=50_000) as line,
        _sender([line.address]) as sender,
    ):
        numbers = iter(range(count))
        done: list[dict[str, Any]] = []

        async def work() -> None:
            done.extend([await sender.send(PAY) for _ in numbers])

        await asyncio.gather(*(work() for _ in range(tasks)))
    assert [status["state"] for status in done] == ["executed"] * count
    assert len({status["tx_id"] for status in done}) == len(node.executed) == count
    assert set(node.executed.values()) == {1}
    assert sum(node.handed_in.values()) >= count
    return line.cuts


async def test_lines_that_are_cut() -> None:
    """500 transactions of 32 tasks of one account: each is executed exactly once, though the line is cut all along."""
    assert await exactly_once(500, tasks=32, seed=random.Random(6).randrange(1000)) > 5


@pytest.mark.long
async def test_many_over_lines_that_are_cut() -> None:
    """10,000 of them."""
    assert await exactly_once(10_000, tasks=32, seed=8) > 100


async def test_refused() -> None:
    """What no node ever had is refused by name, and not sent again."""
    node = TakingNode()
    node.refusals = [fault(errors.TX_BAD_SIGNATURE)]
    async with _serving(node) as addresses, _sender(addresses) as sender:
        with pytest.raises(ClientError) as refused:
            await sender.send(PAY)
    assert refused.value.name == "tx/BAD_SIGNATURE"
    assert sum(node.handed_in.values()) == 1


async def test_retried() -> None:
    """A refusal that may pass is tried again with the same bytes, until the node takes them."""
    node = TakingNode()
    node.refusals = [fault(errors.POOL_FULL), fault(errors.POOL_NOT_READY), None]
    async with _serving(node) as addresses, _sender(addresses) as sender:
        assert (await sender.send(PAY))["state"] == "executed"
    assert list(node.handed_in.values()) == [3]


@pytest.mark.parametrize("word", [errors.POOL_PENDING, errors.TX_DUPLICATE])
async def test_taken_before(word: errors.ErrorSpec) -> None:
    """A node that says it has the transaction already has it: what came of it is waited for."""
    node = TakingNode()
    async with _serving(node) as addresses, _sender(addresses) as sender:
        signed = await sender.sign(PAY)
        await sender.deliver(signed)
        node.refusals = [fault(word)]
        assert (await sender.deliver(signed))["state"] == "executed"
    assert set(node.executed.values()) == {1}


async def test_another_node() -> None:
    """Where one node does not answer, the same bytes go to the next."""
    node = TakingNode()
    async with _serving(node) as (address,), _sender(["127.0.0.1:1", address]) as sender:
        assert (await sender.send(PAY))["state"] == "executed"
    assert list(node.handed_in.values()) == [1]


async def test_signed_anew_only_after_expiry() -> None:
    """The same messages are signed again after a node said `expired`, and never before."""
    node = TakingNode()
    node.refusals = [fault(errors.TX_EXPIRED), None]
    async with _serving(node) as addresses, _sender(addresses) as sender:
        assert (await sender.send(PAY))["state"] == "executed"
    assert list(node.handed_in.values()) == [1, 1]
    assert len(node.executed) == 1


async def test_always_expired() -> None:
    """After some times it is left at that, and the status says so."""
    node = TakingNode()
    node.refusals = [fault(errors.TX_EXPIRED)] * 10
    async with _serving(node) as addresses, _sender(addresses) as sender:
        assert (await sender.send(PAY))["state"] == "expired"
    assert len(node.handed_in) == 1 + sending.SIGNED_ANEW_MAX


async def test_undecided() -> None:
    """Where nobody can say what became of it, that is said, with what to ask for later."""
    async with _serving(TakingNode()) as addresses, _sender(addresses) as sender:
        signed = await sender.sign(PAY)
    async with _sender(["127.0.0.1:1"], patience_ms=-(10**9)) as lost:
        with pytest.raises(ClientError) as undecided:
            await lost.deliver(signed)
    assert undecided.value.name == "client/UNDECIDED"
    assert undecided.value.details["tx_id"] == "0x" + signed.tx_id.hex()


async def test_refused_after_the_line_was_cut() -> None:
    """A refusal after an answer got lost proves nothing: what the chain decided is waited for."""
    node = TakingNode()
    async with _serving(node) as (address,), _sender(["127.0.0.1:1", address]) as sender:
        signed = await sender.sign(PAY)
        sender._at = 0  # begin at the one that does not answer
        node.known[signed.tx_id] = TxStatus(phase=Phase.EXECUTED, height=7, position=0, code=0)
        node.refusals = [fault(errors.TX_SIGNERS)]
        assert (await sender.deliver(signed))["state"] == "executed"
    assert not node.executed
