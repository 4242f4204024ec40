"""A node that is far behind begins at a snapshot: it asks its neighbours, stages the pieces, and builds its data anew.

Blocks wait for a moment while it looks for a snapshot, and as long as one is coming.  Where none comes, or none holds,
the node goes on block by block, and nothing is lost but that moment.  What is staged outlives the process.  The new
data is built beside the old; the node is then asked to begin anew with it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from cccnode.codec import decode_trusted, encode
from cccnode.driver.certified import Certified, Origin, certify, stands_in_history
from cccnode.driver.execution import Membership, look_ahead
from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime, raise_failure
from cccnode.types.errors import SNAPSHOT_INVALID, Fault
from consensus.config import VerifyMany
from p2p.frames import Channel
from p2p.scores import Offence
from p2p.snapshots import (
    ManifestReply,
    ManifestRequest,
    Manifests,
    PieceReply,
    Pieces,
    SnapshotMessage,
    write_snapshot,
)
from storage.engine import Engine
from storage.files import Disk
from storage.restoring import restore
from storage.snapshots import Shelf, check_piece, invalid, piece_name, read_manifest

STAGING: Final = "staging"
"""Folder of what was fetched, under the data folder."""
WRITER: Final = "staging"
TICK_MS: Final = 250
ASK_MS: Final = 5_000
"""A neighbour is asked which snapshot it has this often."""
ASK_AGAIN_MS: Final = 30_000
"""The same while a snapshot is coming that it did not have."""
GATHER_MS: Final = 1_500
"""From the first offer until one is chosen."""
HOLD_MS: Final = 5_000
"""So long no blocks are executed once many are missing, until somebody offers a snapshot."""
ALONE_MS: Final = 20_000
"""Without anybody who has the snapshot, blocks are executed again, and another snapshot is taken, after this."""
STUCK_MS: Final = 5_000
"""When nobody linked has had the next block for so long, a snapshot is wanted however few are missing."""
RATE_MS: Final = 10_000
"""The rate is that of this time."""
NEAR: Final = 20
"""Blocks from the tip at which a node has arrived."""
LEAST: Final = f"{STAGING}/least"
"""File: how many blocks must be missing before another snapshot is fetched.

The network goes on while a node joins.  Without this one that joins slowly would do nothing but join.
"""
SAY_MS: Final = 5_000
"""The log says how far it is this often."""

_log = structlog.get_logger("snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a node has come that begins at a snapshot."""

    stage: str
    """`fetching` or `building`."""
    height: int
    pieces: int
    done: int
    bytes: int
    """Of the whole snapshot."""
    rate: int
    """Bytes a second, lately."""
    eta_ms: int | None
    """Until this stage is over; None while nothing moves."""
    sources: int
    """Neighbours that have it."""


class Target(Protocol):
    """Where the new data is built."""

    def begin(self) -> tuple[Disk, Engine]:
        """An empty disk and an engine that is stamped as this node's; what stood there is deleted.  Blocks."""

    def finish(self) -> None:
        """All is written: from its next start on the node uses it.  Blocks."""


