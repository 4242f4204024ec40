"""No decoder answers damaged bytes with anything but a value or its named error."""

import ast
from pathlib import Path

import pytest

from cccnode.codec import DecodeError
from cccnode.types.errors import Fault
from genesis.document import read_document
from tests.simulation.decoders import GROUPS
from tests.simulation.fuzzing import Decoder, Fuzzed, fuzz
from tests.tidy.source import product_files, tree

EDITS = 20_000
LONG_EDITS = 400_000

COVERED = {
    "Message", "Record", "FinalBlock", "BatchMessage", "Have", "Batch", "Report", "RestartCertificate", "GroupProof",
    "EpochLink", "SnapshotMessage", "Manifest", "Page", "Origin", "Card", "JoinRequest", "Receipt", "EpochRecord",
    "EpochStart", "SignerMessage", "Mark", "kind", "list[Any]", "typed", "self.transaction",
    "Union[kinds]", "Promise",
}  # fmt: skip
"""What `codec.decode` and `decode_trusted` are asked for, and `decoders.py` feeds; `kind` stands in generic helpers."""

ELSEWHERE = {
    "tuple[AddressRecord, ...]": "tests/node reads damaged address files; each record is a part of `control message`",
    "tuple[Contradiction, ...]": "this node wrote it",
    "list[tuple[bytes, bytes]]": "rows of the state, which this node wrote; tests/storage damages them",
    "int": "the mark beside a vote journal, written by this node",
    "Contradiction": "two votes of `consensus message`, handed over by the operator's own node",
    "Section": "part of `incident capsule`",
    "list": "part of `incident capsule`",
    "list[bytes]": "receipts, which this node wrote; tests/storage damages them",
    "_Outline": "a stored block, which this node wrote",
    "_Rows": "rows of a backup, under its SHA-256; tests/storage changes every byte",
    "Applied": "this node wrote it",
    "GenesisPath": "this node wrote it",
    "PairsOf": "a state group, which this node wrote",
    "_Payer": "a transaction of a stored block, decoded when it came",
    "_OnlyId": "a stored receipt, which this node wrote",
    "Certificate": "part of a stored block, which this node wrote",
    "Header": "part of a stored block, which this node wrote",
    "list[object]": "the transaction of `transaction proof`",
    "genesis": "the verifier that stands alone decodes by itself; tests/test_evidence_verifier damages its files",
    "raw": "likewise",
    "receipt": "likewise",
    "value": "likewise",
}
"""What is asked for and not fed here, each with the reason."""


def check(group: str, folder: Path, *, edits: int, seed: int) -> None:
    """Fuzz one group; whatever is wrong is shown as hexadecimal, to be kept."""
    for decoder in GROUPS[group](folder):
        found: Fuzzed = fuzz(decoder, edits=edits, seed=seed)

        assert [] == found.wrong, decoder.name


@pytest.mark.parametrize("group", GROUPS)
def test_damaged_bytes_get_their_named_error(group: str, tmp_path: Path) -> None:
    """20,000 damaged inputs for each decoder, fewer where one takes long."""
    check(group, tmp_path, edits=EDITS, seed=0)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("group", GROUPS)
def test_many_more_damaged_bytes(group: str, tmp_path: Path) -> None:
    """The same with twenty times as many of another seed."""
    check(group, tmp_path, edits=LONG_EDITS, seed=1)


def test_the_fuzzer_sees_and_repeats() -> None:
    """An unnamed error, and a second encoding, are found; the same seed finds the same."""

    def read(raw: bytes) -> int:
        if raw[:1] == b"\x7f":
            raise KeyError("nobody named this")
        if len(raw) != 1:
            raise DecodeError("too long")
        return raw[0] & 0x3F

    decoder = Decoder("fragile", read, (b"\x01", b"\x02"), (DecodeError,), exact=True)
    first, second = (fuzz(decoder, edits=3_000, seed=5) for _ in range(2))

    assert any("KeyError" in wrong for wrong in first.wrong)
    assert any("another encoding" in wrong for wrong in first.wrong)
    assert first == second


@pytest.mark.parametrize("name", [b"\\ud800", b"\xed\xa0\x80"])
def test_invalid_half_of_a_pair(name: bytes) -> None:
    """Half of a surrogate pair in a genesis document is refused by name (found by fuzzing)."""
    with pytest.raises(Fault, match="genesis/INVALID"):
        read_document(b'{"format": 1, "name": "' + name + b'"}')


def test_every_decoder_is_fed() -> None:
    """Whatever the product decodes with the codec is fuzzed here, or stands in the list with the reason."""
    asked = {
        ast.unparse(node.args[0])
        for path in product_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in {"decode", "decode_trusted", "decoder"}
        and ast.unparse(node.func).split(".")[0] in {"decode", "decode_trusted", "decoder", "codec"}
        and node.args
    }

    assert set() == asked - COVERED - ELSEWHERE.keys()
    assert set() == ELSEWHERE.keys() - asked
