"""Calls of a node: `async with Client(url) as node: await node.submit(raw)`.

Errors carry the stable name, the number and the hint of the node's error table.  Values follow the rules of the RPC:
big integers are decimal strings, bytes are 0x-hexadecimal, accounts are bech32m.
"""

import asyncio
import io
import itertools
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from cccnode.client.accounts import Signer
from cccnode.client.events import Event, EventStream
from cccnode.client.failures import ClientError, error_from, local_error
from cccnode.codec import Noun
from cccnode.types import errors
from cccnode.types.limits import RPC_BATCH_MAX, SALT_BYTES
from cccnode.types.transaction import sign_transaction

TIMEOUT_S: Final = 30.0
DOWNLOAD_TIMEOUT_S: Final = 600.0
"""For the largest file over a slow line."""
LIFETIME_MS: Final = 60_000
"""How long a transaction made here may wait to be executed."""
FEE_MAX: Final = 1_000_000
"""What a transaction made here pays at most, in base units; the network's own fee is far below."""
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024
_WAIT_SLICE_MS: Final = 20_000
_HTTP_OK: Final = 200
_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A transaction that a node acknowledged, or refused."""

    tx_id: bytes
    error: ClientError | None = None


class Client:
    """One node's RPC, over one keep-alive session."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """A client of the node at `url`: `http://host:port` or `host:port`."""
        base = url if "://" in url else f"http://{url}"
        self.url = base.rstrip("/").removesuffix("/rpc") + "/rpc"
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)
        self._chain: bytes | None = None

    async def __aenter__(self) -> Self:
        """Use it in `async with`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        await self.close()

    async def close(self) -> None:
        """Close the session; the client may be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, method: str, *, timeout_s: float | None = None, **params: Any) -> Any:
        """The JSON result of one method; parameters in JSON form.

        Raises:
            ClientError: the node's error, `client/UNREACHABLE` or `client/BAD_ANSWER`.
        """
        call_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        answer = await self._post(_ENCODER.encode(request), timeout_s or self._timeout_s)
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise local_error(errors.BAD_ANSWER, url=self.url)
        if "error" in answer:
            raise error_from(answer["error"])
        if answer.get("id") != call_id:
            raise local_error(errors.BAD_ANSWER, url=self.url, why="the id is another call's")
        return answer["result"]

    async def status(self) -> dict[str, Any]:
        """`chain_status`."""
        status: dict[str, Any] = await self.call("chain_status")
        return status

    async def chain(self) -> bytes:
        """The chain id, asked once."""
        if self._chain is None:
            self._chain = from_hex((await self.status())["chain"])
        return self._chain

    async def submit(self, raw: bytes) -> bytes:
        """Send a signed transaction; its id, once the node has it durably.

        Raises:
            ClientError: the node refused it, by name.
        """
        answer = await self.call("tx_submit", transaction=to_hex(raw))
        return from_hex(answer["tx_id"])

    async def submit_promised(self, raw: bytes) -> tuple[bytes, bytes | None]:
        """The same, and the node's promise by which height it is decided; None where it is decided already.

        Keep the bytes: `LightClient.promise` and `cccnode evidence promise` tell whether the node kept its word.
        """
        answer = await self.call("tx_submit", transaction=to_hex(raw), promise=True)
        return from_hex(answer["tx_id"]), None if answer["promise"] is None else from_hex(answer["promise"])

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Sent]:
        """Send many signed transactions, in calls of 512; one answer each, in order."""
        sent: list[Sent] = []
        for start in range(0, len(raws), RPC_BATCH_MAX):
            batch = [to_hex(raw) for raw in raws[start : start + RPC_BATCH_MAX]]
            answer = await self.call("tx_submit_batch", transactions=batch)
            sent.extend(_sent(result) for result in answer["results"])
        return sent

    async def tx_status(self, tx_id: bytes, *, valid_until_ms: int | None = None) -> dict[str, Any]:
        """What the node knows of a transaction now."""
        status: dict[str, Any] = await self.call("tx_status", **_by_id(tx_id, valid_until_ms))
        return status

    async def wait(
        self, tx_id: bytes, *, valid_until_ms: int | None = None, timeout_ms: int = LIFETIME_MS
    ) -> dict[str, Any]:
        """The status of a transaction once it is decided (executed, refused or expired).

        Raises:
            ClientError: `rpc/WAIT_TIMEOUT` when it is undecided after `timeout_ms`.
        """
        end = time.monotonic() + timeout_ms / 1000
        while True:
            left_ms = max(0, int((end - time.monotonic()) * 1000))
            slice_ms = min(left_ms, _WAIT_SLICE_MS)
            try:
                status: dict[str, Any] = await self.call(
                    "tx_wait",
                    timeout_s=slice_ms / 1000 + self._timeout_s,
                    timeout_ms=slice_ms,
                    **_by_id(tx_id, valid_until_ms),
                )
            except ClientError as error:
                if error.name != errors.WAIT_TIMEOUT.name or left_ms <= _WAIT_SLICE_MS:
                    raise
            else:
                return status

    async def sign(
        self,
        signer: Signer,
        messages: Sequence[Noun],
        *,
        valid_until_ms: int | None = None,
        fee_max: int = FEE_MAX,
    ) -> "Signed":
        """A signed transaction for this node's chain, not sent yet."""
        until = valid_until_ms or wall_ms() + LIFETIME_MS
        tx_id, raw = sign_transaction(
            chain=await self.chain(),
            account=signer.account,
            valid_until_ms=until,
            salt=os.urandom(SALT_BYTES),
            fee_max=fee_max,
            messages=messages,
            keys=[signer.key],
        )
        return Signed(tx_id=tx_id, raw=raw, valid_until_ms=until)

    async def send(self, signer: Signer, messages: Sequence[Noun], *, fee_max: int = FEE_MAX) -> "Signed":
        """Sign and submit."""
        signed = await self.sign(signer, messages, fee_max=fee_max)
        await self.submit(signed.raw)
        return signed

    async def send_and_wait(
        self, signer: Signer, messages: Sequence[Noun], *, fee_max: int = FEE_MAX, timeout_ms: int = LIFETIME_MS
    ) -> dict[str, Any]:
        """Sign, submit and wait for the decision: its status."""
        signed = await self.send(signer, messages, fee_max=fee_max)
        return await self.wait(signed.tx_id, valid_until_ms=signed.valid_until_ms, timeout_ms=timeout_ms)

    async def download(
        self, path: str, write: Callable[[bytes], object], *, bytes_max: int, timeout_s: float = DOWNLOAD_TIMEOUT_S
    ) -> int:
        """Get a file of the node's RPC port, such as `/genesis.json`, piece by piece; its size.

        What arrives is anybody's word: check its hash.

        Raises:
            ClientError: `core/OVERSIZE`, the node's error, `client/UNREACHABLE` or `client/BAD_ANSWER`.
        """
        url = self.url.removesuffix("/rpc") + path
        size = 0
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._open().get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response,
            ):
                if response.status != _HTTP_OK:
                    raise _refused(await _read_all(response), url, response.status)
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > bytes_max:
                        raise local_error(errors.OVERSIZE, url=url, bytes_max=bytes_max)
                    write(chunk)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
            raise local_error(errors.UNREACHABLE, url=url, why=str(error) or "no answer in time") from error
        return size

    def events(
        self,
        *,
        after: str | None = None,
        module: str | None = None,
        name: str | None = None,
        account: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Events behind a cursor (`"0"`: all that are kept; None: from now on), each once, also across disconnects.

        Raises:
            ClientError: `events/LAGGED` when events behind the cursor are no longer kept.
        """
        given = {"module": module, "name": name, "account": account}
        filters = {key: value for key, value in given.items() if value is not None}
        url = self.url.removesuffix("/rpc") + "/v1/events"
        return EventStream(url, self._open, after=after, filters=filters).read()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def _post(self, body: bytes, timeout_s: float) -> Any:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._open().post(
                    self.url, data=_payload(body), headers={"Content-Type": "application/json"}
                ) as response,
            ):
                raw = await _read_all(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise local_error(errors.UNREACHABLE, url=self.url, why=str(error) or "no answer in time") from error
        try:
            return _DECODER.decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise local_error(errors.BAD_ANSWER, url=self.url, http_status=response.status) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction."""

    tx_id: bytes
    raw: bytes
    valid_until_ms: int


def _payload(body: bytes) -> bytes | io.BytesIO:
    """A large body goes out in pieces, so that it does not hold up the loop."""
    return body if len(body) < _PIECE_BYTES else io.BytesIO(body)


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    """The body, bounded: a node that we talk to may be anybody's."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def wall_ms() -> int:
    """Milliseconds since 1970: deadlines are promises to people."""
    return time.time_ns() // 1_000_000


def to_hex(data: bytes) -> str:
    """Bytes as the RPC writes them."""
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    """Bytes as the RPC writes them, read."""
    return bytes.fromhex(text.removeprefix("0x"))


def _refused(raw: bytes, url: str, http_status: int) -> ClientError:
    """Why a file was not served: a cccnode says it in the usual envelope."""
    try:
        answer = _DECODER.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and "error" in answer:
        return error_from(answer["error"])
    return local_error(errors.BAD_ANSWER, url=url, http_status=http_status)


def _sent(result: dict[str, Any]) -> Sent:
    tx_id = from_hex(result["tx_id"] or "")
    return Sent(tx_id=tx_id, error=error_from(result["error"]) if "error" in result else None)


def _by_id(tx_id: bytes, valid_until_ms: int | None) -> dict[str, Any]:
    params: dict[str, Any] = {"tx_id": to_hex(tx_id)}
    if valid_until_ms is not None:
        params["valid_until_ms"] = str(valid_until_ms)
    return params