class Hold(Protocol):
    """Says whether final blocks are to wait."""

    def __call__(self, *, held: bool) -> None:
        """They wait, or are executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """When a node wants a snapshot, and what it must lead to."""

    behind: int = 2_000
    """Blocks that are missing at least; 0: never."""
    checkpoint: tuple[int, bytes] | None = None
    """Height and id of the block that the network card names."""


@dataclass(slots=True)
class _Current:
    """The snapshot that is being fetched."""

    certified: Certified
    pieces: Pieces
    identity: bytes
    alone_since_ms: int
    steps: Iterator[int] | None = None
    """While the new data is built."""
    built: int = 0
    moved: list[tuple[int, int]] = field(default_factory=list)
    """(time, pieces) lately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a neighbour was last asked for a manifest."""

    number: int
    at_ms: int
    offset: int


class Joining:
    """Fetches and restores one snapshot, if the node is far behind."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        links: Links,
        disk: Disk,
        origin: Callable[[], Origin],
        verify_many: VerifyMany,
        membership: Membership,
        wish: Wish,
        behind: Callable[[], int],
        height: Callable[[], int],
        target: Target,
        hold: Hold,
        restored: Callable[[int], None],
        lacks: Callable[[], bool] = lambda: False,
    ) -> None:
        """Bind; `start` begins.

        `lacks`: whether all neighbours that are ahead have pruned the next block, so that only a snapshot leads on.
        `behind`: blocks that are missing; `height`: the applied one; `hold` says whether blocks are to wait; `restored`
        hears that the node must begin anew.
        """
        self._runtime, self._links, self._shelf = runtime, links, Shelf(disk, STAGING)
        self._least = wish.behind
        """So many blocks must be missing."""
        self._origin, self._verify, self._membership, self._wish = origin, verify_many, membership, wish
        self._behind, self._height, self._target = behind, height, target
        self._hold, self._restored, self._lacks = hold, restored, lacks
        self._lacking_ms: int | None = None
        """Since when nobody linked has the next block."""
        self._wanted_ms: int | None = None
        """When it was first found to be far behind."""
        self._current: _Current | None = None
        self._asked: dict[bytes, _Asked] = {}
        self._manifests = Manifests()
        self._number = 0
        self._offers: dict[bytes, Certified] = {}
        self._offered_ms = 0
        self._bad: set[bytes] = set()
        """Neighbours that gave what does not hold; asked no more by this process."""
        self._false: set[bytes] = set()
        """Identities of snapshots whose pieces do not fit together."""
        self._begun = False
        """Whether it is known what an earlier process left."""
        self._over = not wish.behind
        self._said_ms = 0
        """When the log last said how far it is."""

    # For people ------------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress | None:
        """How far it has come; None while nothing is fetched."""
        current = self._current
        if current is None:
            return None
        content, count = current.certified.manifest.content, current.pieces.count
        done = current.built if current.steps is not None else len(current.pieces.done)
        rate = self._rate(current)
        each = content.size // count
        return Progress(
            stage="building" if current.steps is not None else "fetching",
            height=content.applied.height,
            pieces=count,
            done=done,
            bytes=content.size,
            rate=rate,
            eta_ms=(count - done) * each * 1_000 // rate if rate else None,
            sources=len(current.pieces.sources),
        )

    def _rate(self, current: _Current) -> int:
        moved = current.moved
        if len(moved) < 2 or moved[-1][0] == moved[0][0]:
            return 0
        each = current.certified.manifest.content.size // current.pieces.count
        return (moved[-1][1] - moved[0][1]) * each * 1_000 // (moved[-1][0] - moved[0][0])

    def _note(self, current: _Current, done: int) -> None:
        now = self._runtime.now_ms()
        current.moved.append((now, done))
        while current.moved[0][0] < now - RATE_MS:
            del current.moved[0]

    def _say(self) -> None:
        """How far it is, now and then, for whoever reads the log or looks at the terminal."""
        now, progress = self._runtime.now_ms(), self.progress
        if progress is None or now - self._said_ms < SAY_MS:
            return
        self._said_ms = now
        _log.info(
            "snapshot",
            stage=progress.stage,
            percent=100 * progress.done // progress.pieces,
            kb_per_s=progress.rate // 1_000,
            left_s=None if progress.eta_ms is None else progress.eta_ms // 1_000,
            sources=progress.sources,
        )

    # Life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what was staged before, and look now and then whether a snapshot is wanted."""
        if self._over:
            return
        self._runtime.run_in_writer(WRITER, self._staged, self._found)

    def _staged(self) -> tuple[Certified, set[int]] | None:
        """What an earlier process left.  Runs in the writer thread."""
        disk, heights = self._shelf.disk, self._shelf.heights()
        if disk.exists(LEAST):
            self._least = max(self._least, decode_trusted(int, disk.read(LEAST)))
        if not heights:
            return None
        try:
            certified = certify(read_manifest(self._shelf.manifest(heights[-1])), self._origin(), self._verify)
        except Fault:
            self._shelf.tidy(0)
            return None
        content, folder = certified.manifest.content, self._shelf.path(heights[-1])
        here = [
            number
            for number in range(certified.manifest.pieces)
            if disk.exists(f"{folder}/{piece_name(content, number)}")
        ]
        return certified, set(here)

    def _found(self, found: tuple[Certified, set[int]] | BaseException | None) -> None:
        if isinstance(found, BaseException):
            raise found
        if found is not None:
            certified, here = found
            self._adopt(certified, here)
            _log.info("a snapshot is taken up again", height=certified.manifest.height, pieces=len(here))
        self._begun = True
        self._tick()

    def forget(self, peer: bytes) -> None:
        """A neighbour is gone."""
        self._asked.pop(peer, None)
        self._manifests.forget(peer)
        self._offers.pop(peer, None)
        if self._current is not None:
            self._current.pieces.drop(peer)

    def _tick(self) -> None:
        if not self._over:
            self._runtime.call_later(TICK_MS, self._tick)
            self.look()

    def look(self) -> None:
        """Whether a snapshot is wanted, and what is to be done for it: now and then, and when somebody is linked."""
        if self._over or not self._begun:
            return
        current = self._current
        if current is not None and current.steps is not None:
            self._say()
            return
        if current is not None and self._height() >= current.certified.manifest.height:
            self._give_up("the blocks came first")
        elif current is not None or self._behind() >= self._least or self._stuck():
            self._say()
            if self._wanted_ms is None:
                self._wanted_ms = self._runtime.now_ms()
            self._ask()
            self._choose()
            self._go_on()
        elif self._least > self._wish.behind and self._links.connected() and self._behind() <= NEAR:
            self._least = self._wish.behind
            self._runtime.run_in_writer(WRITER, lambda: self._shelf.disk.remove(LEAST), raise_failure)
        self._hold(held=self._holds())

    def _stuck(self) -> bool:
        """Whether the next block could long be had from nobody."""
        now = self._runtime.now_ms()
        self._lacking_ms = (self._lacking_ms or now) if self._lacks() else None
        return self._lacking_ms is not None and now - self._lacking_ms >= STUCK_MS

    def _holds(self) -> bool:
        """Whether it would be a waste to execute blocks now."""
        now, current = self._runtime.now_ms(), self._current
        if current is None:
            return self._wanted_ms is not None and now - self._wanted_ms < HOLD_MS
        return current.steps is not None or bool(current.pieces.sources) or now - current.alone_since_ms < ALONE_MS

    # Offers ----------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask the neighbours which snapshot they have."""
        now, known = self._runtime.now_ms(), self._current.pieces.sources if self._current is not None else {}
        # Who had another snapshot than the one that is coming may have it soon; that is worth less then.
        every = ASK_MS if not known else ASK_AGAIN_MS
        for peer in self._links.connected():
            asked = self._asked.get(peer)
            if peer in self._bad or peer in known or (asked is not None and now - asked.at_ms < every):
                continue
            self._manifests.forget(peer)
            self._ask_one(peer, 0)

    def _ask_one(self, peer: bytes, offset: int, wanted: int = 0) -> None:
        self._number += 1
        self._asked[peer] = _Asked(number=self._number, at_ms=self._runtime.now_ms(), offset=offset)
        wanted = wanted or (self._current.certified.manifest.height if self._current is not None else 0)
        checkpoint = self._wish.checkpoint[0] if self._wish.checkpoint is not None else 0
        self._send(peer, ManifestRequest(self._number, wanted, checkpoint, offset))

    def offered(self, peer: bytes, reply: ManifestReply) -> None:
        """A neighbour says which snapshot it has."""
        asked = self._asked.get(peer)
        if asked is None or asked.number != reply.number:
            return  # Late, or never asked for: it costs nothing to leave it.
        if self._over or not reply.size or peer in self._bad:
            return
        try:
            raw = self._manifests.take(peer, asked.offset, reply, self._runtime.now_ms())
        except Fault as malformed:
            self._condemn(peer, str(malformed))
            return
        if raw is None:
            if self._manifests.peer == peer:
                self._ask_one(peer, self._manifests.have, reply.height)
            return
        path = reply.path
        self._runtime.run_in_writer(WRITER, lambda: self._check(raw, path), lambda result: self._judge(peer, result))

    def _check(self, raw: bytes, path: Sequence[bytes]) -> tuple[Certified, bool] | Fault:
        """Whether it holds, and whether it shows the checkpoint.  Runs in the writer thread."""
        checkpoint = self._wish.checkpoint
        try:
            certified = certify(read_manifest(raw), self._origin(), self._verify)
            if checkpoint is None or checkpoint[0] > certified.manifest.height:
                return certified, True  # A later checkpoint is met by the blocks that follow.
            if path and not stands_in_history(certified.manifest, *checkpoint, path):
                raise invalid("another history than the network card's", height=checkpoint[0])
        except Fault as error:
            return error
        return certified, bool(path)

    def _judge(self, peer: bytes, result: tuple[Certified, bool] | BaseException) -> None:
        if isinstance(result, Fault):
            self._condemn(peer, str(result))
            return
        if isinstance(result, BaseException):
            raise result
        certified, shown = result
        if self._current is not None and certified.manifest.identity == self._current.identity:
            self._current.pieces.add(peer)
            self._go_on()
        elif shown and certified.manifest.identity not in self._false:
            # Who cannot show the checkpoint, because it began at a snapshot itself, serves pieces only.
            if not self._offers:
                self._offered_ms = self._runtime.now_ms()
            self._offers[peer] = certified

    def _condemn(self, peer: bytes, why: str) -> None:
        """What it gave does not hold; more of it may be under way."""
        if peer in self._bad:
            return
        _log.warning("a false snapshot", peer=peer, reason=why)
        self._bad.add(peer)
        self.forget(peer)
        self._links.punish(peer, Offence.INVALID_BLOCK, why)

    def _choose(self) -> None:
        """Begin with the newest snapshot that was offered, if there is none yet, or nobody has it any more."""
        now, current = self._runtime.now_ms(), self._current
        if current is not None and current.pieces.sources:
            current.alone_since_ms = now
        waiting = current is not None and now - current.alone_since_ms < ALONE_MS
        if waiting or not self._offers or now - self._offered_ms < GATHER_MS:
            return
        least = self._height() + (1 if self._stuck() else self._wish.behind // 2)
        best = max(self._offers.values(), key=lambda offer: offer.manifest.height)
        offers, self._offers = self._offers, {}
        if best.manifest.height < least:
            return
        self._drop_staged(best)
        self._adopt(best, set())
        for peer, offer in offers.items():
            if self._current is not None and offer.manifest.identity == self._current.identity:
                self._current.pieces.add(peer)
        _log.info("fetching a snapshot", height=best.manifest.height, bytes=best.manifest.content.size)

    def _drop_staged(self, following: Certified) -> None:
        """Forget what was staged, and note what is fetched from now on."""
        shelf, manifest = self._shelf, following.manifest

        def renew() -> None:
            shelf.tidy(0)
            shelf.finish(manifest.height, encode(manifest))

        self._runtime.run_in_writer(WRITER, renew, raise_failure)

    def _adopt(self, certified: Certified, here: set[int]) -> None:
        manifest = certified.manifest
        numbered = self._current.pieces.numbered if self._current is not None else 0
        pieces = Pieces(manifest.height, manifest.pieces, here, numbered=numbered)
        now = self._runtime.now_ms()
        self._current = _Current(certified, pieces, manifest.identity, now)
        self._note(self._current, len(here))

    # Pieces ----------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Ask for what is missing, or build."""
        current = self._current
        if current is None or current.steps is not None:
            return
        if current.pieces.complete:
            self._build(current)
            return
        for ask in current.pieces.tick(self._runtime.now_ms()):
            self._send(ask.peer, ask.request)

    def came(self, peer: bytes, reply: PieceReply) -> None:
        """A piece came."""
        current = self._current
        if current is None or peer in self._bad:
            return
        number = current.pieces.came(peer, reply.number)
        if number is None:
            self._links.punish(peer, Offence.UNSOLICITED, "a piece of a snapshot")
            return
        if not reply.piece:
            current.pieces.checked(number, good=False)
            current.pieces.drop(peer)
            return
        content, shelf = current.certified.manifest.content, self._shelf

        def keep() -> Fault | None:
            try:
                check_piece(content, number, reply.piece)
            except Fault as error:
                return error
            shelf.put(content.applied.height, piece_name(content, number), reply.piece)
            return None

        self._runtime.run_in_writer(WRITER, keep, lambda result: self._kept(current, peer, number, result))

    def _kept(self, current: _Current, peer: bytes, number: int, result: BaseException | None) -> None:
        current.pieces.checked(number, good=result is None)
        if isinstance(result, Fault) and result.spec is SNAPSHOT_INVALID:
            self._condemn(peer, str(result))
        elif result is not None:
            raise result
        if self._current is current:
            self._note(current, len(current.pieces.done))
            self._go_on()

    # The new data ----------------------------------------------------------------------------------------------------

    def _build(self, current: _Current) -> None:
        certified, shelf = current.certified, self._shelf
        content = certified.manifest.content

        def steps() -> Iterator[int]:
            disk, engine = self._target.begin()
            try:
                yield from restore(
                    content,
                    certified.facts,
                    lambda number: shelf.piece(content, number),
                    disk,
                    engine,
                    lambda view: look_ahead(self._membership.next_record(view, certified.record), certified.record),
                )
            finally:
                engine.close()
                disk.close()
            self._target.finish()
            shelf.tidy(0)

        current.steps, current.moved = steps(), []
        self._note(current, 0)
        _log.info("building the state of a snapshot", height=content.applied.height)
        self._step(current)

    def _step(self, current: _Current) -> None:
        steps = current.steps
        assert steps is not None, "while it is built"
        self._runtime.run_in_writer(WRITER, lambda: next(steps, -1), lambda result: self._stepped(current, result))

    def _stepped(self, current: _Current, result: int | BaseException) -> None:
        if isinstance(result, Fault) and result.spec is SNAPSHOT_INVALID:
            self._not_built(current, result)
        elif isinstance(result, BaseException):
            raise result
        elif result >= 0:
            current.built += 1
            self._note(current, current.built)
            self._step(current)
        else:
            self._end(current.certified.manifest.height)

    def _end(self, height: int) -> None:
        """The new data is whole."""
        self._over = True
        missed = self._height() + self._behind() - height
        least = 2 * max(self._least, missed)
        _log.info("a snapshot is restored", height=height, missed=missed)

        def noted(result: object) -> None:
            raise_failure(result)
            self._restored(height)

        self._runtime.run_in_writer(WRITER, lambda: self._shelf.disk.replace_file(LEAST, encode(least)), noted)

    def _not_built(self, current: _Current, why: Fault) -> None:
        """The pieces do not fit together: whoever vouched for this snapshot lied, or what was staged is damaged."""
        if current.built >= len(current.certified.manifest.content.parts):  # Before, it can only be the disk.
            self._false.add(current.identity)
            for peer in list(current.pieces.sources):
                self._condemn(peer, str(why))
        self._give_up(str(why))

    def _give_up(self, why: str) -> None:
        _log.info("a snapshot is given up", reason=why)
        self._current = self._wanted_ms = None
        self._runtime.run_in_writer(WRITER, lambda: self._shelf.tidy(0), raise_failure)

    def _send(self, peer: bytes, message: SnapshotMessage) -> None:
        self._links.send(peer, Channel.SNAPSHOT, write_snapshot(message))
