"""Golden vectors of everything on disk: a change here is a change of format, to be said in CHANGELOG."""

from hashlib import sha256

from storage.batches import BatchStore
from storage.blocks import BlockFile
from storage.journal import Journal, folder_of
from storage.memory import MemoryDisk, MemoryEngine
from tests.storage.builders import commit, initialised

JOURNAL = "0000001065a4cab50000000000000001000000000000000700000014a6fda8ae00000000000000020000000000000007766f7465"
BATCHES = "0000002da175b5c40000018bcfe5680069696969696969696969696969696969696969696969696969696969696969696261746368"
BLOCKS = "0000000dc15bd58a0000000000003039626c6f636b"
INDEX = "0000000000003039000000000000001586e0498c"
KEYS = [
    "610000000000000000",
    "610000000000000001",
    "610000000000000002",
    "610000000000000003",
    "610000000000000004",
    "67000000006163636f756e742f32",
    "67000000086163636f756e742f30",
    "67000000086163636f756e742f31",
    "670000000d6163636f756e742f33",
    "670000000e636f756e746572",
    "670000000f6163636f756e742f34",
    "680000000000000000",
]
APPLIED = (
    "9904c4209e8962d53c507067702cb12a38d4a820e2083cb2c7decf4e167b36d0593cda1e08cf0000018bcfe56804c420"
    "00c2307dfc3fbc3ede7160c5a590a9a65aa480506d5d22fa672b3d4f734b58e1c420569e67d430e43a9bc537e22b4e74"
    "5246fdc0ac9bb02fd8cd8e51e7f95e0547ba920592c4209d5e42c48138a285ab58b9aa76b043b5233d379bacb522db23"
    "1b831f17d28cc1c420e29d4a1a9a85f9b095b6f2706471df9bd94b6787a5d5874ac1fa07f2202664cd920592c4202026"
    "02320edf0cbaa583992b58dbe1c1da13d9d64eff62c49449d0826a0eb2e6c42029a260a8ade193d9cb3ac98cd7b9e412"
    "bba1ebb580acf4a2aaa949dacf34afc692c4200404040404040404040404040404040404040404040404040404040404"
    "040404c3"
)
ENGINE = "ad124fe67877a51ae8cfb1e719300cd6223499b76f993c522a753feb27a1a39e"
RECEIPTS = "00000009160687ea0000000000000000900000001601b57fcc000000000000000191c40b7265636569707420312f30"
STATE_ROOT = "00c2307dfc3fbc3ede7160c5a590a9a65aa480506d5d22fa672b3d4f734b58e1"


def journal():
    disk = MemoryDisk()
    records, _ = Journal.open(disk, folder_of(7), 7)
    for body in (b"", b"vote"):
        records.append(body)
    return disk.read(f"journal/7/{1:020d}.log").hex()


def batches():
    disk = MemoryDisk()
    BatchStore.open(disk).put(b"i" * 32, b"batch", 1_700_000_000_000)
    return disk.read("batches/0000000000.seg").hex()


def blocks(suffix):
    disk = MemoryDisk()
    segment = BlockFile.open(disk)
    segment.append(12_345, b"block")
    segment.sync()
    return disk.read(f"blocks/0000010000.{suffix}").hex()


def committed():
    engine = MemoryEngine()
    store = initialised(MemoryDisk(), engine)
    for _ in range(4):
        commit(store)
    return store, engine


def test_files():
    """Journal, batch, block and index files, byte by byte."""
    assert journal() == JOURNAL
    assert batches() == BATCHES
    assert blocks("seg") == BLOCKS
    assert blocks("idx") == INDEX


def test_receipts():
    """Receipts lie in files of their own, in the frame of blocks."""
    disk = MemoryDisk()
    commit(initialised(disk, MemoryEngine()))
    assert disk.read("receipts/0000000000.seg").hex() == RECEIPTS


def test_engine():
    """Keys, the applied pointer, the state root, and a hash over every key and value after four fixed blocks."""
    store, engine = committed()
    rows = list(engine.iterate(b""))
    everything = b"".join(len(part).to_bytes(4, "big") + part for row in rows for part in row)
    assert [key.hex() for key, _ in rows][:12] == KEYS
    assert engine.get(b"p").hex() == APPLIED
    assert store.state.root.hex() == STATE_ROOT
    assert sha256(everything).hexdigest() == ENGINE
