"""A registered peer that forwards transactions without end, every second signature forged: what that costs the others.

It lives in a process of its own and keeps to no limit.  Accounts and keys are made up, so that no signer has a table
and whatever is validly signed is refused by the state: nothing of it becomes part of a block.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final, Self

from benchmarks.funded import FEE_MAX, LIFE_MS
from benchmarks.measure import percentiles
from benchmarks.network.step import Step
from benchmarks.report import table
from cccnode import keys
from cccnode.city.bank.messages import BankTransfer
from cccnode.cli.testnet_files import Testnet
from cccnode.crypto.signing import SigningKey
from cccnode.keys import Role
from cccnode.types.transaction import account_id, sign_transaction
from genesis.bootstrap import ASSET
from p2p.directory import Identity
from p2p.frames import Channel
from p2p.messages import HOPS_MAX, Ack, Forward, write
from tests.p2p.support import Raw

_FRAMES: Final = 32
_FRAME_TXS: Final = 256
_SIGNERS: Final = 4_096
_REDIAL_S: Final = 0.25


@dataclass(slots=True)
class Heard:
    """How far the peer got, over all validators."""

    links: int = 0
    """How often a validator let it in."""
    refused_dials: int = 0
    frames: int = 0
    transactions: int = 0
    """Handed to the connection; how many of them were still read is the validators' business."""
    cut_after_ms: list[float] = field(default_factory=list)
    """From the first frame of a link to its end, for each."""


class Flood:
    """The attack: it begins at once and goes on until `end`."""

    def __init__(self, network: Testnet, chain: bytes) -> None:
        """Attack all validators of `network` with the key of its first peer."""
        peer = network.node(network.shape.validators)
        seed = keys.unlock(peer.home.node_key, role=Role.NODE).seed
        addresses = [network.node(index).p2p for index in range(network.shape.validators)]
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_attack, args=(seed, addresses, chain, theirs), daemon=True)
        self._process.start()
        self._pipe.recv()  # it has signed what it will say

    def begin(self) -> Self:
        """From now on."""
        self._pipe.send("begin")
        return self

    def end(self) -> dict[str, Any]:
        """Stop, and tell what came of it."""
        self._pipe.send("end")
        heard: Heard = self._pipe.recv()
        self._process.join()
        return {**asdict(heard), "cut_off": len(heard.cut_after_ms), "cut_after_ms": percentiles(heard.cut_after_ms)}


def figures(usual: Step, flooded: Step, heard: dict[str, Any]) -> dict[str, Any]:
    """What the flood took from the others, and what it got."""
    found = {
        "usual_tx_per_s": round(usual.committed_per_s, 1),
        "flooded_tx_per_s": round(flooded.committed_per_s, 1),
        "flooded_to_usual": round(flooded.committed_per_s / (usual.committed_per_s or 1.0), 3),
        "usual_finality_ms": percentiles(usual.finality_ms),
        "flooded_finality_ms": percentiles(flooded.finality_ms),
        "flood": heard,
    }
    table("flood of one peer", ("figure", ""), [(name, str(value)) for name, value in found.items()])
    return found


def _attack(seed: bytes, addresses: Sequence[str], chain: bytes, pipe: Connection) -> None:
    frames = rubbish(chain, valid_until_ms=time.time_ns() // 1_000_000 + LIFE_MS)
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(_flood(Identity(seed), addresses, chain, frames, pipe)))


def rubbish(chain: bytes, *, valid_until_ms: int) -> list[bytes]:
    """Payloads for the TX channel: transfers of accounts that do not exist, every second signature forged."""
    owners = [SigningKey(b"flooding" + number.to_bytes(24, "big")) for number in range(_SIGNERS)]
    raws = []
    for number in range(_FRAMES * _FRAME_TXS):
        key = owners[number % _SIGNERS]
        _, raw = sign_transaction(
            chain=chain,
            account=account_id(key.public_key),
            valid_until_ms=valid_until_ms,
            salt=number.to_bytes(8, "big"),
            fee_max=FEE_MAX,
            messages=[BankTransfer(to=bytes(20), asset=ASSET, amount=1)],
            keys=[key],
        )
        raws.append(raw if number % 2 else raw[:-1] + bytes([raw[-1] ^ 1]))
    return [
        write(Forward(HOPS_MAX, tuple(raws[first : first + _FRAME_TXS]))) for first in range(0, len(raws), _FRAME_TXS)
    ]


async def _flood(
    who: Identity, addresses: Sequence[str], chain: bytes, frames: Sequence[bytes], pipe: Connection
) -> Heard:
    heard = Heard()
    tasks = [asyncio.create_task(_keep_on(who, address, chain, frames, heard)) for address in addresses]
    await asyncio.to_thread(pipe.recv)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return heard


async def _keep_on(who: Identity, address: str, chain: bytes, frames: Sequence[bytes], heard: Heard) -> None:
    """Dial, speak until hung up on, and dial again."""
    while True:
        with suppress(OSError, TimeoutError):
            link = await Raw.dial(who, address)
            try:
                if isinstance(await link.greet(chain=chain), Ack):
                    heard.links += 1
                    began = time.monotonic()
                    await _assault(link, frames, heard)
                    heard.cut_after_ms.append((time.monotonic() - began) * 1_000)
                else:
                    heard.refused_dials += 1
            finally:
                link.close()
        await asyncio.sleep(_REDIAL_S)


async def _assault(link: Raw, frames: Sequence[bytes], heard: Heard) -> None:
    """Until the node hangs up."""
    reading = asyncio.create_task(_read_on(link))
    try:
        while not link.writer.is_closing() and not reading.done():
            for frame in frames:
                link.say(Channel.TX, frame)
                heard.frames += 1
                heard.transactions += _FRAME_TXS
                await link.writer.drain()
                await asyncio.sleep(0)
                if reading.done():
                    return
    except ConnectionError:
        return
    finally:
        reading.cancel()


async def _read_on(link: Raw) -> None:
    with suppress(OSError):
        while await link.reader.read(65_536):
            pass
