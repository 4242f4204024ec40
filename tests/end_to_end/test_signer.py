"""A validator whose key is on another machine: cut off, restarted, with another clock, shared by two nodes."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from cccnode import keys
from cccnode.cli.main import run_cli
from cccnode.client import Client
from cccnode.config import LOOPBACK
from cccnode.home import Home
from cccnode.node.data import read_home_genesis
from cccnode.signer.card import read_card
from cccnode.signer.remote import RemoteSigner
from cccnode.types.vote import Kind, Proposal, Vote, contradict, nullified, vote_bytes
from consensus.records import VoteRecord, decode_record
from p2p.directory import Identity
from storage.files import RealDisk
from storage.journal import Journal
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import CCCNODE, END_S, ROOT, SHIFTED, Network, advance, codes
from tests.end_to_end.waiting import until

AWAY = "signer/AWAY"
CUT_S = 30
EVERYBODY = (0, 1, 2, 3)


class Office:
    """The signer's machine."""

    def __init__(self, home: Path, dial: Sequence[str]) -> None:
        self.home, self.dial = home, dial
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, program: Sequence[str] = CCCNODE, shift_ms: int = 0) -> None:
        command = [*program, "signer", "run", "--home", str(self.home), "--parent", str(os.getpid())]
        command += [word for node in self.dial for word in ("--dial", node)]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "SHIFT_MS": str(shift_ms)},
            )

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(END_S)
            self._process = None

    def log(self) -> str:
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")


def _typed(*words: str) -> None:
    assert run_cli([*words, "--output", "json"]) == 0


def _move_key(node: Home, office: Home, genesis: Path) -> None:
    """What an operator types to move a validator's key to a signer."""
    office.keys.mkdir(parents=True)
    office.keys.chmod(0o700)
    shutil.move(node.validator_key, office.validator_key)
    _typed("signer", "init", "--unencrypted", "--home", str(office.root))
    assert run_cli(["signer", "allow", "--genesis", str(genesis), "--home", str(office.root)]) == 78  # made elsewhere
    _typed("signer", "allow", "--genesis", str(genesis), "--floor", "0:0", "--home", str(office.root))
    _use(node, office)


def _use(node: Home, office: Home) -> None:
    _typed("signer", "use", str(office.signer_card), "--home", str(node.root))


def _listen(node: Home, port: int) -> str:
    """Let a node listen for its signer; what the signer dials."""
    text = node.config_file.read_text()
    node.config_file.write_text(f'{text}\n[signer]\nlisten = "{LOOPBACK}:{port}"\n')
    return f"{keys.read(node.node_key).pubkey}@{LOOPBACK}:{port}"


@pytest.fixture
def town(tmp_path: Path) -> AsyncIterator[tuple[Network, Office]]:
    network = Network.prepare(tmp_path / "net", guests=1)
    home, office = network.node(0).home, Home(tmp_path / "office")
    _move_key(home, office, network.testnet.home.genesis_file)
    running = Office(office.root, [_listen(home, network.testnet.shape.ports["p2p"] + 5)])
    try:
        yield network, running
    finally:
        running.stop()
        network.stop_all()


class Cable:
    """The line between the office and the node: cut, it takes everything in and carries nothing, like a dead router."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._key, _, self._address = office.dial[0].rpartition("@")
        self._whole = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()
        self._work: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._whole.set()
        self._server = await asyncio.start_server(self._carry, LOOPBACK, 0)
        port = self._server.sockets[0].getsockname()[1]
        self._office.dial = [f"{self._key}@{LOOPBACK}:{port}"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._drop()
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def cut(self) -> None:
        self._whole.clear()

    def mend(self, *, late: bool) -> None:
        """What was on the way arrives now, late; or the router knows nothing of the old connections any more."""
        if not late:
            self._drop()
        self._whole.set()

    def _drop(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._work.add(own)
        with suppress(OSError):
            host, _, port = self._address.rpartition(":")
            far = await asyncio.open_connection(host, int(port))
            self._ends |= {writer, far[1]}
            await asyncio.gather(self._pump(reader, far[1]), self._pump(far[0], writer))
        writer.close()
        self._work.discard(own)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            await self._whole.wait()
            writer.write(chunk)
            await writer.drain()
        writer.close()


async def _no_evidence(clients: Sequence[Client]) -> None:
    """Nobody has seen two votes that contradict each other, and no node is alarmed."""
    for client in clients:
        assert "consensus/SAFETY_ALARM" not in codes(await client.status())
    assert (await clients[1].call("evidence_list"))["count"] == "0"


async def _needed(network: Network, clients: Sequence[Client]) -> None:
    """With another validator gone nothing is final without the signer's votes."""
    network.stop(3)
    await advance(clients[0], 2)
    network.start(3)
    await network.validating(clients, 3)


async def test_a_signer_that_goes_and_comes_back(town: tuple[Network, Office]) -> None:
    """Cut off under load, killed, started with another clock: the node observes, says why, then votes again."""
    network, office = town
    network.start(*EVERYBODY)
    async with network.clients() as clients, Cable(office) as cable:
        await network.observing(clients, 0, AWAY)
        office.start()
        await network.validating(clients, *EVERYBODY)
        load = Load(network, clients, [0, 1, 2])
        before = await picture(load, EVERYBODY)
        async with load.running():
            await _needed(network, clients)
            for late in (True, False):
                cable.cut()
                await network.observing(clients, 0, AWAY)
                await advance(clients[1], 5)  # the others go on
                cable.mend(late=late)
                await network.validating(clients, 0)
                await _needed(network, clients)
            office.stop()
            await network.observing(clients, 0, AWAY)
            await advance(clients[0], 3)
            office.start(program=SHIFTED, shift_ms=-400 * 86_400_000)
            await network.validating(clients, *EVERYBODY)
            await _needed(network, clients)
        await exactly_once(load, EVERYBODY, before)
        await _no_evidence(clients)
    assert "refused" not in office.log()


