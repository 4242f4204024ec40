"""What a live node answers to bad requests: a named error, and the next honest request is served."""

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest

from cccnode.city.bank.messages import BankTransfer
from cccnode.client import Account, wall_ms
from cccnode.codec import Noun
from cccnode.crypto.signing import SigningKey
from cccnode.types.limits import RPC_BODY_BYTES_MAX, RPC_CALLS_MAX, RPC_DEPTH_MAX, TX_BYTES_MAX, TX_LIFETIME_MS_MAX
from cccnode.types.transaction import account_id, sign_transaction
from genesis.bootstrap import ASSET, BALANCE
from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network, refused

CALL = {"jsonrpc": "2.0", "id": 1, "method": "chain_status"}
BODIES = {
    "no JSON": (b"hello", 200, "rpc/PARSE"),
    "nothing": (b"", 200, "rpc/PARSE"),
    "no text": (b"\xff\xfe", 200, "rpc/PARSE"),
    "NaN": (b'{"jsonrpc":"2.0","id":1,"method":"chain_header","params":{"height":NaN}}', 200, "rpc/PARSE"),
    "deep": (b"[" * (RPC_DEPTH_MAX + 1) + b"]" * (RPC_DEPTH_MAX + 1), 200, "rpc/PARSE"),
    "very deep": (b'{"a":' * 100_000, 200, "rpc/PARSE"),
    "name twice": (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"chain_status"}', 200, "rpc/PARSE"),
    "no request": (b"7", 200, "rpc/INVALID_REQUEST"),
    "empty batch": (b"[]", 200, "rpc/INVALID_REQUEST"),
    "no version": (b'{"id":1,"method":"chain_status"}', 200, "rpc/INVALID_REQUEST"),
    "huge batch": (json.dumps([CALL] * (RPC_CALLS_MAX + 1)).encode(), 200, "rpc/LIMIT_EXCEEDED"),
    "many values": (
        b'{"jsonrpc":"2.0","id":1,"method":"m","params":[' + b"1," * 10_000 + b"1]}",
        200,
        "rpc/LIMIT_EXCEEDED",
    ),
    "too long": (b" " * (RPC_BODY_BYTES_MAX + 1), 413, "core/OVERSIZE"),
    "no method": (json.dumps({**CALL, "method": "chain_statue"}).encode(), 200, "rpc/METHOD_NOT_FOUND"),
    "no parameter": (json.dumps({**CALL, "params": {"hight": 1}}).encode(), 200, "rpc/INVALID_PARAMS"),
    "above the tip": (
        json.dumps({**CALL, "method": "chain_header", "params": {"height": "999999999"}}).encode(),
        200,
        "rpc/NOT_FOUND",
    ),
}


class Nonsense(Noun, tag=0x7701, frozen=True, array_like=True, gc=False):
    """A message of no module."""

    value: int


@pytest.mark.parametrize("what", BODIES)
async def test_bad_body(well: Load, what: str) -> None:
    """Each kind of bad body gets its name, in an envelope that says what to do."""
    body, http, name = BODIES[what]
    status, answer = await _post(well.clients[0].url, body)
    assert status == http
    assert answer["error"]["data"]["name"] == name
    assert answer["error"]["message"]
    assert answer["error"]["data"]["hint"]
    assert (await well.clients[0].status())["state"] == "validating"


