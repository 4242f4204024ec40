"""Does what is stored agree with itself?  All of it, read once from beginning to end, from a home or from a backup.

Every block must follow the one before, hold what its header says and be certified by its epoch's validators; receipts
must have the root, and results the history, that later headers report; the groups must have the state root.  What
disagrees is collected, so that one run names all of it; only what cannot be read any further ends a strand.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cccnode.codec import DecodeError, decode_trusted, encode
from cccnode.crypto import kernel, merkle
from cccnode.crypto.hashing import BLOCK, EPOCH, tagged
from cccnode.crypto.proofs import branch_hash
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, Header, body_root, result_leaf
from cccnode.types.certificate import Certificate, claims_of
from cccnode.types.errors import Fault
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind, vote_bytes
from storage import keys
from storage.blocks import FOLDER, RECEIPTS_FOLDER
from storage.copying import Origin, Row
from storage.store import Applied

FINDINGS_MAX: Final = 100
"""What is wrong everywhere need not be said everywhere."""
PROGRESS_BYTES: Final = 1 << 20
"""Read between two words of progress."""
RECENT_MAX: Final = 4_096
"""Results that later headers may still report."""

VerifyMany = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes]], Sequence[bool]]
"""Messages, signatures, public keys: one verdict each."""


class Content(Protocol):
    """What can be checked."""

    @property
    def origin(self) -> Origin:
        """What it says it is."""

    def rows(self, folder: str) -> Iterator[Sequence[Row]]:
        """The engine's rows: `state` (epoch records, groups, named values, ascending) or `heights` (by height)."""

    def first(self, folder: str) -> int | None:
        """The lowest height of blocks or receipts; None: there are none."""

    def records(self, folder: str) -> Iterator[tuple[int, bytes]]:
        """Height and content of all blocks or receipts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong."""

    what: str
    """`blocks`, `receipts`, `heights`, `state`, `index`, `certificates`."""
    why: str
    height: int | None = None

    def __str__(self) -> str:
        """One line."""
        where = "" if self.height is None else f" at height {self.height}"
        return f"{self.what}{where}: {self.why}"


@dataclass(slots=True)
class Audit:
    """One run over a content."""

    content: Content
    verify_many: VerifyMany
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """What was read: heights, blocks, transactions, certificates, receipts, groups."""
    receipts_seen: Callable[[int, Sequence[bytes]], None] = lambda height, receipts: None
    """Told of each block's receipts: whoever checks an index listens."""
    certified: int = 0
    """The highest height that a checked certificate covers."""
    _records: dict[bytes, EpochRecord] = field(default_factory=dict)

    def run(self) -> Iterator[int]:
        """Check everything; yields bytes read, now and then."""
        yield from self.state()
        yield from self.heights()

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def say(self, what: str, why: str, height: int | None = None) -> None:
        """Note something that is wrong."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(what=what, why=why, height=height))

    def count(self, what: str, more: int = 1) -> None:
        """Note what was read."""
        self.counts[what] = self.counts.get(what, 0) + more

    # The state

    def state(self) -> Iterator[int]:
        """Check epoch records by their hashes, groups by the state root; yields bytes read, now and then."""
        tree, size = _Roots(self.content.origin.depth), 0
        try:
            for rows in self.content.rows("state"):
                for key, value in rows:
                    size += len(key) + len(value)
                    if key.startswith(keys.GROUP):
                        self.count("groups")
                        tree.add(key, value)
                    elif key.startswith(keys.EPOCH_RECORD):
                        self.epoch_record(key, value)
                if size >= PROGRESS_BYTES:
                    yield size
                    size = 0
            if tree.root() != self.content.origin.applied.state_root:
                self.say("state", "the groups do not have the state root")
        except (Fault, ValueError) as error:
            self.say("state", str(error))
        yield size

    def epoch_record(self, key: bytes, value: bytes) -> None:
        """Take a row with an epoch's record: certificates are checked against it."""
        self.count("epoch_records")
        if tagged(EPOCH, value) != key[1:]:
            self.say("state", "an epoch record is not the one of its hash")
            return
        self._records[key[1:]] = decode_trusted(EpochRecord, value)

    # Heights

    def heights(self) -> Iterator[int]:
        """Check every height that there is; yields bytes read, now and then."""
        chain = _Chain(self)
        blocks, receipts = _Strand(self, FOLDER), _Strand(self, RECEIPTS_FOLDER)
        size = last = 0
        try:
            for height, header, applied in _by_height(self.content.rows("heights")):
                size += len(header or b"") + len(applied or b"")
                block, results = blocks.at(height), receipts.at(height)
                size += len(block or b"") + len(results or b"")
                self.count("heights")
                last = height
                try:
                    chain.look(height, (header, applied), block, results)
                except DecodeError as error:
                    self.say("heights", str(error), height)
                if size >= PROGRESS_BYTES:
                    yield size
                    size = 0
        except Fault as error:
            self.say("heights", str(error))
        applied_height = self.content.origin.applied.height
        if last != applied_height:
            self.say("heights", f"they end here, and not at {applied_height}", last)
        for strand in (blocks, receipts):
            strand.ends(applied_height)
        yield size

    def certificate(self, header: Header, certificate: Certificate) -> None:
        """Check a block's finalization against its epoch's record."""
        record = self._records.get(header.epoch_record_hash)
        if record is None:
            self.say("certificates", "the record of its epoch is not there", header.height)
            return
        claims = claims_of(certificate, len(record.validators))
        if claims is None or certificate.kind is not Kind.FINALIZE:
            self.say("certificates", "it is no quorum's finalization", header.height)
            return
        message = vote_bytes(Kind.FINALIZE, header.chain, header.epoch, certificate.proposal)
        owners = [record.validators[signer].consensus_key for _, _, signer, _ in claims]
        if not all(self.verify_many([message] * len(claims), [claim[3] for claim in claims], owners)):
            self.say("certificates", "a signature does not verify", header.height)
            return
        self.count("certificates")
        self.certified = header.height


