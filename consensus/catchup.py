"""Who is where, what is missing, and how often to ask and to answer (consensus.md 3.4 and 3.11, R8, R9, J17)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cccnode.types.validators import EpochRecord

HELP_INTERVAL_MS: Final = 200
"""A laggard is helped at most this often (R9)."""
ASK_INTERVAL_MS: Final = 200
"""A node that is ahead is asked for certificates at most this often."""
SHOW_INTERVAL_MS: Final = 200
"""Votes of this node's own key that another one shows are looked at at most this often (R13)."""
REPLIES_PER_SECOND_MAX: Final = 32
"""Requests of one node that are answered within a second; the rest is dropped, it will ask again."""
PEERS_MAX: Final = 1_024
"""Nodes whose rates are remembered; beyond that all start anew."""
WANTED_MAX: Final = 128
"""Blocks that are asked for at the same time."""
ASK_AT_ONCE: Final = 2
"""Validators asked for a block each time."""


@dataclass(slots=True)
class _Rate:
    helped_ms: int
    asked_ms: int
    shown_ms: int
    window_ms: int
    replies: int = 0


class Peers:
    """What is known of the other validators, and how much each node was answered lately."""

    def __init__(self, record: EpochRecord, me: int | None, *, view: int) -> None:
        """Nothing heard yet, at the start in `view`."""
        count = len(record.validators)
        self._me = me
        self._keys: list[bytes | None] = [next(iter(v.node_keys), None) for v in record.validators]
        self._rates: dict[bytes, _Rate] = {}
        self.heard_ms: list[int | None] = [None] * count
        self.executed: list[int] = [0] * count
        self.active_view = [view] * count
        """Own view when a validator last voted or proposed."""
        self.stated_view = [0] * count
        """View in which a validator said that it is."""

    def heard(self, validator: int, *, peer: bytes, now_ms: int) -> None:
        """A message came from a validator's node."""
        self._keys[validator] = peer
        self.heard_ms[validator] = now_ms

    def key(self, validator: int) -> bytes | None:
        """The node to send to when a validator is meant: the one last heard, else the first registered."""
        return self._keys[validator]

    def executed_by(self, quorum: int) -> int:
        """The greatest height that `quorum` validators say they have executed (J17)."""
        return sorted(self.executed, reverse=True)[quorum - 1]

    def ahead_of(self, view: int) -> int:
        """How many validators said that they are in a higher view."""
        return sum(stated > view for stated in self.stated_view)

    def inactive(self, validator: int, *, view: int, quorum: int) -> bool:
        """Whether a validator has been silent for 2n views while a quorum of the others was not."""
        oldest = view - 2 * len(self.active_view)
        if validator == self._me or self.active_view[validator] >= oldest:
            return False
        active = sum(seen >= oldest or index == self._me for index, seen in enumerate(self.active_view))
        return active >= quorum

    def _rate(self, peer: bytes, now_ms: int) -> _Rate:
        if peer not in self._rates and len(self._rates) >= PEERS_MAX:
            self._rates.clear()
        long_ago_ms = now_ms - max(HELP_INTERVAL_MS, ASK_INTERVAL_MS, SHOW_INTERVAL_MS)
        return self._rates.setdefault(peer, _Rate(long_ago_ms, long_ago_ms, long_ago_ms, now_ms))

    def may_help(self, peer: bytes, now_ms: int) -> bool:
        """Whether it is time to help this laggard (again)."""
        rate = self._rate(peer, now_ms)
        if now_ms - rate.helped_ms < HELP_INTERVAL_MS:
            return False
        rate.helped_ms = now_ms
        return True

    def may_ask(self, peer: bytes, now_ms: int) -> bool:
        """Whether it is time to ask this node (again) what it has that we lack."""
        rate = self._rate(peer, now_ms)
        if now_ms - rate.asked_ms < ASK_INTERVAL_MS:
            return False
        rate.asked_ms = now_ms
        return True

    def may_show(self, peer: bytes, now_ms: int) -> bool:
        """Whether it is time to look at votes of our own key that this node shows us."""
        rate = self._rate(peer, now_ms)
        if now_ms - rate.shown_ms < SHOW_INTERVAL_MS:
            return False
        rate.shown_ms = now_ms
        return True

    def may_reply(self, peer: bytes, now_ms: int) -> bool:
        """Whether this node's request is within its budget."""
        rate = self._rate(peer, now_ms)
        if now_ms - rate.window_ms >= 1_000:
            rate.window_ms, rate.replies = now_ms, 0
        rate.replies += 1
        return rate.replies <= REPLIES_PER_SECOND_MAX


@dataclass(slots=True)
class _Want:
    view: int
    voters: Sequence[int]
    next_ms: int
    attempts: int = 0


class Wanted:
    """Blocks to be fetched by id, from those who voted for them."""

    def __init__(self, *, validators: int, me: int | None, interval_ms: int) -> None:
        """`interval_ms`: between two requests for the same block."""
        self._everyone = tuple(index for index in range(validators) if index != me)
        self._me = me
        self._interval_ms = interval_ms
        self._wants: dict[bytes, _Want] = {}

    def want(self, block_id: bytes, *, view: int, voters: Iterable[int], at_ms: int) -> None:
        """Ask for a block from `at_ms` on; earlier if it is wanted already.  `view`: final there, it is moot."""
        held = self._wants.get(block_id)
        if held is not None:
            held.next_ms = min(held.next_ms, at_ms) if not held.attempts else held.next_ms
        elif len(self._wants) < WANTED_MAX:
            asked = tuple(voter for voter in voters if voter != self._me) or self._everyone
            self._wants[block_id] = _Want(view, asked, at_ms)

    def __contains__(self, block_id: bytes) -> bool:
        """Whether this block is wanted."""
        return block_id in self._wants

    def arrived(self, block_id: bytes) -> None:
        """The block is here."""
        self._wants.pop(block_id, None)

    def prune(self, final_view: int) -> None:
        """What is executed is no longer wanted."""
        self._wants = {wanted: want for wanted, want in self._wants.items() if want.view > final_view}

    def due(self, now_ms: int) -> list[tuple[bytes, list[int]]]:
        """Whom to ask for what now: each time the next few of those who should have it, in the end everybody."""
        found = []
        for block_id, want in self._wants.items():
            if want.next_ms <= now_ms:
                pool = want.voters if want.attempts < len(want.voters) else self._everyone
                start = want.attempts * ASK_AT_ONCE
                count = min(ASK_AT_ONCE, len(pool))
                found.append((block_id, [pool[(start + step) % len(pool)] for step in range(count)]))
                want.attempts += 1
                want.next_ms = now_ms + self._interval_ms
        return found

    def next_ms(self) -> int | None:
        """When the next request is due."""
        return min((want.next_ms for want in self._wants.values()), default=None)