async def test_bad_transactions(city: Network, well: Load) -> None:
    """Each kind of bad transaction is refused by name, alone and among good ones, and moves nothing."""
    owner, nobody = well.owners[0], _stranger()
    flipped = bytearray(_signed(well, owner)[1])
    flipped[-1] ^= 1
    good = _signed(well, owner)[1]
    bad = {
        "core/MALFORMED": b"\x00\x01\x02",
        "core/NON_CANONICAL": b"\xdc\x00\x0a" + good[1:],  # ten fields, counted in three bytes instead of one
        "core/UNKNOWN_MESSAGE": _signed(well, owner, message=Nonsense(1))[1],
        "core/WRONG_CHAIN": _signed(well, owner, chain=os.urandom(32))[1],
        "tx/EXPIRED": _signed(well, owner, until_ms=wall_ms() - 1)[1],
        "tx/EXPIRY_TOO_FAR": _signed(well, owner, until_ms=wall_ms() + TX_LIFETIME_MS_MAX + 60_000)[1],
        "tx/BAD_SIGNATURE": bytes(flipped),
        "tx/UNKNOWN_ACCOUNT": _signed(well, nobody)[1],
        "tx/KEY_WITHOUT_WEIGHT": _signed(well, Account(owner.account, nobody.key))[1],
        "tx/FEE_TOO_LOW": _signed(well, owner, fee_max=0)[1],
    }
    before = await well.balances(0)
    for name, raw in bad.items():
        error = await refused(well.clients[1].submit(raw))
        assert (error.name, bool(error.hint)) == (name, True), str(error)
    too_long = await refused(well.clients[1].submit(good + bytes(TX_BYTES_MAX)))
    assert (too_long.name, str(TX_BYTES_MAX) in str(too_long)) == ("rpc/INVALID_PARAMS", True), str(too_long)
    answers = await well.clients[1].submit_batch([*bad.values(), good])
    assert [answer.error.name if answer.error else "" for answer in answers] == [*bad, ""]
    done = await well.clients[0].wait(answers[-1].tx_id, timeout_ms=60_000)
    assert done["outcome"] == "ok"
    after = await well.balances(0)
    assert after[2] == before[2] + 1
    assert sum(after) == well.supply


async def test_failed_transactions_keep_the_fee(well: Load) -> None:
    """What is well signed and cannot be done is executed and failed, by name, the same on every node."""
    for message, name in (
        (BankTransfer(well.owners[2].account, ASSET, 2 * BALANCE), "bank/INSUFFICIENT"),
        (BankTransfer(_stranger().account, ASSET, 1), "bank/UNKNOWN_ACCOUNT"),
    ):
        tx_id, raw = _signed(well, well.owners[1], message=message)
        await well.clients[2].submit(raw)
        answers = await asyncio.gather(*(client.wait(tx_id, timeout_ms=60_000) for client in well.clients[:4]))
        assert all(answer == answers[0] for answer in answers)
        assert (answers[0]["outcome"], answers[0]["error"]["data"]["name"]) == ("failed", name)


async def test_other_http(well: Load) -> None:
    """GET, another path and a compressed body get an answer that says how to ask."""
    url = well.clients[0].url
    async with aiohttp.ClientSession() as session:
        for method, path, headers in (
            ("GET", url, {}),
            ("POST", url + "/more", {}),
            ("POST", url, {"Content-Encoding": "gzip"}),
        ):
            async with session.request(method, path, data=b"{}", headers=headers) as response:
                assert (await response.json())["error"]["data"]["name"] == "rpc/HTTP"
                assert response.status == 405


def _stranger() -> Account:
    key = SigningKey(os.urandom(32))
    return Account(account_id(key.public_key), key)


def _signed(
    load: Load,
    owner: Account,
    *,
    message: Noun | None = None,
    chain: bytes | None = None,
    until_ms: int | None = None,
    fee_max: int = 1_000_000,
) -> tuple[bytes, bytes]:
    return sign_transaction(
        chain=load.chain if chain is None else chain,
        account=owner.account,
        valid_until_ms=wall_ms() + 60_000 if until_ms is None else until_ms,
        salt=os.urandom(8),
        fee_max=fee_max,
        messages=[message or BankTransfer(load.owners[2].account, ASSET, 1)],
        keys=[owner.key],
    )


async def _post(url: str, body: bytes) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, data=_pieces(body)) as response:
        return response.status, await response.json()


async def _pieces(body: bytes) -> Any:
    yield body
