"""Audits: what is stored agrees with itself, or what does not is named, with its height."""

import pytest
from msgspec.structs import replace

from cccnode.codec import encode
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, block_id, body_root
from cccnode.types.certificate import Certificate, make_certificate
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator, epoch_record_hash
from cccnode.types.vote import Kind, Proposal
from storage import keys
from storage.blocks import FOLDER, RECEIPTS_FOLDER, BlockFile
from storage.checking import Audit, _Roots
from storage.contents import HomeContent, check_index
from storage.index import Index
from storage.memory import MemoryDisk, MemoryEngine
from storage.records import frame
from storage.store import Store
from tests.storage.builders import CHAIN, DEPTH, header, open_store, receipts, writes

RECORD = EpochRecord(
    epoch=0,
    validators=tuple(
        Validator(organisation=f"org{at}", consensus_key=bytes([at]) * 32, node_keys=(bytes([64 + at]) * 32,))
        for at in range(4)
    ),
    limits=Limits(),
    timers=Timers(),
    features=(),
)
RECORD_HASH = epoch_record_hash(RECORD)
BLOCKS = 12


def good(messages, signatures, owners):
    """A signature is good when it begins with its owner's key."""
    return [signature.startswith(owner) for signature, owner in zip(signatures, owners, strict=True)]


def certificate(head):
    signatures = {at: bytes([at]) * 64 for at in range(3)}
    return make_certificate(
        Kind.FINALIZE, Proposal(head.view, head.parent_view, head.height, block_id(head)), signatures, 4
    )


class Chain:
    """A store whose headers report what they should."""

    def __init__(self, blocks=BLOCKS):
        self.disk, self.engine = MemoryDisk(), MemoryEngine()
        self.store = open_store(self.disk, self.engine)
        first = replace(header(0), epoch=0, epoch_record_hash=RECORD_HASH)
        self.store.initialise(first, writes(0), epoch_records={RECORD_HASH: encode(RECORD)})
        for _ in range(blocks):
            self.grow()

    def grow(self, **changes):
        applied = self.store.applied
        height = applied.height + 1
        reported = self.store.applied_at(max(0, height - 2))
        batches = ((b"transaction of %d" % height,),)
        head = replace(
            header(height, applied.block_id),
            epoch=0,
            epoch_record_hash=RECORD_HASH,
            body_root=body_root(tuple(batch_id(batch) for batch in batches)),
            history_root=applied.history.root(),
            exec_height=reported.height,
            state_root=reported.state_root,
            results_root=reported.results.root(),
        )
        head = replace(head, **changes)
        block = FinalBlock(head, batches, certificate(head), ())
        staged = self.store.stage(block, block_id(head), writes(height), receipts(height)).finish()
        self.store.write(staged)
        return self.store.adopt(staged)

    def audit(self, index=None):
        audit = Audit(HomeContent(self.engine.snapshot(), self.disk), good)
        if index is not None:
            check_index(audit, index, lambda found: found)
        for _ in audit.run():
            pass
        audit.content.by_id(audit)
        return audit

    def wrong(self):
        return {(finding.what, finding.height) for finding in self.audit().findings}

    def put(self, key, value):
        self.engine.write([(key, value)], sync=True)

    def rewrite(self, folder, height, raw):
        """Put another, sound record where one stands; of the same length, so that the others stay."""
        data = self.disk._files[f"{folder}/0000000000.seg"].data
        file = BlockFile.open(self.disk, folder)
        old = {at: file.read(at) for at in range(BLOCKS + 1)}
        old[height] = raw
        data.clear()
        del self.disk._files[f"{folder}/0000000000.idx"]
        for at, one in old.items():
            if one is not None:
                data += frame(at.to_bytes(8, "big") + one)


@pytest.fixture
def chain():
    return Chain()


