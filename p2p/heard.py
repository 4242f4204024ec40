"""What was heard of nodes last, kept also when they are gone: their reports and their last words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from cccnode.types.errors import NET_CLOSED, NET_CROSSED, NET_SILENT, Fault
from cccnode.types.limits import NODES_REMEMBERED_MAX
from p2p.handshake import reject
from p2p.peers import LastWord

T = TypeVar("T")

_SAYS_NOTHING: Final = frozenset({NET_CLOSED, NET_SILENT})
"""Seen by us of a connection that did not become a link, these tell nothing about the node."""


class Latest(Generic[T]):
    """The latest of something by node key; who was heard longest ago is forgotten first."""

    __slots__ = ("_items", "_most")

    def __init__(self, most: int = NODES_REMEMBERED_MAX) -> None:
        """Nothing was heard; at most `most` nodes are remembered."""
        self._most = most
        self._items: dict[bytes, T] = {}

    def put(self, node_key: bytes, item: T) -> None:
        """Heard of that node."""
        self._items.pop(node_key, None)
        self._items[node_key] = item
        if len(self._items) > self._most:
            del self._items[next(iter(self._items))]

    def get(self, node_key: bytes) -> T | None:
        """What was heard of that node last."""
        return self._items.get(node_key)

    @property
    def items(self) -> Mapping[bytes, T]:
        """All of it, as a view."""
        return MappingProxyType(self._items)


def word(name: str, text: str, *, told: bool, at_ms: int) -> LastWord:
    """A last word; nothing in it can disturb a terminal or a log."""
    return LastWord(name=_plain(name), text=_plain(text), told=told, at_ms=at_ms)


def word_at_end(reason: Fault, at_ms: int) -> LastWord:
    """What to remember of a link that ended for `reason`."""
    told = reason.values.get("told")
    if told is None:
        said = reject(reason)
        return word(said.name, said.text, told=False, at_ms=at_ms)
    if reason.spec is NET_CLOSED and "text" in reason.values:  # a name outside p2p's own, see handshake.told
        return word(str(told), str(reason.values["text"]), told=True, at_ms=at_ms)
    return word(reason.spec.name, str(told), told=True, at_ms=at_ms)


def word_at_door(reason: Fault, at_ms: int, *, dialled: bool) -> LastWord | None:
    """What to remember of a connection that did not become a link; None if it tells nothing about the node.

    Why we could not reach a node that we `dialled` stands among the dials; here it counts what the node said itself.
    """
    told = "told" in reason.values
    if reason.spec is NET_CROSSED or not (told or (not dialled and reason.spec not in _SAYS_NOTHING)):
        return None
    return word_at_end(reason, at_ms)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