def _twin(network: Network, office: Office, folder: Path) -> int:
    """A second home of node 0, made while it does not run: the accident of two machines with one key."""
    twin = network.invite()
    shutil.copytree(network.node(0).home.root, twin.home.root)
    again = ["signer", "use", str(office.home / "signer.json"), "--home", str(twin.home.root)]
    assert run_cli(again) != 0  # it has one
    text = twin.home.config_file.read_text()
    for name in ("p2p", "rpc", "ops"):
        text = text.replace(getattr(network.node(0), name), getattr(twin, name))
    port = network.testnet.shape.ports["p2p"] + 5
    twin.home.config_file.write_text(text.replace(f"{LOOPBACK}:{port}", f"{LOOPBACK}:{port + 1}"))
    office.dial = [*office.dial, office.dial[0].replace(str(port), str(port + 1))]
    return twin.index


async def test_two_nodes_at_one_signer(town: tuple[Network, Office], tmp_path: Path) -> None:
    """Both ask under load, whoever has the signer's word last: no two votes contradict each other, blocks go on."""
    network, office = town
    twin = _twin(network, office, tmp_path)
    office.start()
    network.start(*EVERYBODY)
    async with network.clients() as clients:
        await network.validating(clients, *EVERYBODY)
        load = Load(network, clients, [1, 2, 3])
        before = await picture(load, [1, 2, 3])
        async with load.running():
            await advance(clients[1], 3)
            network.start(twin)
            await until(lambda: _connected(office, 2), "the signer serves both")
            await advance(clients[1], 10)
            network.stop(0)
            await advance(clients[1], 5)
            network.stop(twin)
            network.start(0)
            await advance(clients[1], 5)
        await exactly_once(load, [1, 2, 3], before)
        await _no_evidence(clients[1:4])


async def _connected(office: Office, times: int) -> bool:
    return office.log().count("connected") - office.log().count("not connected") >= times


def _votes(network: Network, index: int) -> list[Vote]:
    """What a node that does not run has signed in the first epoch."""
    disk = RealDisk(network.node(index).home.data)
    _, bodies = Journal.open(disk, "journal/0", 0)
    disk.close()
    return [record.vote for record in map(decode_record, bodies) if isinstance(record, VoteRecord)]


async def _mislead(signer: RemoteSigner, clients: Sequence[Client], chain: bytes) -> list[Vote]:
    """Ask like a node that votes for another block in every view, and gives it up; what was signed."""
    asked: dict[bytes, Vote] = {}
    for number in range(60):
        view = int((await clients[1].status())["view"]) + number % 3
        other = Proposal(view, view - 1, view, b"x" * 32)
        for kind, proposal in ((Kind.NOTARIZE, other), (Kind.FINALIZE, other), (Kind.NULLIFY, nullified(view))):
            message = vote_bytes(kind, chain, 0, proposal)
            asked[message] = Vote(kind, proposal, 0, bytes(64))
            signer(message)
        await advance(clients[1], 1)
    return [vote for message, vote in asked.items() if signer(message) is not None]


async def test_a_second_node_that_asks_for_other_votes(town: tuple[Network, Office]) -> None:
    """Whichever of two nodes comes first gets the signature; the network goes on, and so does the honest node."""
    network, office = town
    seed, port = b"n" * 32, network.testnet.shape.ports["p2p"] + 6
    other = RemoteSigner(read_card(network.node(0).home.signer_card), Identity(seed))
    await other.start(LOOPBACK, port)
    office.dial = [*office.dial, f"{Identity(seed).node_key.hex()}@{LOOPBACK}:{port}"]
    office.start()
    network.start(*EVERYBODY)
    try:
        async with network.clients() as clients:
            await network.validating(clients, *EVERYBODY)
            load = Load(network, clients, EVERYBODY)
            before = await picture(load, EVERYBODY)
            async with load.running():
                got = await _mislead(other, clients, read_home_genesis(network.testnet.home.genesis_file).chain)
                await other.stop()
                await advance(clients[1], 5)  # beyond the views in which the honest node came second
                await _needed(network, clients)
            await exactly_once(load, EVERYBODY, before)
            await _no_evidence(clients)
            await network.validating(clients, *EVERYBODY)
    finally:
        await other.stop()
    network.stop(0)
    own = _votes(network, 0)
    assert own
    assert got, "the other node was first nowhere"
    assert "signer/CONFLICT" in office.log()
    assert not [(mine, theirs) for mine in own for theirs in got if contradict(mine, theirs)]


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_half_a_minute_without_a_signer(town: tuple[Network, Office]) -> None:
    """Cut off for 30 s under load, then back, five times."""
    network, office = town
    network.start(*EVERYBODY)
    async with network.clients() as clients, Cable(office) as cable:
        office.start()
        await network.validating(clients, *EVERYBODY)
        load = Load(network, clients, EVERYBODY)
        before = await picture(load, EVERYBODY)
        async with load.running():
            for number in range(5):
                cable.cut()
                until_s = time.monotonic() + CUT_S
                while time.monotonic() < until_s:
                    await advance(clients[1], 1)
                await network.observing(clients, 0, AWAY)
                cable.mend(late=number % 2 == 0)
                await network.validating(clients, 0)
                await _needed(network, clients)
        await exactly_once(load, EVERYBODY, before)
        await _no_evidence(clients)