class _Strand:
    """Blocks or receipts, read beside the heights."""

    def __init__(self, audit: Audit, folder: str) -> None:
        self._audit, self._folder = audit, folder
        self._next: tuple[int, bytes] | None = None
        self._last: int | None = None
        self._broken = False
        self._records = audit.content.records(folder)
        self._advance()

    def at(self, height: int) -> bytes | None:
        """What is stored of a height."""
        found = self._next
        while found is not None and found[0] < height:
            self._audit.say(self._folder, "no header is kept for it", found[0])
            found = self._advance()
        if found is None or found[0] != height:
            return None
        self._last = height
        self._advance()
        return found[1]

    def ends(self, height: int) -> None:
        """Whether everything up to a height was there."""
        if self._broken or (height == 0 and self._folder == FOLDER):
            return
        if self._last != height:
            self._audit.say(self._folder, f"they end here, and not at {height}", self._last)

    def _advance(self) -> tuple[int, bytes] | None:
        try:
            self._step()
        except Fault as error:
            self._break(error)
        return self._next

    def _step(self) -> None:
        self._next = next(self._records, None)

    def _break(self, error: Fault) -> None:
        self._next, self._broken = None, True
        self._audit.say(self._folder, str(error), 0 if self._last is None else self._last + 1)


class _Chain:
    """One height after the other."""

    def __init__(self, audit: Audit) -> None:
        self._audit, self._origin = audit, audit.content.origin
        self._header: Header | None = None
        self._applied: Applied | None = None
        self._roots: dict[int, tuple[bytes, bytes]] = {}
        """State root and results root by height."""

    def look(
        self, height: int, rows: tuple[bytes | None, bytes | None], block: bytes | None, results: bytes | None
    ) -> None:
        """What is stored of one height, against itself and what came before; `rows`: header and result."""
        audit, (header_raw, applied_raw) = self._audit, rows
        header = None if header_raw is None else decode_trusted(Header, header_raw)
        applied = None if applied_raw is None else decode_trusted(Applied, applied_raw)
        identity = None if header_raw is None else tagged(BLOCK, header_raw)
        if header is not None:
            self._follows(height, header)
        if header is not None and applied is not None and identity is not None:
            self._result(height, header, applied, identity)
        if block is not None:
            self._block(height, block, header_raw)
        if results is not None:
            receipts = decode_trusted(list[bytes], results)
            audit.count("receipts", len(receipts))
            if applied is not None and merkle.root(receipts) != applied.receipts_root:
                audit.say(RECEIPTS_FOLDER, "they do not have their root", height)
            audit.receipts_seen(height, receipts)
        self._header, self._applied = header, applied
        if applied is not None:
            self._roots[height] = (applied.state_root, applied.results.root())
            self._roots.pop(height - RECENT_MAX, None)
        if height == self._origin.applied.height and applied != self._origin.applied:
            audit.say("heights", "the newest result is not the applied one", height)

    def _follows(self, height: int, header: Header) -> None:
        before, say = self._header, self._audit.say
        if header.height != height or header.chain != self._origin.chain:
            say("heights", "the header is another one's", height)
        if before is None or before.height != height - 1:
            return
        if header.parent != tagged(BLOCK, encode(before)):
            say("heights", "the block does not follow the one before", height)
        if header.epoch == before.epoch + 1:  # A restart leaves a number out, and nothing leads over it.
            if header.epoch_record_hash != before.next_epoch_record_hash:
                say("heights", "the epoch is not the one that the last block of the epoch before names", height)
        elif header.epoch == before.epoch and header.epoch_record_hash != before.epoch_record_hash:
            say("heights", "the epoch's record has changed within the epoch", height)

    def _result(self, height: int, header: Header, applied: Applied, identity: bytes) -> None:
        before, say = self._applied, self._audit.say
        if (applied.height, applied.block_id) != (height, identity):
            say("heights", "the result is another block's", height)
        if before is not None and before.height == height - 1:
            if before.history.root() != header.history_root or before.history.append(identity) != applied.history:
                say("heights", "the history of blocks is another", height)
            leaf = result_leaf(height, applied.state_root, applied.receipts_root)
            if before.results.append(leaf) != applied.results:
                say("heights", "the history of results is another", height)
        reported = self._roots.get(header.exec_height)
        if height and reported is not None and reported != (header.state_root, header.results_root):
            say("heights", f"the header reports other results for height {header.exec_height}", height)

    def _block(self, height: int, raw: bytes, header_raw: bytes | None) -> None:
        audit = self._audit
        block = decode_trusted(FinalBlock, raw)
        audit.count("blocks")
        audit.count("transactions", sum(map(len, block.batches)))
        if header_raw is not None and encode(block.header) != header_raw:
            audit.say(FOLDER, "the block is not the one of the header", height)
        if body_root(tuple(batch_id(batch) for batch in block.batches)) != block.header.body_root:
            audit.say(FOLDER, "its transactions are not those of the header", height)
        if block.certificate is not None:
            proposal = block.certificate.proposal
            if (proposal.height, proposal.block_id) != (height, tagged(BLOCK, encode(block.header))):
                audit.say("certificates", "it is for another block", height)
            else:
                audit.certificate(block.header, block.certificate)


