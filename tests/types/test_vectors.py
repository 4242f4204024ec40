"""Golden vectors: the formats of all nouns are frozen; a change of any byte shows here."""

import json
from pathlib import Path

import pytest

from cccnode.codec import decode
from tests.types.samples import NOUNS, vectors

_GOLDEN = json.loads((Path(__file__).parents[1] / "vectors" / "nouns.json").read_text())


@pytest.mark.parametrize("part", ["nouns", "hashes", "texts"])
def test_formats_are_frozen(part: str) -> None:
    """Every sample encodes, hashes and reads as it always did; none is missing or new."""
    assert _GOLDEN[part] == vectors()[part]


@pytest.mark.parametrize("name", sorted(NOUNS))
def test_vectors_decode(name: str) -> None:
    """The golden bytes decode to the sample."""
    raw = bytes.fromhex(_GOLDEN["nouns"][name])
    if name.startswith("transaction/"):
        return  # the registry decodes them; see test_transaction.py
    assert NOUNS[name] == decode(type(NOUNS[name]), raw)
