"""Offences of peers: what each weighs, how they fade, and for how long a node that broke the rules is kept out.

Only invalid behaviour counts (theirs), never what this node could not decide (style.md 4, rule 11); `Meter` counts what
is harmless once and a nuisance often.  Pure: the time is an argument.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Offence(Enum):
    """What a peer can do wrong; the value is its weight, of `LIMIT` in all."""

    MALFORMED = ("malformed", 100)
    OVERSIZE = ("oversize", 100)
    INVALID_BLOCK = ("invalid_block", 100)
    INVALID_BATCH = ("invalid_batch", 50)
    INVALID_VOTE = ("invalid_vote", 50)
    FORGED_ADDRESS = ("forged_address", 50)
    UNSOLICITED = ("unsolicited", 20)
    INVALID_TRANSACTION = ("invalid_transaction", 10)
    FLOOD = ("flood", 10)
    TIMEOUT = ("timeout", 5)

    @property
    def weight(self) -> int:
        """Points."""
        return self.value[1]


LIMIT: Final = 100
"""Points at which a peer is dropped."""
FADE_MS: Final = 6_000
"""One point fades in this time: a hundred in ten minutes."""
BAN_MIN_MS: Final = 10_000
BAN_MAX_MS: Final = 3_600_000
"""A ban doubles each time within a day, up to an hour."""
BAN_VALIDATOR_MS: Final = 10_000
"""A validator is never kept out longer: a wrong accusation must not cost the quorum."""
FORGET_MS: Final = 86_400_000
"""After a day without a ban the next one is short again."""


METER_MS: Final = 1_000


@dataclass(slots=True)
class Meter:
    """How often a peer did something within a second."""

    at_most: int
    count: int = 0
    since_ms: int = -METER_MS

    def exceeded(self, now_ms: int) -> bool:
        """Count once more; whether that is too often."""
        if now_ms - self.since_ms >= METER_MS:
            self.since_ms, self.count = now_ms, 0
        self.count += 1
        return self.count > self.at_most


@dataclass(slots=True)
class Record:
    """What is remembered of one peer."""

    points: int = 0
    since_ms: int = 0
    """When `points` was last brought up to date."""
    banned_until_ms: int = 0
    bans: int = 0
    offences: dict[Offence, int] = field(default_factory=dict)
    """How often each was seen, for people."""


class Scores:
    """The records of all peers; bounded, because only registered nodes get one."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        """Nobody has done anything yet."""
        self._records: dict[bytes, Record] = {}

    def offence(self, peer: bytes, offence: Offence, *, validator: bool, now_ms: int) -> bool:
        """Note an offence; True if the peer is to be dropped now (and is banned for a while)."""
        record = self._records.setdefault(peer, Record(since_ms=now_ms))
        _fade(record, now_ms)
        record.offences[offence] = record.offences.get(offence, 0) + 1
        record.points += offence.weight
        if record.points < LIMIT:
            return False
        record.points = 0
        record.bans = 1 if now_ms - record.banned_until_ms > FORGET_MS else record.bans + 1
        ban_ms = BAN_VALIDATOR_MS if validator else min(BAN_MIN_MS << min(record.bans - 1, 16), BAN_MAX_MS)
        record.banned_until_ms = now_ms + ban_ms
        return True

    def banned_ms(self, peer: bytes, now_ms: int) -> int:
        """For how long that peer is still kept out; 0 if it is welcome."""
        record = self._records.get(peer)
        return max(0, record.banned_until_ms - now_ms) if record else 0

    def offences(self, peer: bytes) -> dict[str, int]:
        """What the peer did, by name, for people."""
        record = self._records.get(peer)
        return {offence.value[0]: count for offence, count in record.offences.items()} if record else {}

    def forget(self, keep: frozenset[bytes]) -> None:
        """Drop the records of nodes that are no longer registered."""
        self._records = {peer: record for peer, record in self._records.items() if peer in keep}


def _fade(record: Record, now_ms: int) -> None:
    faded = (now_ms - record.since_ms) // FADE_MS
    record.points = max(0, record.points - faded)
    record.since_ms += faded * FADE_MS
