"""What is remembered of nodes that are gone: the last report, the last word, and for how many."""

import pytest

from cccnode.types.errors import DISK_FULL, NET_CLOSED, NET_CROSSED, NET_DUPLICATE, NET_SILENT, NET_UNREACHABLE, fault
from p2p.handshake import reject, told
from p2p.heard import Latest, word, word_at_door, word_at_end
from p2p.peers import LastWord


def test_the_latest_is_kept_for_so_many():
    """Who was heard longest ago is forgotten first; hearing again makes young."""
    latest = Latest(2)
    for key, item in ((b"a", 1), (b"b", 2), (b"a", 3), (b"c", 4)):
        latest.put(key, item)
    assert dict(latest.items) == {b"a": 3, b"c": 4}
    assert latest.get(b"b") is None
    assert latest.get(b"c") == 4


def test_a_node_that_says_why_it_goes():
    """Any name of the error table comes through, with its values, as the node's own word."""
    reason = told(reject(fault(DISK_FULL, free_bytes=17)))
    assert word_at_end(reason, 5) == LastWord(name="home/DISK_FULL", text="free_bytes=17", told=True, at_ms=5)
    closed = told(reject(fault(NET_CLOSED, why="the node stops")))
    assert word_at_end(closed, 5) == LastWord(name="net/CLOSED", text="why=the node stops", told=True, at_ms=5)


def test_a_node_that_goes_without_a_word():
    """Then it is what we saw."""
    seen = word_at_end(fault(NET_SILENT, why="says nothing"), 9)
    assert seen == LastWord(name="net/SILENT", text="why=says nothing", told=False, at_ms=9)


@pytest.mark.parametrize(
    ("reason", "dialled", "kept"),
    [
        (fault(NET_CLOSED, why="end of stream"), False, False),
        (fault(NET_SILENT, why="no HELLO"), False, False),
        (fault(NET_CLOSED, told="the node stops"), False, True),
        (fault(NET_DUPLICATE, live_from="a:1"), False, True),
        (fault(NET_UNREACHABLE, why="refused"), True, False),
        (fault(NET_DUPLICATE, told="live_from=a:1"), True, True),
        (fault(NET_CROSSED, told="node_id=ab"), True, False),
        (fault(NET_CROSSED), False, False),
    ],
)
def test_words_at_the_door(reason, dialled, kept):
    """Of a connection that did not come about, what says nothing of the node is no last word."""
    assert (word_at_door(reason, 1, dialled=dialled) is not None) is kept


def test_words_are_plain_text():
    """Nothing that a peer says can move a cursor or begin a new line in a log."""
    assert word("net/X\n", "a\x1b[2Jb\r\nc", told=True, at_ms=0).text == "a [2Jb  c"
