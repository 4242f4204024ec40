"""Domain-separated hashes."""

from hashlib import sha256

from cccnode.crypto import hashing


def test_tagged_is_sha256_of_tag_and_parts() -> None:
    """No hidden separators: anybody can recompute it."""
    assert sha256(b"ccc/1/txab").digest() == hashing.tagged(hashing.TX, b"a", b"b")


def test_tags_differ_and_none_begins_another() -> None:
    """No tag is a prefix of another, so no two kinds of thing hash alike."""
    tags = [value for name, value in vars(hashing).items() if name.isupper() and name != "ZERO"]

    assert 9 <= len(tags)
    assert [] == [(a, b) for a in tags for b in tags if a is not b and b.startswith(a)]
