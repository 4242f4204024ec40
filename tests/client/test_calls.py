"""The client against a real server with a fake node behind it, and against strangers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from cccnode.client import Account, Client, ClientError, error_from, from_hex
from cccnode.config import RpcSection
from cccnode.rpc.server import RpcServer
from cccnode.types import errors
from cccnode.types.errors import fault
from cccnode.types.limits import RPC_BATCH_MAX
from tests.support.fake_node import (
    ACCOUNT,
    CHAIN,
    KEY,
    NOW_MS,
    OTHER,
    POCKET_EMPTY,
    FakeNode,
    PocketPay,
    payment,
)

TX_ID, RAW = payment()
SIGNER = Account(ACCOUNT, KEY)


@asynccontextmanager
async def _node() -> AsyncIterator[tuple[FakeNode, Client]]:
    fake = FakeNode()
    server = RpcServer(fake, RpcSection(listen="127.0.0.1:0"), None)
    await server.start()
    try:
        async with Client(server.rpc_address) as client:
            yield fake, client
    finally:
        await server.stop()


@pytest.mark.parametrize("url", ["h:1", "http://h:1", "http://h:1/", "http://h:1/rpc"])
def test_url(url: str) -> None:
    """Every usual way to write the address is understood."""
    assert Client(url).url == "http://h:1/rpc"


async def test_status_and_chain() -> None:
    """Status as JSON; the chain id as bytes, asked once."""
    async with _node() as (fake, client):
        assert (await client.status())["height"] == "7"
        assert await client.chain() == CHAIN
        fake.broken = ValueError()
        assert await client.chain() == CHAIN


async def test_send_and_wait() -> None:
    """Sign for the node's chain, submit, wait: one call."""
    async with _node() as (fake, client):
        fake.decide_at_once = True
        done = await client.send_and_wait(SIGNER, [PocketPay(OTHER, "uccc", 5)])
        assert (done["state"], done["outcome"]) == ("executed", "ok")
        transaction = fake.registry.decode(fake.raws[0])
        assert (transaction.chain, transaction.account) == (CHAIN, ACCOUNT)
        assert transaction.messages == (PocketPay(OTHER, "uccc", 5),)


async def test_submit() -> None:
    """Submitting gives the id that the transaction has."""
    async with _node() as (_, client):
        assert await client.submit(RAW) == TX_ID
        assert (await client.tx_status(TX_ID))["state"] == "batched"


async def test_submit_batch_splits() -> None:
    """More than 512 go in several calls; answers keep their order, refusals their names."""
    async with _node() as (fake, client):
        made = [payment(salt=i) for i in range(RPC_BATCH_MAX + 3)]
        fake.refuse[made[-1][1]] = fault(errors.POOL_FULL)
        sent = await client.submit_batch([raw for _, raw in made])
        assert [one.tx_id for one in sent[:-1]] == [tx_id for tx_id, _ in made[:-1]]
        error = sent[-1].error
        assert error is not None
        assert (error.name, error.retryable) == ("pool/FULL", True)


async def test_error_carries_everything() -> None:
    """A node's error arrives with name, number, hint, both languages and values."""
    async with _node() as (_, client):
        with pytest.raises(ClientError) as refused:
            await client.submit(payment(valid_until_ms=NOW_MS * 3)[1])
    error = refused.value
    assert (error.name, error.code) == ("tx/EXPIRY_TOO_FAR", errors.TX_EXPIRY_TOO_FAR.code)
    assert (error.hint, error.text_th) == (errors.TX_EXPIRY_TOO_FAR.remedy, errors.TX_EXPIRY_TOO_FAR.th)
    assert error.details == {"valid_until_ms": str(NOW_MS * 3)}
    assert str(error).startswith("tx/EXPIRY_TOO_FAR: ")


async def test_wait_timeout() -> None:
    """Waiting ends with the node's own name for it."""
    async with _node() as (_, client):
        with pytest.raises(ClientError) as refused:
            await client.wait(TX_ID, timeout_ms=0)
    assert refused.value.name == "rpc/WAIT_TIMEOUT"


async def test_wait_for_expiry() -> None:
    """With the deadline the node answers `expired` for what it never saw."""
    async with _node() as (_, client):
        assert (await client.wait(TX_ID, valid_until_ms=NOW_MS - 1))["state"] == "expired"


async def test_failed_outcome() -> None:
    """A failed transaction is an answer, not an exception: it was executed."""
    async with _node() as (fake, client):
        fake.decide(TX_ID, RAW, code=POCKET_EMPTY.code)
        done = await client.wait(TX_ID)
        assert (done["outcome"], error_from(done["error"]).name) == ("failed", "pocket/EMPTY")


async def test_unreachable() -> None:
    """Nobody at the address is `client/UNREACHABLE` with the address."""
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(ClientError) as refused:
            await client.status()
    assert (refused.value.name, refused.value.retryable) == ("client/UNREACHABLE", True)
    assert refused.value.details["url"] == "http://127.0.0.1:1/rpc"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"<html>", "client/BAD_ANSWER"),
        (b"", "client/BAD_ANSWER"),
        (b"[]", "client/BAD_ANSWER"),
        (b"{}", "client/BAD_ANSWER"),
        (b'{"result":1,"id":99}', "client/BAD_ANSWER"),
        (b'{"error":"text","id":1}', "client/BAD_ANSWER"),
        (b'{"error":{"code":-32000,"message":"foreign"},"id":1}', "rpc/UNKNOWN"),
    ],
)
async def test_invalid_answer(answer: bytes, name: str) -> None:
    """A stranger's answer is an error of its own name, never a KeyError."""

    async def page(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=answer)

    runner = web.ServerRunner(web.Server(page))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address: Any = runner.addresses[0]
    try:
        async with Client(f"127.0.0.1:{address[1]}") as client:
            with pytest.raises(ClientError) as refused:
                await client.call("chain_status")
    finally:
        await runner.cleanup()
    assert refused.value.name == name


def test_hex() -> None:
    """Bytes are read with and without the prefix."""
    assert from_hex("0x0a") == from_hex("0a") == b"\n"
