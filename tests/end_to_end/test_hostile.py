"""Registered nodes that mean harm: real TLS, a registered key, and a script.  The others go on, within bounds."""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cccnode import keys
from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.driver.messages import IDS_MAX, BatchPush, BatchRequest, Have
from cccnode.keys import Role
from cccnode.types.vote import Kind, Proposal, Vote
from consensus.messages import BlockRequest, CertificatesRequest, StatusMessage, VotesMessage, encode_message
from p2p.directory import Identity
from p2p.frames import Channel
from p2p.messages import (
    NO_ROUTE,
    Ack,
    AddressesRequest,
    Announce,
    BlocksRequest,
    Forward,
    Pause,
    Ping,
    write,
)
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, headers, height
from tests.end_to_end.waiting import beats, until
from tests.p2p.support import Raw

OTHERS = [0, 1, 2]
BLOCKS = 8
"""How long each attack lasts, at least."""
BURSTS = 12
"""How much of an attack a node gets to hear, unless it hangs up for good."""
BURSTS_PER_SECOND = 10
DIALS_PER_SECOND = 4
GROWN_BYTES_MAX = 128 << 20
"""More memory than this no attack may cost a node: the queues of one link hold 34 MiB, its frames under way a few."""
WITHHOLDING = (sys.executable, "-m", "tests.end_to_end.withholding")

Burst = list[tuple[Channel, bytes]]


@dataclass(frozen=True, slots=True)
class Attack:
    """What is said without end, and whether the answers are read."""

    says: Callable[[], Iterator[Burst]]
    patient: bool = True
    """It keeps within every limit of what may be said in a second; otherwise it is soon thrown out."""
    reads: bool = True


def ask_for_everything() -> Iterator[Burst]:
    """Requests whose answers are long."""
    for number in itertools.count(1):
        blocks = [(Channel.BLOCK, write(BlocksRequest(number, 1 + at, 64))) for at in range(8)]
        votes = [(Channel.CONSENSUS, encode_message(CertificatesRequest(0, 1 + at, 64 + at))) for at in range(16)]
        yield [*blocks, *votes, (Channel.CONTROL, write(AddressesRequest(number)))]


def name_what_nobody_has() -> Iterator[Burst]:
    """Announcements that lead to fetches which are never answered, and requests for the unknown."""
    for number in itertools.count(1):
        ids = tuple(os.urandom(32) for _ in range(IDS_MAX))
        yield [
            (Channel.HAVE, encode(Have(ids))),
            (Channel.BATCH, encode(BatchRequest(ids))),
            *((Channel.CONSENSUS, encode_message(BlockRequest(0, os.urandom(32)))) for _ in range(64)),
            (Channel.BLOCK, write(BlocksRequest(number, 2**40, 64))),
            (Channel.CONTROL, write(Announce(2**40 + number, os.urandom(32), 1, NO_ROUTE))),
        ]


def boast() -> Iterator[Burst]:
    """Messages that are right in form, and useless."""
    standing = StatusMessage(0, 2**40, Proposal(2**40, 0, 2**40, os.urandom(32)), 2**40)
    for number in itertools.count(1):
        pauses = [(Channel.LINK, write(Pause(channel))) for channel in (Channel.CONSENSUS, Channel.BATCH)]
        ping = (Channel.LINK, write(Ping(number, 2**50, 2**40)))
        yield [ping, *pauses, *[(Channel.CONSENSUS, encode_message(standing))] * 64]


def forge_votes() -> Iterator[Burst]:
    """Votes with signatures that nobody made, for views in the near future."""
    for view in itertools.count(1):
        nothing = Proposal(view, 0, 0, ZERO)
        something = Proposal(view, view - 1, view, bytes(range(32)))
        cases = [(Kind.NOTARIZE, something), (Kind.NULLIFY, nothing), (Kind.FINALIZE, something)]
        votes = [Vote(kind, proposal, 3, os.urandom(64)) for kind, proposal in cases]
        yield [(Channel.CONSENSUS, encode_message(VotesMessage(0, 0, (vote,)))) for vote in votes]


def forward_rubbish() -> Iterator[Burst]:
    """Bytes that are no transactions, forwarded and pushed."""
    while True:
        raws = tuple(os.urandom(400) for _ in range(64))
        yield [(Channel.TX, write(Forward(8, raws))), (Channel.BATCH, encode(BatchPush(raws)))]


def make_noise() -> Iterator[Burst]:
    """Bytes that are no messages, on every channel."""
    while True:
        yield [(channel, os.urandom(4096)) for channel in Channel]


AS_VALIDATOR = [
    Attack(ask_for_everything, reads=False),
    Attack(name_what_nobody_has),
    Attack(boast),
    Attack(forge_votes, patient=False),
]
"""One after the other: the last one gets it thrown out."""
AS_PEERS = {
    4: Attack(ask_for_everything, patient=False, reads=False),
    5: Attack(name_what_nobody_has, patient=False),
    6: Attack(forward_rubbish, patient=False),
    7: Attack(make_noise, patient=False),
}
"""All at once."""


