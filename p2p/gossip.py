"""Gossip: tips are pushed, content is pulled, transactions find a validator.  Events in, effects out (p2p.events).

A validator tells a few of its peers of a new block at once; who has pulled it tells its own neighbours; whom nobody
told is told by the validator a little later.  So a block costs a validator the same however many peers there are, and
no single neighbour can keep it from anyone.
"""

from collections.abc import Iterable

from cccnode.crypto.hashing import ZERO
from cccnode.types.errors import Fault
from p2p.book import AddressBook
from p2p.events import (
    Arrived,
    BadBlocks,
    Behind,
    DialFailed,
    Effect,
    Event,
    Forget,
    Frame,
    Linked,
    Punish,
    Registered,
    Send,
    Serve,
    Submit,
    Tick,
    Tip,
    Unlinked,
)
from p2p.forwarding import Forwarding
from p2p.frames import Channel
from p2p.messages import (
    BLOCKS_REPLY_BYTES,
    NO_ROUTE,
    Addresses,
    AddressesRequest,
    Announce,
    Blocks,
    BlocksRequest,
    Kept,
    Moved,
    read_block,
    read_control,
    read_tx,
)
from p2p.overlay import Chance, GossipConfig, Neighbour, Overlay
from p2p.pulls import Pulls
from p2p.scores import Offence
from p2p.spreading import Spreading


def fit_blocks(blocks: Iterable[bytes | None]) -> tuple[bytes, ...]:
    """As many blocks as belong in one reply, up to the first that is missing; at least one if there is one."""
    fitting: list[bytes] = []
    size = 0
    for raw in blocks:
        if raw is None:
            break
        fitting.append(raw)
        size += len(raw)
        if size >= BLOCKS_REPLY_BYTES:
            break
    return tuple(fitting)


