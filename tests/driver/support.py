"""One node's batches over fake links and virtual time; whole networks whose votes are audited."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.codec import decode, encode
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.signing import SigningKey
from cccnode.driver.dissemination import Dissemination
from cccnode.driver.epochs import Epoch, Identity, make_epoch
from cccnode.driver.messages import BatchMessage, BatchPush, BatchReply, BatchRequest, Have
from cccnode.driver.pool import BatchPool, Entry
from cccnode.driver.stages import Stages
from cccnode.ingress import decode_transactions, trusted_transactions
from cccnode.types.block import Header
from cccnode.types.errors import Fault
from cccnode.types.transaction import Verified, account_id, sign_transaction
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator
from cccnode.types.vote import Kind, Vote
from consensus.guard import Guard
from p2p.frames import Channel
from p2p.scores import Offence
from storage.batches import BatchStore
from storage.memory import MemoryDisk
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode
from tests.simulation.world import WALL_START_MS, NodeRuntime, World

CHAIN = b"c" * 32
KEY = SigningKey(b"k" * 32)
ME, ALICE, BOB, CAROL, PEER = (bytes([number]) * 32 for number in range(1, 6))
VALIDATORS = {ME: 0, ALICE: 1, BOB: 2, CAROL: 3}
QUORUM = 3
START = Header(
    version=1,
    chain=CHAIN,
    epoch=0,
    view=0,
    height=0,
    parent=ZERO,
    parent_view=0,
    time_ms=WALL_START_MS,
    proposer=0,
    body_root=ZERO,
    tx_count=0,
    body_bytes=0,
    exec_height=0,
    state_root=ZERO,
    results_root=ZERO,
    history_root=ZERO,
    epoch_record_hash=ZERO,
    next_epoch_record_hash=ZERO,
    extra_hash=ZERO,
)
"""Where the epochs of a bench begin, unless a test says otherwise."""
FALSE = b"\x07" * 64
"""A signature that does not hold here."""


def raw(
    number: int, *, valid_until_ms: int = WALL_START_MS + 60_000, key: SigningKey = KEY, messages: int = 1
) -> bytes:
    """A transfer; different numbers are different transactions."""
    account = account_id(key.public_key)
    transfer = BankTransfer(bytes(20), "uccc", 1)
    _, signed = sign_transaction(
        chain=CHAIN,
        account=account,
        valid_until_ms=valid_until_ms,
        salt=number.to_bytes(8, "big"),
        fee_max=10_000,
        messages=[transfer] * messages,
        keys=[key],
    )
    return signed


@cache
def raws(first: int, count: int, messages: int = 1) -> tuple[bytes, ...]:
    """A batch."""
    return tuple(raw(first + offset, messages=messages) for offset in range(count))


def believe(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
    """Signatures of sevens are false, all others good."""
    return [signature != FALSE for signature in signatures]


def unsigned(good: bytes) -> bytes:
    """The same transaction with a signature that does not hold; it decodes."""
    return good[:-64] + FALSE


@dataclass
class FakeLinks:
    """Remembers what was sent; whoever is in `up` is connected."""

    up: set[bytes] = field(default_factory=lambda: {ALICE, BOB, CAROL, PEER})
    sent: list[tuple[bytes, Channel, bytes]] = field(default_factory=list)
    paused: dict[tuple[bytes, Channel], bool] = field(default_factory=dict)
    punished: list[tuple[bytes, Offence]] = field(default_factory=list)
    full: set[bytes] = field(default_factory=set)
    """Nodes whose queue takes nothing."""

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        if peer not in self.up or peer in self.full:
            return False
        self.sent.append((peer, channel, payload))
        return True

    def connected(self) -> Collection[bytes]:
        return self.up

    def pause(self, peer: bytes, channel: Channel, *, paused: bool) -> None:
        self.paused[peer, channel] = paused

    def punish(self, peer: bytes, offence: Offence, detail: str) -> None:
        self.punished.append((peer, offence))

    def want(self, keys: Iterable[bytes]) -> None:
        pass

    def hint(self, node_key: bytes, address: str) -> None:
        pass

    def hang_up(self, peer: bytes) -> None:
        pass

    def batches(self, kind: type) -> list[tuple[bytes, Any]]:
        """(node, message) of the sent batch messages of a kind."""
        found = [
            (peer, decode(BatchMessage, payload)) for peer, channel, payload in self.sent if channel is Channel.BATCH
        ]
        return [(peer, message) for peer, message in found if isinstance(message, kind)]

    def asked(self) -> list[tuple[bytes, tuple[bytes, ...]]]:
        return [(peer, message.ids) for peer, message in self.batches(BatchRequest)]

    def announced(self) -> set[bytes]:
        have = [decode(Have, payload) for _, channel, payload in self.sent if channel is Channel.HAVE]
        return {identity for message in have for identity in message.ids}


def consensus_key(node: bytes) -> bytes:
    """The consensus key that goes with a node here."""
    return b"v" + node[1:]


def epoch_of(
    members: Sequence[bytes] = (ME, ALICE, BOB, CAROL),
    *,
    me: bytes | None = ME,
    number: int = 0,
    limits: Limits | None = None,
    start: Header = START,
) -> Epoch:
    """An epoch of the organisations whose nodes these are, as the node `me` sees it; None: one that only follows."""
    validators = tuple(Validator(f"org-{node[0]}", consensus_key(node), (node,)) for node in members)
    record = EpochRecord(number, validators, limits or Limits(), Timers(), ())
    signers = {} if me is None else {consensus_key(me): lambda message: bytes(64)}
    return make_epoch(record, start, Identity(node_key=me or ME, signers=signers))


class Room:
    """A mempool that takes everything, or refuses with a fault."""

    def __init__(self) -> None:
        self.held: list[Verified] = []
        self.refusal: Fault | None = None

    @property
    def waiting(self) -> int:
        return len(self.held)

    def admit(self, verified: Verified) -> Fault | None:
        if self.refusal is None:
            self.held.append(verified)
        return self.refusal

    def take(self) -> list[Verified]:
        taken, self.held = self.held[:512], self.held[512:]
        return taken


class Bench:
    """Dissemination of one node with everything around it in hand."""

    def __init__(self, *, me: bytes | None = ME, disk_ms: tuple[int, int] = (1, 1)) -> None:
        self.world = World(1)
        self.runtime = NodeRuntime(self.world, disk_ms=disk_ms)
        self.links = FakeLinks()
        self.disk = MemoryDisk()
        self.store = BatchStore.open(self.disk, "batches")
        self.pool = BatchPool(quorum=QUORUM)
        self.room = Room()
        self.ready: list[Entry] = []
        self.spoiled: list[bytes] = []
        self.stored: dict[bytes, tuple[bytes, ...]] = {}
        self.reads = 0
        self.dissemination = Dissemination(
            runtime=self.runtime,
            links=self.links,
            store=self.store,
            pool=self.pool,
            verify=lambda found: decode_transactions(CITY, CHAIN, found, believe),
            waiting_room=self.room,
            epoch=epoch_of(me=me),
            stages=Stages(),
            ready=self.ready.append,
            spoiled=self.spoiled.append,
            stored_batch=self._stored,
            reread=lambda found: trusted_transactions(CITY, found),
            executing=lambda: False,
        )

    def _stored(self, identity: bytes) -> tuple[bytes, ...] | None:
        self.reads += 1
        return self.stored.get(identity)

    def run(self, milliseconds: int = 10) -> None:
        self.world.run_until(self.world.now_ms + milliseconds)

    def push(self, peer: bytes, batch: Sequence[bytes]) -> None:
        self.dissemination.on_batch_frame(peer, encode(BatchPush(tuple(batch))))

    def reply(self, peer: bytes, batch: Sequence[bytes]) -> None:
        self.dissemination.on_batch_frame(peer, encode(BatchReply(tuple(batch))))

    def ask(self, peer: bytes, ids: Sequence[bytes]) -> None:
        self.dissemination.on_batch_frame(peer, encode(BatchRequest(tuple(ids))))

    def have(self, peer: bytes, ids: Sequence[bytes]) -> None:
        self.dissemination.on_have_frame(peer, encode(Have(tuple(ids))))


class Audited(SimulatedNetwork):
    """A network in which every signed vote that ever left its node is remembered, by validator."""

    def __init__(self, seed: int, monkeypatch: Any, *, validators: int = 4, **shape: int | None) -> None:
        self.signed: dict[int, list[tuple[int, Vote]]] = defaultdict(list)
        """Index -> epoch and vote of everything that was signed with that index and sent."""
        self.filters: dict[int, Callable[[bytes, Channel, bytes], bytes | None]] = {}
        """Node number -> what becomes of what it sends: other bytes, or None for nothing."""
        self._unsent: list[tuple[int, Vote]] = []
        """Signed, and gone for ever if the power fails before the journal is synced: nobody will see them."""
        vote, unsent = Guard._vote, self._unsent

        def remembered(guard: Guard, kind: Kind, proposal: Any) -> Vote | None:
            made = vote(guard, kind, proposal)
            if made is not None:
                unsent.append((guard._epoch, made))
            return made

        monkeypatch.setattr(Guard, "_vote", remembered)
        super().__init__(seed, validators=validators, **shape)
        self.skews = [0] * len(self.nodes)

    def boot(self, node: SimulatedNode) -> None:
        super().boot(node)
        links = node.links
        send = links.send

        def filtered(peer: bytes, channel: Channel, payload: bytes) -> bool:
            for epoch, vote in [entry for entry in self._unsent if entry[1].signature in payload]:
                self.signed[vote.signer].append((epoch, vote))
                self._unsent.remove((epoch, vote))
            keep = self.filters.get(node.number, lambda *frame: frame[2])(peer, channel, payload)
            return True if keep is None else send(peer, channel, keep)

        links.send = filtered

    def run(self, milliseconds: int, done: Callable[[], bool] = lambda: False) -> bool:
        return self.world.run_until(self.world.now_ms + milliseconds, done)

    def height(self) -> int:
        return max(replica.chain.height for replica in self.alive())

    def all_executed(self, ids: Iterable[bytes]) -> bool:
        """Whether every node that runs and is linked has decided all of these."""
        return all(tx_id in replica.window for tx_id in ids for replica in self.reached())

    def contradictions(self) -> list[tuple[int, int]]:
        """(validator, view) where it signed what must not go together."""
        found = []
        for validator, votes in self.signed.items():
            by_view: dict[tuple[int, int], list[Vote]] = defaultdict(list)
            for epoch, vote in votes:
                by_view[epoch, vote.proposal.view].append(vote)
            for (_, view), signed in by_view.items():
                kinds = {vote.kind for vote in signed}
                proposals = {vote.proposal for vote in signed if vote.kind is Kind.NOTARIZE}
                if len(proposals) > 1 or {Kind.NULLIFY, Kind.FINALIZE} <= kinds:
                    found.append((validator, view))
        return found

    def accused(self, *, liars: tuple[int, ...] = ()) -> set[bytes]:
        """Whom any node but the liars accused of more than being late."""
        return {
            peer
            for node in self.nodes
            if node.links is not None and node.number not in liars
            for peer, offence, _ in node.links.punished
            if offence is not Offence.TIMEOUT
        }
