"""Pure files compute the same everywhere."""

import ast

import pytest

from tests.tidy.determinism import findings
from tests.tidy.source import at, nothing, pure_files, text, tree


def test_pure_files() -> None:
    """Pure files hold no float, no true division, no hash() or id(), and take nothing from a set unsorted."""
    found = [at(path, node, what) for path in pure_files() for node, what in findings(tree(path), text(path))]

    nothing(found)


@pytest.mark.parametrize(
    "source",
    [
        "x = 0.5",
        "x = a / b",
        "x /= 2",
        "x = float(y)",
        "x = hash(y)",
        "x = id(y)",
        "for x in {1, 2}: pass",
        "for x in set(y): pass",
        "s: set[int] = load()\nfor x in s: pass",
        "def f(s: frozenset[bytes]):\n    return [x for x in s]",
        "class A:\n    s: set[int]\n    def f(self):\n        return tuple(self.s)",
        "s = {1}\nx = [*s]",
        "s = {1}\nx = s.pop()",
        "s = {1}\nx = list(s | t)",
        "x = b''.join({b'a', b'b'})",
        "s = {1}\nx = {k: 1 for k in s}",
    ],
)
def test_invalid_probe(source: str) -> None:
    """Each way to disagree is found."""
    assert [*findings(ast.parse(source), source)]


@pytest.mark.parametrize(
    "source",
    [
        "x = a // b",
        "for x in sorted({1, 2}): pass",
        "s = {1}\nx = sorted(k + 1 for k in s)",
        "s = {1}\nx = len(s) + sum(s) + max(s)",
        "s = {1}\nx = {k + 1 for k in s}",
        "s = {1}\nx = 3 in s",
        "s = {1}\nfor x in s: pass  # order-free: only counts",
        "m = {1: 2}\nfor x in m: pass",
        "x = m.pop()",
    ],
)
def test_harmless_probe(source: str) -> None:
    """What cannot differ is left alone."""
    assert [] == [*findings(ast.parse(source), source)]
