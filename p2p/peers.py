"""What the network says about its links and asks of its user: plain nouns and two small protocols, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from cccnode.types.errors import Fault
from cccnode.types.limits import PEERS_PER_VALIDATOR_MAX
from p2p.frames import Channel

PEER_LINKS_MAX: Final = 12
"""Links a non-validator keeps with other non-validators: twice what each of them looks for, so that all find room."""
HANDSHAKES_MAX: Final = 64
"""Strangers that may be in the middle of a handshake at once; each costs 4 ms of one core."""


class Direction(Enum):
    """Who dialled."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times and bounds of one node's network.  Local: nothing here affects agreement."""

    handshake_ms: int = 5_000
    """For TLS, and again for HELLO."""
    ping_ms: int = 5_000
    silence_ms: int = 15_000
    """A peer that says nothing, or takes nothing, for so long is dead."""
    probe_ms: int = 1_500
    """A link answers a probe within this, or a second connection of its identity replaces it."""
    report_ms: int = 200
    """A report that changed is told at once, but not sooner after the last."""
    report_repeat_ms: int = 2_000
    """One that did not change is repeated at most this often."""
    backoff_min_ms: int = 100
    backoff_max_ms: int = 10_000
    """Redialling waits from the first to the second, doubling, jittered by half."""
    second_dial_ms: int = 3_000
    """The higher key of a pair leaves dialling to the lower for so long, then dials too (a firewall may be one-way)."""
    validator_peers_max: int = PEERS_PER_VALIDATOR_MAX
    peer_links_max: int = PEER_LINKS_MAX
    handshakes_max: int = HANDSHAKES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """One live link, as `net_peers` shows it."""

    node_key: bytes
    organisation: str
    validator: bool
    address: str
    """Remote `host:port` of the socket."""
    direction: Direction
    rtt_ms: int | None
    """None until the first pong."""
    clock_skew_ms: int | None
    """Its wall clock minus ours, half the round trip taken off."""
    height: int
    """What it last said it has (HELLO, ping)."""
    queued_bytes: int
    connected_ms: int
    """For how long."""
    paused: tuple[Channel, ...]
    """Channels on which it asked us to wait."""
    listen: str
    """Where it says that it can be dialled; empty if nowhere."""
    program: str = ""
    """Version of its program."""
    report: bytes | None = None
    """The last word on how it is, as it was sent; None before the first."""
    report_ms: int | None = None
    """When that came, in monotonic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The last report of a node, also of one that is gone."""

    raw: bytes
    at_ms: int
    """Monotonic time of its arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWord:
    """The last that is known of why a node went, or was not let in."""

    name: str
    """Of the error table, such as `home/DISK_FULL`; another one if a later version invented it."""
    text: str
    """For people; of foreign origin where `told`."""
    told: bool
    """Whether the node said so itself; else it is what this node saw."""
    at_ms: int
    """Monotonic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialInfo:
    """One node that this one keeps dialling: why it is not connected, and when it is tried next."""

    node_key: bytes
    organisation: str
    validator: bool
    addresses: tuple[str, ...]
    attempts: int
    """Since the last success."""
    last_fault: Fault | None
    next_try_ms: int | None
    """From now; None while an attempt is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A connection that did not come about, on either side."""

    fault: Fault
    """Its `values` name own and other node ids, the address and what to do."""
    node_key: bytes | None
    """None for a stranger, whose key TLS does not show."""
    address: str
    direction: Direction
    alternatives: tuple[tuple[bytes, str], ...] = ()
    """(node key, address) pairs that a full node named."""


@dataclass(slots=True)
class Traffic:
    """Frames and bytes of one channel since the link, or the network, came up."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    """Payloads refused because the queue was full."""

    def plus(self, other: "Traffic") -> "Traffic":
        """The sum of two, as a new one."""
        return Traffic(
            frames_in=self.frames_in + other.frames_in,
            frames_out=self.frames_out + other.frames_out,
            bytes_in=self.bytes_in + other.bytes_in,
            bytes_out=self.bytes_out + other.bytes_out,
            dropped=self.dropped + other.dropped,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """For metrics."""

    channels: Mapping[Channel, Traffic]
    """Over all links since the start, closed ones included."""
    peers: Mapping[bytes, Mapping[Channel, Traffic]]
    """Over each live link."""
    dials: int
    dial_failures: int
    accepted: int
    refusals: Mapping[str, int] = field(default_factory=dict)
    """By error name, both directions."""
    losses: Mapping[str, int] = field(default_factory=dict)
    """Ended links by error name."""


class Handler(Protocol):
    """Who uses the network.  All calls come on the loop's thread and must return quickly."""

    def on_peer(self, peer: PeerInfo) -> None:
        """A link is up; frames of it follow."""

    def on_lost(self, peer: bytes, reason: Fault) -> None:
        """The link of that node key is gone."""

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """A payload came from a live peer; never of channel LINK."""

    def on_refused(self, refusal: Refusal) -> None:
        """A connection was refused, by us or by them, or could not be made; for logs, status and gossip."""

    def on_notice(self, peer: bytes, name: str, text: str) -> None:
        """A peer tells something for people, such as that a second process uses our key."""
