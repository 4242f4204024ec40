"""The JavaScript client in Node.js: the same bytes as the Python code, and the same manners towards a node."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, from_hex, to_hex
from cccnode.codec import encode
from cccnode.config import RpcSection
from cccnode.crypto.signing import SigningKey
from cccnode.rpc.server import RpcServer
from cccnode.types.addresses import account_text
from cccnode.types.transaction import sign_transaction
from tests.support.cutting import cut_line
from tests.support.fake_node import ACCOUNT, CHAIN, NOW_MS, OTHER, status
from tests.support.taking_node import TakingNode

pytestmark = pytest.mark.needs("node")

ANSWERS = Path(__file__).with_name("node_test.mjs")
SEED = bytes(range(32))
PAID = ("bank", "transfer", "uccc", ACCOUNT, OTHER, 5)
ADDED = ("registry", "node_added", "org1", bytes(32))

Ask = Callable[..., Coroutine[Any, Any, Any]]


@asynccontextmanager
async def _javascript() -> AsyncIterator[Ask]:
    """A function that asks the module something and gives its result."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "--no-warnings",
        str(ANSWERS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def ask(name: str, **given: Any) -> Any:
        process.stdin.write(json.dumps({"name": name, **given}).encode() + b"\n")
        answer = json.loads(await process.stdout.readline())
        assert "result" in answer, answer
        return answer["result"]

    try:
        yield ask
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[TakingNode, str]]:
    node = TakingNode(registry=CITY, status_now=status(height=0))
    server = RpcServer(node, RpcSection(listen="127.0.0.1:0"), None)
    await server.start()
    try:
        yield node, server.rpc_address
    finally:
        await server.stop()


def _shown(value: Any) -> Any:
    match value:
        case bool() | None | str():
            return value
        case int():
            return {"int": str(value)}
        case bytes():
            return {"bytes": to_hex(value)}
        case _:
            return [_shown(item) for item in value]


async def test_encoding() -> None:
    """Every value has the canonical bytes, at both sides of every limit of a length and a number."""
    numbers = [n + d for n in (0, 128, 1 << 8, 1 << 16, 1 << 32, 1 << 53, 1 << 63) for d in (-1, 0, 1) if n + d >= 0]
    lengths = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]
    values: list[Any] = [None, True, False, "ภาษาไทย", [], [[1], ["a", b"b"]], *numbers, (1 << 64) - 1]
    values += [kind * length for kind in ("x", b"y") for length in lengths]
    values += [[7] * length for length in lengths[:-2]]
    async with _javascript() as ask:
        for value in values:
            assert await ask("encode", value=_shown(value)) == to_hex(encode(value))


async def test_accounts() -> None:
    """Accounts are written and read as here; a typing error is refused."""
    async with _javascript() as ask:
        for account in (bytes(20), ACCOUNT, OTHER, b"\xff" * 20):
            text = account_text(account)
            assert await ask("account", bytes=to_hex(account)) == text
            assert await ask("parse", text=text.upper()) == to_hex(account)
            with pytest.raises(AssertionError, match="not an account"):
                await ask("parse", text=text[:-1] + ("q" if text[-1] != "q" else "p"))


@pytest.mark.parametrize("amount", [1, 2**40, 2**63 - 1])
async def test_transaction(amount: int) -> None:
    """A transaction has the bytes, the id and the signature that Python gives it, and a node decodes it."""
    key = SigningKey(SEED)
    account = Account.from_key(key)
    options = {"chain": to_hex(CHAIN), "until": str(NOW_MS), "salt": to_hex(b"saltsalt"), "feeMax": "1000"}
    async with _javascript() as ask:
        made = await ask("sign", seed=to_hex(SEED), to=account_text(OTHER), asset="uccc", amount=str(amount), **options)
    tx_id, raw = sign_transaction(
        chain=CHAIN,
        account=account.account,
        valid_until_ms=NOW_MS,
        salt=b"saltsalt",
        fee_max=1000,
        messages=[BankTransfer(OTHER, "uccc", amount)],
        keys=[key],
    )
    assert made == {"address": account.address, "tx_id": to_hex(tx_id), "raw": to_hex(raw)}
    assert CITY.decode(from_hex(made["raw"])).messages == (BankTransfer(OTHER, "uccc", amount),)


async def test_exactly_once() -> None:
    """Over a line that is cut again and again, each transaction is executed exactly once."""
    async with _serving() as (node, address), cut_line(address, bytes_max=4_000) as line, _javascript() as ask:
        statuses = await ask(
            "send", url=f"http://{line.address}", seed=to_hex(SEED), to=account_text(OTHER), amount="5", count=40
        )
        assert line.cuts
    assert [one["state"] for one in statuses] == ["executed"] * 40
    assert len(node.executed) == len({one["tx_id"] for one in statuses}) == 40
    assert set(node.executed.values()) == {1}


async def test_events() -> None:
    """Each event comes once, over a line that is cut, and only what was asked for."""
    async with _serving() as (node, address), cut_line(address, bytes_max=8_000) as line, _javascript() as ask:
        for _ in range(60):
            node.tell(PAID, ADDED)
        url = f"http://{line.address}"
        found = await ask("events", url=url, after="0", count=60, module="bank", account=account_text(OTHER))
        assert line.cuts
    assert [event["cursor"] for event in found] == [f"{height}/0/0" for height in range(1, 61)]
    assert found[0]["fields"] == ["uccc", account_text(ACCOUNT), account_text(OTHER), "5"]


async def test_lagged() -> None:
    """What is no longer kept is an error with the name of the error table."""
    async with _serving() as (node, address), _javascript() as ask:
        for _ in range(5):
            node.tell(PAID)
        node.kept_from = 4
        with pytest.raises(AssertionError, match="events/LAGGED"):
            await ask("events", url=f"http://{address}", after="1", count=1)
