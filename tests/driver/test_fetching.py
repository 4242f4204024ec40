"""Whom to ask for a missing batch, and when to stop."""

from itertools import pairwise

from cccnode.driver.fetching import (
    ADOPT_MS,
    ADOPT_ROUNDS_MAX,
    ADOPTIONS_MAX,
    ASKED_AT_ONCE,
    FETCHES_MAX,
    RETRY_MS,
    RETRY_MS_MAX,
    ROUNDS_MAX,
    Fetches,
)

UP = {b"a", b"b", b"c"}


def all_requests(fetches: Fetches, start_ms: int = 0) -> list[tuple[int, bytes]]:
    """Every request until the fetch is given up: (time, node)."""
    found = []
    while (now := fetches.next_ms()) is not None:
        found += [(now, source) for source in fetches.due(max(now, start_ms), UP)]
    return found


def test_needed_is_asked_at_once_of_one_after_the_other() -> None:
    """The likeliest holder first, then the others in turn, with growing pauses, then no more."""
    fetches = Fetches()
    fetches.need(b"x", [b"b", b"a"], 100)

    asked = all_requests(fetches)

    assert [(100, b"b"), (100 + RETRY_MS, b"a"), (100 + 2 * RETRY_MS, b"b")] == asked[:3]
    assert 2 * ROUNDS_MAX == len(asked)
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(asked)]
    assert sorted(pauses) == pauses
    assert RETRY_MS_MAX == pauses[-1]
    assert b"x" not in fetches


def test_adopted_is_asked_later_and_seldom() -> None:
    """What is only announced may still arrive by itself, and may be a lie."""
    fetches = Fetches()
    fetches.adopt(b"x", b"a", 0)
    fetches.adopt(b"x", b"a", 0)

    asked = all_requests(fetches)

    assert ADOPT_MS == asked[0][0]
    assert ADOPT_ROUNDS_MAX == len(asked)


def test_a_block_hurries_what_was_only_announced() -> None:
    """A fetch that a proposal needs does not wait for the time of adoption."""
    fetches = Fetches()
    fetches.adopt(b"x", b"a", 0)
    assert not fetches.is_needed(b"x")

    fetches.need(b"x", [b"c"], 10)

    assert fetches.is_needed(b"x")
    assert {b"c": [b"x"]} == fetches.due(10, UP)


def test_who_is_gone_is_passed_over() -> None:
    """Only connected nodes are asked; with nobody there the fetch waits."""
    fetches = Fetches()
    fetches.need(b"x", [b"a", b"b"], 0)

    assert {b"b": [b"x"]} == fetches.due(0, {b"b"})
    assert {} == fetches.due(fetches.next_ms(), set())
    assert b"x" in fetches


def test_one_request_for_many() -> None:
    """Batches asked of one node at one moment share a request of bounded size."""
    fetches = Fetches()
    for number in range(ASKED_AT_ONCE + 5):
        fetches.need(b"%d" % number, [b"a"], 0)

    assert ASKED_AT_ONCE == len(fetches.due(0, UP)[b"a"])
    assert 5 == len(fetches.due(fetches.next_ms(), UP)[b"a"])


def test_bounded() -> None:
    """One announcer takes a share, all announcers half, and never the room of what blocks need."""
    fetches = Fetches()
    for number in range(ADOPTIONS_MAX + 1):
        fetches.adopt(b"a%d" % number, b"a", 0)
    assert ADOPTIONS_MAX == len(fetches)
    for number in range(FETCHES_MAX):
        fetches.adopt(b"b%d" % number, b"%d" % (number % 64), 0)
    assert FETCHES_MAX // 2 == len(fetches)

    for number in range(FETCHES_MAX):
        fetches.need(b"n%d" % number, [b"a"], 0)
    assert FETCHES_MAX == len(fetches)
