"""With whom a node keeps links, beside the mesh of validators: a random graph of bounded degree.

Validators never dial other nodes; each takes in a few (types/limits PEERS_PER_VALIDATOR_MAX).  Any other node looks for
one validator, gives way when they are full, and for `degree` nodes of its own kind.  A random graph of degree six stays
connected when a third of it is lost.  When no block comes for long, one link is exchanged for another: so even an
unlucky island finds the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from cccnode.types.limits import PEERS_PER_VALIDATOR_MAX
from p2p.events import Contact, Effect, Hangup, Hint, Want
from p2p.messages import NO_ROUTE
from p2p.scores import Meter

T = TypeVar("T")

COOL_MIN_MS: Final = 5_000
COOL_MAX_MS: Final = 300_000
"""A node that could not be linked is left alone for so long, doubling each time."""
LONELY_COOL_MS: Final = 5_000
"""Without any link nobody is left alone for longer."""
PENDING_MAX: Final = 2
"""Dials to non-validators under way at once: meanwhile others dial us, and few links come to be above the degree."""
FEW: Final = 3
"""Links a node wants at least; where peers are rare it takes more validators instead."""
SERVED_PER_SECOND_MAX: Final = 100
"""Requests for blocks that one neighbour may make in a second; a reply carries up to 64 blocks."""
RECORD_MESSAGES_PER_SECOND_MAX: Final = 8
"""Messages about addresses that one neighbour may send in a second; each costs up to 24 signature checks, 2 ms."""


class Chance(Protocol):
    """The part of random.Random that gossip needs."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def choice(self, seq: Sequence[T], /) -> T:
        """One of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipConfig:
    """Numbers of one node's gossip.  Local: nothing here affects agreement."""

    node_key: bytes
    degree: int = 6
    """Links with other non-validators that a non-validator looks for."""
    eager: int = 4
    """Peers that a validator tells of a block at once; these tell the rest."""
    lazy_ms: int = 400
    """A validator tells the others only if they have not heard by then: the cost of a block does not grow with them."""
    mesh_ms: int = 500
    """Validators tell each other of their tips at most this often: consensus is faster, this is for the lagging."""
    repeat_ms: int = 2_000
    """An announcement that had no effect is repeated."""
    pull_delay_ms: int = 1_000
    """A validator pulls a block only if consensus did not bring it by then."""
    pull_timeout_ms: int = 2_000
    """First time-out of a request; doubles with every one that fails while nobody answers."""
    pulls: int = 3
    """Requests under way at once, each with another neighbour."""
    forward_retry_ms: int = 2_000
    """A transaction that is not final by then goes to another validator."""
    addresses_ms: int = 300_000
    """How often neighbours are asked for addresses."""
    stale_ms: int = 90_000
    """Three heartbeats without a block: exchange a link."""


@dataclass(slots=True)
class Neighbour:
    """What is known of a node at the other end of a link."""

    node_key: bytes
    validator: bool
    address: str
    order: int
    """Rises with every link: the oldest `eager` ones of a validator are told first."""
    has: int = -1
    """Height up to which it said that it has blocks."""
    first: int = 0
    heard: int = 0
    """Rises with every announcement of anyone: who spoke first is asked first."""
    knows: int = -1
    """Height that it certainly knows of: announced or asked for by it."""
    told: int = -1
    told_ms: int = -(10**12)
    told_distance: int = NO_ROUTE
    tip_ms: int = 0
    """When our tip passed what it knows."""
    distance: int = NO_ROUTE
    failures: int = 0
    """Requests in a row that it did not answer well."""
    served_meter: Meter = field(default_factory=lambda: Meter(SERVED_PER_SECOND_MAX))
    addresses_number: int | None = None
    """The request for addresses that it has not answered."""
    news_serial: int = 0
    """Up to here of the address book it was told."""
    news_ms: int = -(10**12)
    records_meter: Meter = field(default_factory=lambda: Meter(RECORD_MESSAGES_PER_SECOND_MAX))


@dataclass(slots=True)
class _Cool:
    since_ms: int
    until_ms: int
    times: int