def test_sound(chain):
    """Of a sound chain everything is read and nothing said; the newest certified height is known."""
    audit = chain.audit()
    assert audit.findings == []
    assert audit.certified == BLOCKS
    assert audit.counts == {
        "epoch_records": 1,
        "groups": sum(1 for _ in chain.engine.iterate(keys.GROUP)),
        "heights": BLOCKS + 1,
        "blocks": BLOCKS,
        "transactions": BLOCKS,
        "certificates": BLOCKS,
        "receipts": sum(len(receipts(at)) for at in range(1, BLOCKS + 1)),
    }


def test_state_root_without_a_tree(chain):
    """The root over groups in order, computed on the way, is the tree's, whatever the groups."""
    for depth in (1, 4, 7):
        engine = MemoryEngine()
        store = Store.open(MemoryDisk(), engine, chain=CHAIN, node_id=b"", depth=depth)
        store.initialise(header(0), {b"group %d" % at: {b"i": b"%d" % at} for at in range(40)})
        roots = _Roots(depth)
        for key, value in engine.iterate(keys.GROUP):
            roots.add(key, value)
        assert roots.root() == store.state.root


def test_groups_in_the_wrong_place():
    """A group that comes late, or whose bucket does not exist, is no group of a state."""
    for before, bucket in ((3, 2), (0, 1 << DEPTH)):
        roots = _Roots(DEPTH)
        roots.add(keys.bucket(before) + b"g", encode([]))
        with pytest.raises(ValueError, match="wrong place"):
            roots.add(keys.bucket(bucket) + b"g", encode([]))


def test_a_changed_group(chain):
    """One changed value, and the state root is another."""
    key, _ = next(iter(chain.engine.iterate(keys.GROUP)))
    chain.put(key, encode([[b"balance", b"more"]]))
    assert chain.wrong() == {("state", None)}


def test_a_changed_epoch_record(chain):
    """A record that is not the one of its hash is named; certificates cannot be judged then."""
    chain.put(keys.epoch_record(RECORD_HASH), encode(replace(RECORD, epoch=7)))
    assert ("state", None) in chain.wrong()
    assert ("certificates", 1) in chain.wrong()


@pytest.mark.parametrize(
    "changes",
    [{"history_root": b"h" * 32}, {"state_root": b"s" * 32}, {"results_root": b"r" * 32}, {"chain": b"x" * 32}],
)
def test_a_header_that_reports_something_else(chain, changes):
    """A header that names another chain, history, state or results is named with its height."""
    chain.grow(**changes)
    assert {height for _, height in chain.wrong()} == {BLOCKS + 1}


def test_a_header_that_does_not_follow(chain):
    """A header that was replaced: neither its neighbour nor its block nor its result fits."""
    chain.put(keys.header(5), encode(replace(chain.store.header(5), time_ms=5)))
    assert {("heights", 5), ("heights", 6), ("blocks", 5)} <= chain.wrong()


def test_another_result(chain):
    """A result with another receipts root leads to another history of results, there and above."""
    chain.put(keys.applied_at(4), encode(replace(chain.store.applied_at(4), receipts_root=b"r" * 32)))
    assert {("receipts", 4), ("heights", 4)} <= chain.wrong()


def test_the_pointer_is_another_height(chain):
    """Without the newest result the heights end before the applied one."""
    chain.put(keys.applied_at(BLOCKS), None)
    chain.put(keys.header(BLOCKS), None)
    assert ("heights", BLOCKS - 1) in chain.wrong()


def test_other_transactions(chain):
    """A block with other transactions than its header names."""
    block = chain.store.block(3)
    raw = encode(replace(block, batches=((b"transaction of 9",),)))
    chain.rewrite(FOLDER, 3, raw)
    assert chain.wrong() == {("blocks", 3)}


@pytest.mark.parametrize("how", ["signature", "kind", "few", "block"])
def test_a_certificate_that_does_not_hold(chain, how):
    """A certificate with a wrong signature, of another kind, of too few or for another block is named."""
    block = chain.store.block(3)
    held = block.certificate
    changed = {
        "signature": replace(held, signatures=(b"z" * 64, *held.signatures[1:])),
        "kind": replace(held, kind=Kind.NOTARIZE),
        "few": replace(held, bitmap=b"\x03", signatures=held.signatures[:2]),
        "block": replace(held, proposal=replace(held.proposal, height=4)),
    }[how]
    assert isinstance(changed, Certificate)
    chain.rewrite(FOLDER, 3, encode(replace(block, certificate=changed)))
    assert chain.wrong() == {("certificates", 3)}


