"""Batches that are missing: whom to ask for which, how often, and when to stop asking (J8, J9).

A batch that a block needs is asked for at once, of one holder after the other, with growing pauses, whatever the view.
A batch that was only announced is fetched a little later, and only from those who announced it.  Pure: the time is an
argument.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from cccnode.types.limits import BLOCK_BATCHES_MAX

ADOPT_MS: Final = 400
"""A batch that others announce and that did not arrive by itself is fetched after this long."""
RETRY_MS: Final = 200
"""A missing batch is asked of the next holder after this long; twice as long in each further round."""
RETRY_MS_MAX: Final = 2_000
TICK_MS: Final = 20
"""Requests are gathered for so long."""
ROUNDS_MAX: Final = 8
"""How often every known holder is asked for a batch that a block needs: about ten seconds each."""
ADOPT_ROUNDS_MAX: Final = 2
"""The same for a batch that is only announced."""
FETCHES_MAX: Final = 4 * BLOCK_BATCHES_MAX
"""Batches that are fetched at a time."""
ADOPTIONS_MAX: Final = 1_024
"""Of these, such as one node alone brought up by announcing them."""
ASKED_AT_ONCE: Final = 512
"""Batches asked of one node at a time."""


@dataclass(slots=True)
class _Fetch:
    sources: list[bytes]
    """Nodes that may have it, in the order in which they are asked."""
    due_ms: int
    needed: bool
    """Whether a block needs it."""
    opener: bytes | None = None
    """Who announced it first, if that is why it is fetched."""
    tries: int = 0


class Fetches:
    """What is being fetched."""

    def __init__(self) -> None:
        """Nothing is missing."""
        self._fetches: dict[bytes, _Fetch] = {}
        self._opened: Counter[bytes] = Counter()

    def __contains__(self, identity: bytes) -> bool:
        """Whether this batch is being fetched."""
        return identity in self._fetches

    def __len__(self) -> int:
        """How many are."""
        return len(self._fetches)

    def is_needed(self, identity: bytes) -> bool:
        """Whether it is fetched because a block needs it."""
        fetch = self._fetches.get(identity)
        return fetch is not None and fetch.needed

    def need(self, identity: bytes, sources: Iterable[bytes], now_ms: int) -> None:
        """A block needs this batch; `sources` may have it, the likeliest first."""
        fetch = self._fetches.get(identity)
        if fetch is None:
            if len(self._fetches) >= FETCHES_MAX:
                return
            fetch = self._fetches[identity] = _Fetch([], now_ms, needed=True)
        if not fetch.needed:
            fetch.needed, fetch.due_ms, fetch.tries = True, now_ms, 0
        known = set(fetch.sources)
        fetch.sources[:0] = [source for source in dict.fromkeys(sources) if source not in known]

    def adopt(self, identity: bytes, source: bytes, now_ms: int) -> None:
        """`source` says that it has this batch, which did not arrive here yet."""
        fetch = self._fetches.get(identity)
        if fetch is None:
            if self._opened[source] >= ADOPTIONS_MAX or len(self._fetches) >= FETCHES_MAX // 2:
                return  # The other half is for what blocks need.
            self._opened[source] += 1
            fetch = self._fetches[identity] = _Fetch([], now_ms + ADOPT_MS, needed=False, opener=source)
        if source not in fetch.sources:
            fetch.sources.append(source)

    def drop(self, identities: Iterable[bytes]) -> None:
        """These are here, or nobody needs them any more."""
        for identity in identities:
            fetch = self._fetches.pop(identity, None)
            if fetch is not None and fetch.opener is not None:
                self._opened[fetch.opener] -= 1

    def next_ms(self) -> int | None:
        """When `due` has something to say."""
        return min((fetch.due_ms for fetch in self._fetches.values()), default=None)

    def due(self, now_ms: int, connected: Collection[bytes]) -> dict[bytes, list[bytes]]:
        """Node -> batches to ask of it now."""
        asked: dict[bytes, list[bytes]] = {}
        given_up = []
        for identity, fetch in self._fetches.items():
            if fetch.due_ms > now_ms:
                continue
            rounds = fetch.tries // max(1, len(fetch.sources))
            if rounds >= (ROUNDS_MAX if fetch.needed else ADOPT_ROUNDS_MAX):
                given_up.append(identity)
                continue
            source = _next_source(fetch, connected)
            if source is not None and len(asked.get(source, ())) >= ASKED_AT_ONCE:
                fetch.due_ms = now_ms + TICK_MS
                continue
            fetch.tries += 1
            fetch.due_ms = now_ms + min(RETRY_MS_MAX, RETRY_MS << rounds)
            if source is not None:
                asked.setdefault(source, []).append(identity)
        self.drop(given_up)
        return asked


def _next_source(fetch: _Fetch, connected: Collection[bytes]) -> bytes | None:
    count = len(fetch.sources)
    turns = (fetch.sources[(fetch.tries + step) % count] for step in range(count))
    return next((source for source in turns if source in connected), None)
