"""Hashes of many things in one call: from the native extension where there is one, else from `trees`.

What each name does is said there.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeVar

from cccnode.crypto import trees

_F = TypeVar("_F", bound=Callable[..., Any])


def _load() -> ModuleType | None:
    """The extension; None where it is absent or does not compute what it should."""
    try:
        extension = import_module("cccnode.crypto._kernel")
    except ImportError:
        return None
    leaves = [bytes(length) for length in range(200)]
    return extension if extension.list_root(leaves) == trees.list_root(leaves) else None


_EXTENSION: Final = _load()

NATIVE: Final = _EXTENSION is not None
"""Whether these functions are native."""


def _fastest(function: _F) -> _F:
    """The native namesake of a function of `trees`, or that function itself."""
    fastest: _F = getattr(_EXTENSION, function.__name__, function)
    return fastest


CELLS: Final[Any] = getattr(_EXTENSION, "Cells", None)
"""The native class behind `cccnode.ledger.state.Overlay`, or None; `cccnode.ledger.cells` defines what it does."""

IDS: Final[Any] = getattr(_EXTENSION, "Ids", None)
"""The native class behind `cccnode.ledger.window.Window`, or None; `cccnode.ledger.ids` defines what it does."""

OPEN_USUAL: Final[Any] = getattr(_EXTENSION, "open_usual", None)
"""The native function `open_usual`, or None; `cccnode.ledger.opening` defines what it does."""

tagged_many = _fastest(trees.tagged_many)
list_root = _fastest(trees.list_root)
parents = _fastest(trees.parents)
put_nodes = _fastest(trees.put_nodes)
make_page = _fastest(trees.make_page)
page_hash = _fastest(trees.page_hash)
put_pages = _fastest(trees.put_pages)
read_record = _fastest(trees.read_record)
read_item = _fastest(trees.read_item)
by_bucket = _fastest(trees.by_bucket)
write_buckets = _fastest(trees.write_buckets)