def test_other_receipts(chain):
    """Receipts that do not have their root are named with their height."""
    chain.rewrite(RECEIPTS_FOLDER, 5, encode([b"receipt 5/0", b"receipt 5/9"]))
    assert chain.wrong() == {("receipts", 5)}


@pytest.mark.parametrize("folder", [FOLDER, RECEIPTS_FOLDER])
def test_a_damaged_record(chain, folder):
    """A record that cannot be read ends its strand, and is named; the rest is checked all the same."""
    data = chain.disk._files[f"{folder}/0000000000.seg"].data
    data[len(data) // 2] ^= 1
    wrong = chain.wrong()
    assert len(wrong) == 1
    ((what, height),) = wrong
    assert what == folder
    assert 0 < height <= BLOCKS


@pytest.mark.parametrize("folder", [FOLDER, RECEIPTS_FOLDER])
def test_a_file_that_ends_too_early(chain, folder):
    """Blocks or receipts that end below the applied height are named."""
    file = chain.disk._files[f"{folder}/0000000000.seg"]
    del file.data[-5:]
    assert (folder, BLOCKS) in chain.wrong()


def test_block_ids(chain):
    """A block id that leads elsewhere, and one that is missing, are named."""
    chain.put(keys.height_of(chain.store.applied_at(3).block_id), (4).to_bytes(8, "big"))
    assert chain.wrong() == {("heights", 4)}
    chain.put(keys.height_of(chain.store.applied_at(3).block_id), None)
    assert chain.wrong() == {("heights", None)}


def test_the_index(chain):
    """An index that has every transaction agrees; one that has another place for it, or goes too far, does not."""
    index = Index(None)
    index.add([(at, receipts(at)) for at in range(1, 8)])
    assert chain.audit(index).findings == []
    other = Index(None)
    other.add([(at, [*receipts(at)][::-1]) for at in range(1, 8)])
    assert {(one.what, one.height) for one in chain.audit(other).findings} == {("index", 2), ("index", 5)}
    index.add([(at, receipts(at)) for at in range(8, BLOCKS + 2)])
    assert [one.what for one in chain.audit(index).findings] == ["index"]


def test_findings_are_bounded(chain):
    """What is wrong everywhere is said a hundred times and no more."""
    audit = chain.audit()
    for height in range(1_000):
        audit.say("blocks", "gone", height)
    assert len(audit.findings) == 100
    assert str(audit.findings[0]) == "blocks at height 0: gone"


def test_a_store_that_begins_late():
    """Where older blocks were dropped, what is left is sound."""
    chain = Chain()
    for folder in (FOLDER, RECEIPTS_FOLDER):
        from storage.blocks import BlockFile  # noqa: PLC0415 - beside its only use

        file = BlockFile.open(chain.disk, folder)
        data = b"".join(frame(at.to_bytes(8, "big") + file.read(at)) for at in range(6, BLOCKS + 1))
        chain.disk.replace_file(f"{folder}/0000000000.seg", data)
        chain.disk.remove(f"{folder}/0000000000.idx")
    audit = chain.audit()
    assert audit.findings == []
    assert audit.counts["blocks"] == BLOCKS - 5


def test_unknown_rows_are_not_read(chain):
    """Headers that were kept of a block whose neighbours are gone say nothing about them."""
    for at in (2, 3, 4):
        chain.put(keys.height_of(chain.store.applied_at(at).block_id), None)
        chain.put(keys.header(at), None)
        chain.put(keys.applied_at(at), None)
    wrong = chain.wrong()
    assert wrong == {("blocks", 2), ("blocks", 3), ("blocks", 4), ("receipts", 2), ("receipts", 3), ("receipts", 4)}
