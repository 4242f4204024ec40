"""A new peer joins a running network at a snapshot: how long it takes until it is at the tip, and what that costs.

With `--hostile` one validator serves damaged pieces, one is killed midway, and the joiner itself is killed twice.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.funded import SEED
from benchmarks.network.client import Connection, http
from benchmarks.network.cluster import READY_S, Node, cluster
from benchmarks.network.load import Load
from benchmarks.network.signing import Signers
from benchmarks.network.watch import Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode import keys
from cccnode.city.bank.messages import BankTransfer
from cccnode.cli.testnet_files import Testnet
from cccnode.client import wall_ms
from cccnode.crypto.signing import SigningKey
from cccnode.keys import Role
from cccnode.node.data import read_home_genesis
from cccnode.types.transaction import account_id, sign_transaction
from genesis.bootstrap import ASSET
from genesis.document import Genesis
from storage.files import RealDisk
from storage.snapshots import Shelf

_POLL_S: Final = 0.1
_JOIN_S: Final = 1_200
"""Longer than this is no joining."""
_DRAIN_S: Final = 120
_LIFETIME_MS: Final = 290_000
_NEAR: Final = 5
"""Blocks from the tip at which a node has joined."""
_KILLED_AT: Final = (0.2, 0.6)
"""Shares of the pieces at which the joiner is killed."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validators", type=int, default=4, help="default: %(default)s")
    add("--accounts", type=int, default=1_000_000, help="in the state; default: %(default)s")
    add("--signers", type=int, default=200, help="accounts that send; default: %(default)s")
    add("--transactions", type=int, default=4_000, help="executed before the peer joins; default: %(default)s")
    add("--rate", type=float, default=400, help="at which they are sent, a second; default: %(default)s")
    add("--blocks", type=int, default=20, help="heights from one snapshot to the next; default: %(default)s")
    add("--cache-mb", type=int, default=512, help="state cache of each node; default: %(default)s")
    add("--hostile", action="store_true", help="damaged pieces, a server that dies, a joiner that is killed twice")


def _run(options: argparse.Namespace) -> Figures:
    settings = {
        "storage.cache_mb": options.cache_mb,
        "storage.snapshot_blocks": options.blocks,
        "storage.snapshot_behind": max(1, options.blocks // 2),
    }
    with cluster(validators=options.validators, peers=1, accounts=options.accounts, seed=SEED, settings=settings) as (
        network,
        nodes,
    ):
        return asyncio.run(_measure(options, network, nodes, read_home_genesis(network.home.genesis_file)))


async def _measure(options: argparse.Namespace, network: Testnet, nodes: list[Node], genesis: Genesis) -> Figures:
    watch = Watch(nodes)
    before = [(node.rss_mb(), node.rss_mb() - node.file_mb()) for node in nodes]
    try:
        executed = await _execute_one(network, genesis, watch.connections[0])
        await _fill(options, watch, genesis)
        height = await _common_snapshot(network, genesis, watch.connections[0], options.validators)
        if options.hostile:
            _damage(network, 1, height)
        joiner = _Joiner(network, options.validators)
        try:
            figures = await joiner.join(watch, nodes if options.hostile else [])
            figures |= await joiner.verdict(watch.connections[0], executed)
        finally:
            joiner.stop()
        alive = [(node, start) for node, start in zip(nodes, before, strict=True) if node.process.poll() is None]
        serving = [round(node.peak_rss_mb(), 1) for node, _ in alive]
        growth = [round(node.peak_rss_mb() - start, 1) for node, (start, _) in alive]
        unfiled = [round(node.rss_mb() - node.file_mb() - start, 1) for node, (_, start) in alive]
    finally:
        watch.close()
    figures |= {
        "accounts": options.accounts,
        "hostile": options.hostile,
        "snapshot_height": height,
        "snapshot_mb": round(_bytes(network, height) / 2**20, 1),
        "serving_rss_mb": serving,
        "serving_rss_growth_mb": growth,
        "serving_growth_without_files_mb": unfiled,
    }
    figures["sound"] = figures["verified"]
    rows = [(name, str(value)) for name, value in figures.items()]
    table("a peer joins at a snapshot", ("figure", ""), rows)
    return figures


async def _execute_one(network: Testnet, genesis: Genesis, connection: Connection) -> str:
    """A transaction that is executed before the snapshot; its bytes in hexadecimal."""
    payer = _key(network, network.account_names()[0])
    payee = account_id(_key(network, network.account_names()[1]).public_key)
    tx_id, raw = sign_transaction(
        chain=genesis.chain,
        account=account_id(payer.public_key),
        valid_until_ms=wall_ms() + _LIFETIME_MS,
        salt=os.urandom(8),
        fee_max=10_000,
        messages=[BankTransfer(payee, ASSET, 1)],
        keys=[payer],
    )
    await connection.ask("tx_submit", transaction="0x" + raw.hex())
    await connection.ask("tx_wait", tx_id="0x" + tx_id.hex(), timeout_ms=30_000)
    return "0x" + raw.hex()


def _key(network: Testnet, name: str) -> SigningKey:
    return keys.unlock(network.home.account_key(name), role=Role.ACCOUNT)


async def _fill(options: argparse.Namespace, watch: Watch, genesis: Genesis) -> None:
    accounts = [entry.account_id() for entry in genesis.accounts]
    signers = Signers(chain=genesis.chain, signers=options.signers, accounts=accounts)
    load = Load([node.rpc for node in watch.nodes], probe_every=64)
    try:
        await load.open_loop(signers.sign(options.transactions, 16, options.rate), options.rate)
        await load.answered()
    finally:
        signers.close()
        load.close()
    if not await watch.idle(_DRAIN_S):
        raise RuntimeError(f"the network did not decide the load within {_DRAIN_S} s; a lower --rate may help")


async def _common_snapshot(network: Testnet, genesis: Genesis, connection: Connection, validators: int) -> int:
    """The newest height of which every validator has a snapshot.

    A busy validator leaves heights out, and the newest snapshot is certified by a later block: so there must be more.
    """
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        found = set.intersection(*(set(_shelf(network, index).heights()) for index in range(validators)))
        if found:
            return max(found)
        await _execute_one(network, genesis, connection)
        await asyncio.sleep(_POLL_S)
    raise TimeoutError(f"no snapshot of all validators within {READY_S} s; more --transactions may help")


def _shelf(network: Testnet, index: int) -> Shelf:
    return Shelf(RealDisk(network.node(index).home.data))


def _folder(network: Testnet, index: int, height: int) -> Path:
    return network.node(index).home.data / _shelf(network, index).path(height)


def _bytes(network: Testnet, height: int) -> int:
    return sum(path.stat().st_size for path in _folder(network, 0, height).iterdir())


def _damage(network: Testnet, index: int, height: int) -> None:
    """Change a byte in the middle of every piece of the state that a node serves."""
    for path in _folder(network, index, height).glob("state-*"):
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)