@dataclass(slots=True)
class Attacker:
    """Says an attack to one node, and again after every hang-up."""

    attack: Attack
    identity: Identity
    address: str
    bursts: int = 0
    hung_up: int = 0

    @property
    def was_heard(self) -> bool:
        """Whether the node has heard enough, or wanted to hear no more."""
        return self.bursts >= BURSTS or (self.hung_up > 0 and not self.attack.patient)

    async def keep_on(self, chain: bytes) -> None:
        """Until cancelled."""
        async for _ in beats(DIALS_PER_SECOND):
            with suppress(OSError, TimeoutError):
                link = await Raw.dial(self.identity, self.address)
                try:
                    if isinstance(await link.greet(chain=chain), Ack):
                        await self._assault(link)
                        self.hung_up += 1
                finally:
                    link.close()

    async def _assault(self, link: Raw) -> None:
        """Until the node hangs up."""
        reading = asyncio.create_task(read_on(link)) if self.attack.reads else None
        script = self.attack.says()
        try:
            async for _ in beats(BURSTS_PER_SECOND):
                if link.writer.is_closing() or (reading is not None and reading.done()):
                    return
                for channel, payload in next(script):
                    link.say(channel, payload)
                await link.writer.drain()
                self.bursts += 1
        except ConnectionError:
            return
        finally:
            if reading is not None:
                reading.cancel()


async def read_on(link: Raw) -> None:
    """Take whatever comes, to the end."""
    with suppress(OSError):
        while await link.reader.read(65_536):
            pass


def attackers(city: Network, who: int, attack: Attack, targets: Sequence[int]) -> list[Attacker]:
    """One for each target, with the real key of a registered node."""
    identity = Identity(keys.unlock(city.node(who).home.node_key, role=Role.NODE).seed)
    return [Attacker(attack, identity, city.node(target).p2p) for target in targets]


async def endure(load: Load, honest: Sequence[int], all_of: Sequence[Attacker]) -> None:
    """All attack at once; blocks come, and transactions are final, until everybody was heard and a while longer."""

    async def heard() -> bool:
        return all(attacker.was_heard for attacker in all_of)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attacker.keep_on(load.chain)) for attacker in all_of]
        await until(heard, "all attacks were heard")
        await advance(load.clients[0], BLOCKS)
        await load.final_everywhere(honest)
        for task in tasks:
            task.cancel()


def peak_bytes(network: Network, nodes: Sequence[int]) -> list[int]:
    """The most memory that each node ever used."""
    paths = [Path(f"/proc/{network.processes[node].pid}/status") for node in nodes]
    return [int(path.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) * 1024 for path in paths]


async def unharmed(city: Network, load: Load, honest: Sequence[int], before: Sequence[int]) -> None:
    """Memory stayed within its bounds, and nobody lacks anything."""
    grown = [now - was for now, was in zip(peak_bytes(city, honest), before, strict=True)]
    assert max(grown) < GROWN_BYTES_MAX, f"grew by {grown}"
    for node in honest:
        assert not {"consensus/NO_QUORUM", "node/BEHIND"} & set(codes(await load.clients[node].status()))


async def test_hostile_validator(city: Network, well: Load) -> None:
    """One that reads nothing, names what nobody has, boasts and forges: three others go on, within their memory."""
    before = await picture(well, [0])
    city.kill(3)
    well.targets = OTHERS
    async with well.running():
        await advance(well.clients[0], BLOCKS)
        first = peak_bytes(city, OTHERS)
        for attack in AS_VALIDATOR:
            await endure(well, OTHERS, attackers(city, 3, attack, OTHERS))
            await unharmed(city, well, OTHERS, first)
    await exactly_once(well, OTHERS, before)


async def test_hostile_peers(city: Network, well: Load) -> None:
    """Four registered peers at once, each with a vice: blocks go on, and memory stays within its bounds."""
    before = await picture(well, [0])
    async with well.running():
        await advance(well.clients[0], BLOCKS)
        first = peak_bytes(city, VALIDATORS)
        all_of = [one for who, attack in AS_PEERS.items() for one in attackers(city, who, attack, VALIDATORS)]
        await endure(well, VALIDATORS, all_of)
        await unharmed(city, well, VALIDATORS, first)
    await exactly_once(well, VALIDATORS, before)


async def test_withheld_batches(city: Network, well: Load) -> None:
    """A leader lists what it hands out to nobody: its views are lost until its transactions expire, nobody else's."""
    before = await picture(well, [0])
    city.stop(3)
    city.start(3, program=WITHHOLDING)
    await city.validating(well.clients, 3)
    well.targets = OTHERS
    async with well.running():
        withheld = await well.send(3, lifetime_ms=6_000)
        assert withheld.acknowledged
        await advance(well.clients[0], BLOCKS)
        await well.final_everywhere(OTHERS)
        assert (await well.decided(0, withheld))["state"] == "expired"
        at = await advance(well.clients[0], BLOCKS)
        await until(lambda: proposes(well, 3, at), "node 3 leads again")
    city.stop(3)
    city.start(3)
    await city.validating(well.clients, 3)
    await exactly_once(well, VALIDATORS, before, lost=[withheld])


async def proposes(load: Load, validator: int, since: int) -> bool:
    """Whether it made a block from this height on."""
    rows = await headers(load.clients[0], since, await height(load.clients[0]))
    return validator in {row["proposer"] for row in rows}