class _Roots:
    """The state root over groups that come in the order of their buckets, in as many hashes as the tree has levels."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._bucket = 0
        self._rows: list[Row] = []
        self._peaks: list[tuple[int, bytes]] = []
        """Complete subtrees from the left: level, hash."""

    def add(self, key: bytes, record: bytes) -> None:
        """The next group.

        Raises:
            ValueError: it is not one, or comes out of order.
        """
        bucket = keys.bucket_in(key)
        if bucket < self._bucket or bucket >> self._depth:
            raise ValueError(f"a group of bucket {bucket} stands in the wrong place")
        while self._bucket < bucket:
            self._close()
        self._rows.append((key[len(keys.bucket(0)) :], record))

    def root(self) -> bytes:
        """The root, after the last group."""
        while self._bucket < 1 << self._depth:
            self._close()
        return self._peaks[0][1]

    def _close(self) -> None:
        """The current bucket is complete."""
        node = (0, kernel.page_hash(self._depth, self._bucket, kernel.make_page(self._rows)))
        self._rows = []
        self._bucket += 1
        while self._peaks and self._peaks[-1][0] == node[0]:
            level, left = self._peaks.pop()
            node = (level + 1, branch_hash(left, node[1]))
        self._peaks.append(node)


def _by_height(pages: Iterator[Sequence[Row]]) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Height, header and result, ascending."""
    height, header, applied = -1, None, None
    for rows in pages:
        for key, value in rows:
            found = keys.height_in(key)
            if found != height:
                if height >= 0:
                    yield height, header, applied
                height, header, applied = found, None, None
            if key.startswith(keys.HEADER):
                header = value
            else:
                applied = value
    if height >= 0:
        yield height, header, applied