class _Joiner:
    """The process of the new peer."""

    def __init__(self, network: Testnet, index: int) -> None:
        self._place = network.node(index)
        command = [sys.executable, "-m", "cccnode", "run", "--home", str(self._place.home.root)]
        self._command = [*command, "--parent", str(os.getpid())]
        self.node = Node(self._place, self._command, {})
        self.connection = Connection(self.node.rpc)
        self._peak_mb = 0.0

    def stop(self) -> None:
        self.connection.close()
        self.node.stop()
        self.node.wait()

    async def join(self, watch: Watch, victims: list[Node]) -> Figures:
        """Time and memory until it is at the tip; with `victims` one of them is killed, and the joiner twice.

        Raises:
            RuntimeError: it got there block by block, or ended by itself.
            TimeoutError: it did not get there.
        """
        began, kills, fetched = time.monotonic(), list(_KILLED_AT if victims else ()), None
        killed = 0
        while time.monotonic() < began + _JOIN_S:
            status = await self._status()
            self._weigh()
            progress = status.get("snapshot")
            if progress is not None and fetched is None:
                fetched = time.monotonic() - began
            if progress is not None and kills and progress["done"] >= kills[0] * progress["pieces"]:
                kills.pop(0)
                killed += 1
                if killed == 1:
                    victims[-1].process.kill()
                self._again()
            arrived = bool(status) and int(status["height"]) + _NEAR >= await self._tip(watch)
            if arrived and progress is None and not self._restored:
                raise RuntimeError(f"it joined block by block: {self.node.last_words()}")
            if arrived and self._restored:
                return {
                    "seconds": round(time.monotonic() - began, 1),
                    "first_piece_s": round(fetched, 1) if fetched is not None else None,
                    "joiner_killed": killed,
                    "liars_found": self._said("a false snapshot"),
                    "rss_mb": round(self._peak_mb, 1),
                }
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(f"it has not joined within {_JOIN_S} s: {self.node.last_words()}")

    @property
    def _restored(self) -> bool:
        """Whether its blocks begin at a snapshot."""
        folder = self._place.home.data
        return not (folder / "restored").exists() and self._said("begins at a snapshot") > 0

    def _said(self, what: str) -> int:
        """How often its log says that."""
        return self.node.log.read_text(encoding="utf-8").count(what)

    def _again(self) -> None:
        self.connection.close()
        self.node.process.kill()
        self.node.wait()
        self.node = Node(self._place, self._command, {})

    def _weigh(self) -> None:
        if self.node.process.poll() is not None:
            raise RuntimeError(f"it ended by itself: {self.node.last_words()}")
        self._peak_mb = max(self._peak_mb, self.node.peak_rss_mb())

    async def _status(self) -> dict[str, Any]:
        """Empty while it does not answer."""
        try:
            status: dict[str, Any] = await self.connection.ask("chain_status")
        except (OSError, EOFError):
            self.connection.close()
            return {}
        return status

    async def _tip(self, watch: Watch) -> int:
        status: dict[str, Any] = await watch.connections[0].ask("chain_status")
        return int(status["height"])

    async def verdict(self, other: Connection, executed: str) -> Figures:
        """Whether it has the others' state, and refuses as they do what was executed before the snapshot."""
        answers = []
        for connection in (self.connection, other):
            call = {"jsonrpc": "2.0", "id": 1, "method": "tx_submit", "params": {"transaction": executed}}
            answers.append(await connection.post(http(json.dumps(call).encode())))
        roots = await self._roots(other)
        refused = answers[0] == answers[1] and b"error" in answers[0]
        return {"verified": refused and roots, "roots_equal": roots, "sent_again_refused": refused}

    async def _roots(self, other: Connection) -> bool:
        """Whether both have the same state root at some moment at the same height."""
        deadline = time.monotonic() + _DRAIN_S
        while time.monotonic() < deadline:
            one, two = await self._status(), await other.ask("chain_status")
            if one and one["height"] == two["height"]:
                return bool(one["state_root"] == two["state_root"])
            await asyncio.sleep(_POLL_S)
        return False


BENCHMARK: Final = Benchmark(
    name="join",
    en="A new peer joins a running network at a snapshot: seconds until it is at the tip, and memory.",
    example="--accounts 1000000 --json   (or: --hostile)",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
