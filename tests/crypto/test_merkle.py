"""RFC 6962 trees against third-party vectors and the definition."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.crypto import merkle

_VECTORS = Path(__file__).parents[3] / "shared/vectors/merkle/testdata"

# The tree of RFC 6962 implementations: leaves, and the root over the first n of them.
_LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    """Roots of the trees that every RFC 6962 implementation is tested with."""
    assert _ROOTS[size - 1] == merkle.root(_LEAVES[:size]).hex()


def test_empty() -> None:
    """The empty list has the hash of nothing."""
    assert sha256(b"").digest() == merkle.root([]) == merkle.Frontier().root()


def _definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if len(leaves) < 2:
        return sha256(b"\x00" + leaves[0]).digest() if leaves else sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + _definition(leaves[:k]) + _definition(leaves[k:])).digest()


_LISTS = st.lists(st.binary(max_size=5), max_size=40)


@given(_LISTS)
def test_root_is_the_definition(leaves: list[bytes]) -> None:
    """The folded root, the frontier's and the recursive definition agree."""
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)

    assert _definition(leaves) == merkle.root(leaves) == frontier.root()
    assert (len(leaves), len(leaves).bit_count()) == (frontier.size, len(frontier.peaks))


@given(_LISTS.filter(bool), st.data())
def test_inclusion(leaves: list[bytes], data: st.DataObject) -> None:
    """A path proves its leaf at its place, and no other leaf, place, size or root."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_proof(leaves, index)
    good: dict[str, Any] = {
        "leaf": leaves[index], "index": index, "size": len(leaves), "path": path, "root": merkle.root(leaves)
    }  # fmt: skip
    assert merkle.verify_inclusion(**good)

    assert not merkle.verify_inclusion(**good | {"leaf": leaves[index] + b"x"})
    assert not merkle.verify_inclusion(**good | {"root": bytes(32)})
    assert not merkle.verify_inclusion(**good | {"path": (*path, bytes(32))})
    assert not path or not merkle.verify_inclusion(**good | {"path": path[:-1]})
    assert not merkle.verify_inclusion(**good | {"index": len(leaves)})
    assert not merkle.verify_inclusion(**good | {"index": -1})
    for place in set(range(len(leaves))) - {index}:
        assert leaves[place] == leaves[index] or not merkle.verify_inclusion(**good | {"index": place})


@pytest.mark.parametrize("index", [-1, 3])
def test_invalid_index(index: int) -> None:
    """There is no proof for a leaf that is not there."""
    with pytest.raises(IndexError):
        merkle.inclusion_proof([b"a", b"b", b"c"], index)


@pytest.mark.skipif(not _VECTORS.is_dir(), reason="third-party vectors are not beside the repository")
def test_third_party_inclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    """transparency-dev/merkle's inclusion proofs, good and bad, get the verdict they ask for."""
    # The vectors give leaf hashes, one of them an impossible empty one.
    monkeypatch.setattr(merkle, "leaf_hash", lambda leaf: leaf or bytes(32))
    cases = [json.loads(path.read_text()) for path in sorted((_VECTORS / "inclusion").rglob("*.json"))]
    wrong = [
        case["desc"]
        for case in cases
        if case["wantErr"]
        == merkle.verify_inclusion(
            leaf=_bytes(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            path=[_bytes(node) for node in case["proof"] or []],
            root=_bytes(case["root"]),
        )
    ]

    assert (98, []) == (len(cases), wrong)


class Growing:
    """A list of which only the frontiers and the leaves are known."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves, self.frontiers = leaves, [merkle.Frontier()]
        self.asked: list[int] = []
        for leaf in leaves:
            self.frontiers.append(self.frontiers[-1].append(leaf))

    def range_root(self, start: int, end: int) -> bytes:
        self.asked.append(start)
        return self.frontiers[end - 1].last(end - 1 - start, self.leaves[end - 1])


@given(_LISTS.filter(bool), st.data())
def test_paths_from_frontiers(leaves: list[bytes], data: st.DataObject) -> None:
    """Frontiers alone give the same audit paths, and consistency paths that hold between any two sizes."""
    growing = Growing(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_path(index, len(leaves), growing.frontiers[index], growing.range_root)
    assert merkle.inclusion_proof(leaves, index) == path
    assert all(start > index for start in growing.asked), "older frontiers may be gone"

    first = index + 1
    good: dict[str, Any] = {
        "first": first,
        "size": len(leaves),
        "path": merkle.consistency_path(len(leaves), growing.frontiers[first], growing.range_root),
        "first_root": merkle.root(leaves[:first]),
        "root": merkle.root(leaves),
    }
    assert merkle.verify_consistency(**good)
    assert not merkle.verify_consistency(**good | {"root": bytes(32)})
    assert not merkle.verify_consistency(**good | {"first_root": bytes(32)})
    assert not merkle.verify_consistency(**good | {"path": (*good["path"], bytes(32))})
    assert not good["path"] or not merkle.verify_consistency(**good | {"path": good["path"][:-1]})
    assert not merkle.verify_consistency(**good | {"first": len(leaves) + 1})


@given(_LISTS.filter(bool), st.data())
def test_branches(leaves: list[bytes], data: st.DataObject) -> None:
    """A branch leads from its leaf to the root; another leaf, side or sibling leads elsewhere, a stray bit nowhere."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    branch = merkle.branch(leaves, index)
    root = merkle.root(leaves)
    assert root == branch.root(leaves[index])
    assert root != branch.root(leaves[index] + b"x")
    assert merkle.Branch(1 << len(branch.path), branch.path).root(leaves[index]) is None
    for level, sibling in enumerate(branch.path):
        turned = merkle.Branch(branch.left ^ 1 << level, branch.path)
        assert root != turned.root(leaves[index]) or leaves.count(leaves[index]) > 1
        wrong = (*branch.path[:level], bytes(32), *branch.path[level + 1 :])
        assert sibling == bytes(32) or root != merkle.Branch(branch.left, wrong).root(leaves[index])


@pytest.mark.parametrize(("first", "size"), [(0, 3), (4, 3)])
def test_invalid_sizes(first: int, size: int) -> None:
    """Nothing became something else than by appending to a tree with leaves; no leaf stands beyond the last."""
    with pytest.raises(IndexError):
        merkle.consistency_path(size, merkle.Frontier(first), lambda start, end: bytes(32))
    with pytest.raises(IndexError):
        merkle.inclusion_path(size, size, merkle.Frontier(size), lambda start, end: bytes(32))


@pytest.mark.skipif(not _VECTORS.is_dir(), reason="third-party vectors are not beside the repository")
def test_third_party_consistency() -> None:
    """transparency-dev/merkle's consistency proofs, good and bad, get the verdict they ask for."""
    cases = [json.loads(path.read_text()) for path in sorted((_VECTORS / "consistency").rglob("*.json"))]
    wrong = [
        case["desc"]
        for case in cases
        if case["wantErr"]
        == merkle.verify_consistency(
            first=case["size1"],
            size=case["size2"],
            path=[_bytes(node) for node in case["proof"] or []],
            first_root=_bytes(case["root1"]),
            root=_bytes(case["root2"]),
        )
    ]

    assert (98, []) == (len(cases), wrong)


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")