class Gossip:
    """One node's gossip.  Call `handle` for everything that happens, and with `Tick` at `deadline_ms`."""

    __slots__ = (
        "_block_id",
        "_config",
        "_distance",
        "_first",
        "_forwarding",
        "_heard",
        "_height",
        "_overlay",
        "_pulls",
        "_spreading",
    )

    def __init__(self, config: GossipConfig, chance: Chance, now_ms: int, book: AddressBook | None = None) -> None:
        """Gossip of a node that knows nobody and has nothing yet; without a `book` it exchanges no addresses."""
        self._config = config
        self._overlay = Overlay(config, chance, progress_ms=now_ms)
        self._pulls = Pulls(config, self._overlay.neighbours, moved_ms=now_ms)
        self._forwarding = Forwarding(config, chance, self._overlay.neighbours)
        self._spreading = Spreading(config, chance, self._overlay.neighbours, book, ask_ms=now_ms)
        self._height = -1
        self._block_id = ZERO
        self._first = 0
        self._distance = NO_ROUTE
        self._heard = 0

    @property
    def neighbours(self) -> dict[bytes, Neighbour]:
        """The links, for status; not to be changed."""
        return self._overlay.neighbours

    def keepers(self, height: int) -> list[bytes]:
        """Neighbours that say they keep the block of a height."""
        return self._pulls.keepers(height)

    def unobtainable(self) -> tuple[int, int] | None:
        """The next height that is needed and the earliest kept by any neighbour, if none of them keeps it."""
        return self._pulls.unobtainable()

    @property
    def distance(self) -> int:
        """Links to the nearest validator, 0 for one; NO_ROUTE if none is known."""
        return self._distance

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """Take one event; return what is to be done, in order."""
        effects = self._take(event, now_ms)
        self._route(now_ms)
        effects += self._pulls.tick(now_ms, validator=self._overlay.validator)
        effects += self._announce(now_ms)
        effects += self._forwarding.tick(now_ms, distance=self._distance)
        effects += self._spreading.tick(now_ms)
        return effects

    def deadline_ms(self, now_ms: int) -> int | None:
        """When to call `handle(Tick())` if nothing else happens; None for never."""
        validator = self._overlay.validator
        dates = [
            self._overlay.deadline_ms(now_ms),
            self._pulls.deadline_ms(now_ms, validator=validator),
            self._forwarding.deadline_ms,
            self._spreading.deadline_ms(now_ms),
        ]
        dates += [self._announce_ms(neighbour) for neighbour in self.neighbours.values()]
        return min((date for date in dates if date is not None), default=None)

    def _take(self, event: Event, now_ms: int) -> list[Effect]:  # noqa: C901 - one arm an event
        overlay, pulls = self._overlay, self._pulls
        match event:
            case Registered(contacts=contacts):
                effects = overlay.register(contacts, now_ms)
                self._forwarding.set_validators(overlay.validators)
                return effects
            case Linked(peer=peer, address=address):
                return self._linked(peer, address, now_ms)
            case Unlinked(peer=peer):
                effects = overlay.unlinked(peer, now_ms)
                pulls.lost(peer)
                self._forwarding.hurry(peer, now_ms)
                return effects
            case DialFailed(peer=peer, alternatives=alternatives):
                return overlay.dial_failed(peer, alternatives, now_ms)
            case Frame():
                return self._frame(event, now_ms)
            case Tip():
                return self._tip(event, now_ms)
            case Behind(height=height, peer=peer):
                pulls.urgent = max(pulls.urgent, height)
                if peer is not None and (neighbour := self.neighbours.get(peer)):
                    neighbour.has = max(neighbour.has, height)
                return []
            case BadBlocks(peer=peer, height=height):
                return pulls.bad(peer, height)
            case Submit(items=items, hops=hops):
                return self._forwarding.submit(items, hops, distance=self._distance, now_ms=now_ms)
            case Forget(tx_ids=tx_ids):
                self._forwarding.forget(tx_ids)
                return []
            case Tick():
                return overlay.restless(now_ms) + overlay.plan(now_ms)

    # Links

    def _linked(self, peer: bytes, address: str, now_ms: int) -> list[Effect]:
        effects = self._overlay.linked(peer, address, now_ms)
        self._forwarding.hurry(None, now_ms)
        neighbour = self.neighbours[peer]
        return [*effects, self._tell(neighbour, now_ms), *self._spreading.greet(neighbour)]

    def _route(self, now_ms: int) -> None:
        """Know the way to the nearest validator; a new way is used at once."""
        if self._overlay.validator:
            self._distance = 0
            return
        ways = [0 if neighbour.validator else neighbour.distance for neighbour in self.neighbours.values()]
        distance = min(NO_ROUTE, min(ways, default=NO_ROUTE) + 1)
        if distance < self._distance:
            self._distance = distance
            self._forwarding.hurry(None, now_ms)
        self._distance = distance

    # Tips

    def _tip(self, tip: Tip, now_ms: int) -> list[Effect]:
        if tip.height > self._height:
            self._overlay.progress_ms = now_ms
            for neighbour in self.neighbours.values():
                if neighbour.knows >= self._height:
                    neighbour.tip_ms = now_ms
        self._height, self._block_id, self._first = tip.height, tip.block_id, tip.first
        return self._pulls.tip(tip.height, tip.have, now_ms)

    def _announce(self, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for neighbour in self.neighbours.values():
            due = self._announce_ms(neighbour)
            if due is not None and due <= now_ms:
                effects.append(self._tell(neighbour, now_ms))
        return effects

    def _announce_ms(self, neighbour: Neighbour) -> int | None:
        """When that neighbour is to be told of our tip; None if it knows all we have to say."""
        config = self._config
        again_ms = neighbour.told_ms + config.repeat_ms
        if neighbour.knows >= self._height:
            # It may still go by an old distance; that is never urgent.
            return again_ms if neighbour.told_distance != self._distance and not neighbour.validator else None
        if neighbour.told >= self._height:
            return again_ms
        if not self._overlay.validator:
            return neighbour.tip_ms
        if neighbour.validator:
            return neighbour.told_ms + config.mesh_ms
        if self._is_eager(neighbour):
            return neighbour.tip_ms
        return max(neighbour.tip_ms, neighbour.told_ms) + config.lazy_ms

    def _is_eager(self, neighbour: Neighbour) -> bool:
        """Whether it is one of the first peers linked to this validator."""
        older = sum(other.order < neighbour.order and not other.validator for other in self.neighbours.values())
        return older < self._config.eager

    def _tell(self, neighbour: Neighbour, now_ms: int) -> Effect:
        neighbour.told, neighbour.told_ms, neighbour.told_distance = self._height, now_ms, self._distance
        message = Announce(max(0, self._height), self._block_id, self._first, self._distance)
        return Send(peer=neighbour.node_key, channel=Channel.CONTROL, message=message)

    # Frames

    def _frame(self, frame: Frame, now_ms: int) -> list[Effect]:
        neighbour = self.neighbours.get(frame.peer)
        if neighbour is None:
            return []
        try:
            match frame.channel:
                case Channel.CONTROL:
                    return self._control(neighbour, frame.payload, now_ms)
                case Channel.BLOCK:
                    return self._block(neighbour, frame.payload, now_ms)
                case Channel.TX:
                    message = read_tx(frame.payload)
                    return [Arrived(peer=frame.peer, transactions=message.transactions, hops=message.hops)]
                case _:
                    return []
        except Fault as reason:
            return [Punish(peer=frame.peer, offence=Offence.MALFORMED, detail=str(reason))]

    def _control(self, neighbour: Neighbour, payload: bytes, now_ms: int) -> list[Effect]:
        match read_control(payload):
            case Announce(height=height, first=first, distance=distance):
                self._heard += 1
                if height > neighbour.has:
                    neighbour.heard = self._heard
                neighbour.has, neighbour.first = height, first
                neighbour.knows = max(neighbour.knows, height)
                neighbour.distance = 0 if neighbour.validator else max(1, distance)
                return []
            case AddressesRequest(number=number):
                return self._spreading.answer(neighbour, number, now_ms)
            case Addresses() as answer:
                return self._spreading.answered(neighbour, answer, now_ms)
            case Moved(records=records):
                return self._spreading.learn(neighbour, records, now_ms)

    def _block(self, neighbour: Neighbour, payload: bytes, now_ms: int) -> list[Effect]:
        match read_block(payload):
            case BlocksRequest(number=number, first=first, count=count):
                if neighbour.served_meter.exceeded(now_ms):
                    return [Punish(peer=neighbour.node_key, offence=Offence.FLOOD, detail="requests for blocks")]
                if first + count - 1 <= self._height:
                    neighbour.knows = max(neighbour.knows, first + count - 1)
                return [Serve(peer=neighbour.node_key, number=number, first=first, count=count)]
            case Blocks() as answer:
                return self._pulls.answer(neighbour.node_key, answer, now_ms)
            case Kept() as kept:
                return self._pulls.pruned(neighbour.node_key, kept)
