"""Serves the snapshots that lie here to other nodes, one file read at a time in a thread of its own."""

from collections import Counter
from typing import Final

from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime
from cccnode.types.errors import Fault
from p2p.frames import Channel
from p2p.scores import Meter, Offence
from p2p.snapshots import (
    SNAPSHOT_BYTES_MAX,
    ManifestReply,
    ManifestRequest,
    PieceReply,
    PieceRequest,
    write_snapshot,
)
from storage.snapshots import Manifest, Shelf, history_path, read_manifest
from storage.store import Store

READER: Final = "snapshot-read"
WAITING_MAX: Final = 32
"""Requests that wait; the rest is dropped, and asked of somebody else."""
OF_ONE_MAX: Final = 4
"""Of one asker: it has two pieces under way."""
PER_SECOND_MAX: Final = 400
"""Requests of one asker that are no nuisance yet: more pieces than a fast line carries."""
KNOWN_MAX: Final = 4
"""Manifests remembered."""


class Lending:
    """Answers what others ask about snapshots."""

    def __init__(self, *, runtime: Runtime, links: Links, store: Store, shelf: Shelf) -> None:
        """Nobody has asked yet."""
        self._runtime, self._links, self._store, self._shelf = runtime, links, store, shelf
        self._waiting: Counter[bytes] = Counter()
        self._meters: dict[bytes, Meter] = {}
        self._known: dict[int, tuple[bytes, Manifest]] = {}
        """By height; touched by the reader thread alone."""

    def forget(self, peer: bytes) -> None:
        """A node is gone."""
        self._meters.pop(peer, None)

    def asked(self, peer: bytes, request: ManifestRequest | PieceRequest) -> None:
        """Answer when its turn comes."""
        meter = self._meters.setdefault(peer, Meter(at_most=PER_SECOND_MAX))
        if meter.exceeded(self._runtime.now_ms()):
            self._links.punish(peer, Offence.FLOOD, "requests for snapshots")
            return
        if self._waiting[peer] >= OF_ONE_MAX or self._waiting.total() >= WAITING_MAX:
            return
        self._waiting[peer] += 1
        self._runtime.run_in_writer(READER, lambda: self._read(request), lambda answer: self._answer(peer, answer))

    def _read(self, request: ManifestRequest | PieceRequest) -> ManifestReply | PieceReply:
        """Runs in the reader thread."""
        return self._manifest(request) if isinstance(request, ManifestRequest) else self._piece(request)

    def _answer(self, peer: bytes, answer: ManifestReply | PieceReply | BaseException) -> None:
        self._waiting[peer] -= 1
        if not self._waiting[peer]:
            del self._waiting[peer]
        if isinstance(answer, BaseException):
            raise answer
        self._links.send(peer, Channel.SNAPSHOT, write_snapshot(answer))

    def _manifest(self, request: ManifestRequest) -> ManifestReply:
        nothing = ManifestReply(request.number, 0, 0, b"", ())
        try:
            heights = self._shelf.heights()
            if not heights:
                return nothing
            height = request.wanted if request.wanted in heights else heights[-1]
            raw, _ = self._known_at(height)
        except Fault:
            return nothing  # Deleted this moment, or of another program.
        if request.offset and (height != request.wanted or request.offset >= len(raw)):
            return nothing  # The one that it had begun to fetch was deleted.
        path: tuple[bytes, ...] = ()
        if 0 < request.checkpoint <= height and request.offset + SNAPSHOT_BYTES_MAX >= len(raw):
            try:
                path = history_path(self._store.applied_at, request.checkpoint, height + 1)
            except Fault:
                path = ()  # This node itself began at a snapshot: who wants to see the way asks another.
        part = raw[request.offset : request.offset + SNAPSHOT_BYTES_MAX]
        return ManifestReply(request.number, height, len(raw), part, path)

    def _piece(self, request: PieceRequest) -> PieceReply:
        try:
            _, manifest = self._known_at(request.height)
            known = request.piece < manifest.pieces
            return PieceReply(request.number, self._shelf.piece(manifest.content, request.piece) if known else b"")
        except Fault:
            return PieceReply(request.number, b"")

    def _known_at(self, height: int) -> tuple[bytes, Manifest]:
        raw = self._shelf.manifest(height)
        if height not in self._known:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[height] = raw, read_manifest(raw)
        return self._known[height]