@dataclass(slots=True)
class Overlay:
    """Neighbours, and the set of nodes that the network is to stay linked with."""

    config: GossipConfig
    chance: Chance
    contacts: dict[bytes, Contact] = field(default_factory=dict)
    neighbours: dict[bytes, Neighbour] = field(default_factory=dict)
    validator: bool = False
    """Whether this node is one."""
    progress_ms: int = 0
    """When the tip last moved, or a link was last exchanged."""
    _wanted: set[bytes] = field(default_factory=set)
    _cooling: dict[bytes, _Cool] = field(default_factory=dict)
    _order: int = 0

    def register(self, contacts: Iterable[Contact], now_ms: int) -> list[Effect]:
        """The registry's nodes are these."""
        self.contacts = {contact.node_key: contact for contact in contacts}
        own, before = self.contacts.get(self.config.node_key), self.validator
        self.validator = own is not None and own.validator
        for neighbour in self.neighbours.values():
            if neighbour.validator and not self.is_validator(neighbour.node_key):
                neighbour.distance = NO_ROUTE  # until it says how far it is now
            neighbour.validator = self.is_validator(neighbour.node_key)
        self._cooling = {key: cool for key, cool in self._cooling.items() if key in self.contacts}
        gone = {key for key in self._wanted if key not in self.contacts}
        self._wanted -= gone
        effects = self.plan(now_ms) or ([self._want()] if gone else [])
        return [*effects, *(self._surplus() if self.validator != before else [])]

    def _surplus(self) -> list[Effect]:
        """This node became a validator, or ceased to be one: it ends the links that such a node does not keep."""
        unlike = [neighbour for neighbour in self.neighbours.values() if neighbour.validator != self.validator]
        keep = PEERS_PER_VALIDATOR_MAX if self.validator else self._validators_needed()
        unlike.sort(key=lambda neighbour: neighbour.order)
        return [Hangup(peer=neighbour.node_key) for neighbour in unlike[keep:]]

    def _validators_needed(self) -> int:
        """How many links with validators a node looks for that is none."""
        others = sum(not contact.validator for contact in self.contacts.values()) - 1
        return max(1, FEW - others)

    def is_validator(self, node_key: bytes) -> bool:
        """Whether the registry calls that node a validator."""
        contact = self.contacts.get(node_key)
        return contact is not None and contact.validator

    @property
    def validators(self) -> int:
        """How many validator nodes there are."""
        return sum(contact.validator for contact in self.contacts.values())

    def linked(self, peer: bytes, address: str, now_ms: int) -> list[Effect]:
        """A link is up, whoever dialled."""
        self._order += 1
        self.neighbours[peer] = Neighbour(peer, self.is_validator(peer), address, self._order, tip_ms=now_ms)
        self._cooling.pop(peer, None)
        return self.plan(now_ms)

    def unlinked(self, peer: bytes, now_ms: int) -> list[Effect]:
        """A link is gone; if we wanted it, the network dials it again."""
        self.neighbours.pop(peer, None)
        return self.plan(now_ms)

    def dial_failed(self, peer: bytes, alternatives: Iterable[tuple[bytes, str]], now_ms: int) -> list[Effect]:
        """A wanted node could not be linked: leave it alone for a while, and try another."""
        if peer not in self._wanted:
            return []
        self._wanted.discard(peer)
        self._cool(peer, now_ms)
        effects: list[Effect] = []
        for key, address in alternatives:
            if self._eligible(key, now_ms) and not self._enough(validators=self.is_validator(key)):
                effects.append(Hint(node_key=key, address=address))
                self._wanted.add(key)
        return [*effects, *(self.plan(now_ms) or [self._want()])]

    def plan(self, now_ms: int) -> list[Effect]:
        """Look for the links that are missing; a validator looks for none."""
        if self.validator or self.config.node_key not in self.contacts:
            if self._wanted:
                self._wanted.clear()
                return [self._want()]
            return []
        before = set(self._wanted)
        for validators in (True, False):
            while not self._enough(validators=validators):
                found = [
                    contact.node_key
                    for contact in self.contacts.values()
                    if contact.validator == validators and self._eligible(contact.node_key, now_ms)
                ]
                if not found:
                    break
                self._wanted.add(self.chance.choice(sorted(found)))
        return [] if self._wanted == before else [self._want()]

    def restless(self, now_ms: int) -> list[Effect]:
        """No block for long: exchange one link, in case all our neighbours are as lost as we are."""
        if self.validator or now_ms - self.progress_ms < self.config.stale_ms:
            return []
        self.progress_ms = now_ms
        linked = sorted(self._wanted & self.neighbours.keys())
        others = [key for key in sorted(self.contacts) if self._eligible(key, now_ms) and not self.is_validator(key)]
        if not others:
            return []
        self._wanted.add(self.chance.choice(others))
        if not linked:
            return [self._want()]
        leave = self.chance.choice(linked)
        self._wanted.discard(leave)
        self._cool(leave, now_ms)
        return [self._want(), Hangup(peer=leave)]

    def deadline_ms(self, now_ms: int) -> int | None:
        """When `plan` or `restless` has something to do again, if nothing happens before."""
        if self.validator or self.config.node_key not in self.contacts:
            return None
        dates = [self._cool_until(key) for key in self._cooling]
        dates.append(self.progress_ms + self.config.stale_ms)
        return min((date for date in dates if date > now_ms), default=None)

    def _enough(self, *, validators: bool) -> bool:
        """Whether links of this kind, with dials under way, are as many as this node looks for."""
        linked = sum(neighbour.validator == validators for neighbour in self.neighbours.values())
        pending = sum(self.is_validator(key) == validators for key in self._wanted if key not in self.neighbours)
        if validators:
            return linked + pending >= self._validators_needed()
        return pending >= PENDING_MAX or linked + pending >= self.config.degree

    def _eligible(self, key: bytes, now_ms: int) -> bool:
        return (
            key != self.config.node_key
            and key in self.contacts
            and key not in self._wanted
            and key not in self.neighbours
            and self._cool_until(key) <= now_ms
        )

    def _cool(self, key: bytes, now_ms: int) -> None:
        cool = self._cooling.setdefault(key, _Cool(0, 0, 0))
        span_ms = min(COOL_MIN_MS << min(cool.times, 16), COOL_MAX_MS)
        cool.since_ms = now_ms
        cool.until_ms = now_ms + span_ms // 2 + int(self.chance.random() * (span_ms // 2))
        cool.times += 1

    def _cool_until(self, key: bytes) -> int:
        cool = self._cooling.get(key)
        if cool is None:
            return 0
        return cool.until_ms if self.neighbours else min(cool.until_ms, cool.since_ms + LONELY_COOL_MS)

    def _want(self) -> Want:
        return Want(keys=tuple(sorted(self._wanted)))
