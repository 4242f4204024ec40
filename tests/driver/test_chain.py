"""What headers commit to near the tip, the same for who builds and who checks."""

from collections import deque
from collections.abc import Sequence

from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import Frontier
from cccnode.driver.chain import BODIES_MAX, ROOTS_KEPT, Chain, Roots
from cccnode.types.block import Body, Header, block_id
from consensus.effects import Ancestor
from tests.storage.builders import header as stored_header

LIFETIME_MS = 5


def header(height: int, parent: bytes) -> Header:
    return stored_header(height, parent)


def ancestors(parent: bytes, first: int, count: int, bodies: Sequence[Body] = ()) -> list[Ancestor]:
    found = []
    for height in range(first, first + count):
        made = header(height, parent)
        parent = block_id(made)
        found.append(Ancestor(block_id=parent, header=made, body=bodies[height - first] if bodies else ()))
    return found


def fresh() -> Chain:
    return Chain(height=0, block_id=ZERO, history=Frontier().append(ZERO), roots={}, window=deque())


def grown(blocks: list[Ancestor]) -> Chain:
    chain = fresh()
    for block in blocks:
        roots = Roots(block.header.height, ZERO, ZERO)
        chain.executed(block.block_id, block.header, roots, LIFETIME_MS)
    return chain


def test_above_is_what_stands_on_the_executed_block() -> None:
    """Executed ancestors are left out; a path that does not reach down to the executed block is undetermined."""
    blocks = ancestors(ZERO, 1, 5)
    chain = grown(blocks[:2])

    assert blocks[2:] == chain.above(blocks)
    assert [] == chain.above(blocks[:2])
    assert chain.above(blocks[3:]) is None, "height 3 is missing"
    assert chain.above(ancestors(b"x" * 32, 3, 1)) is None, "another chain"


def test_history_root_covers_every_block_id() -> None:
    """The root over executed and unexecuted ids is the RFC 6962 root over the whole list."""
    blocks = ancestors(ZERO, 1, 7)
    ids = [ZERO, *(block.block_id for block in blocks)]

    for executed in range(8):
        chain = grown(blocks[:executed])
        assert merkle.root(ids) == chain.history_root(chain.above(blocks))


def test_lists_of_unexecuted_blocks() -> None:
    """What ancestors list is not listed again, checked here or not; executed lists are forgotten."""
    blocks = ancestors(ZERO, 1, 3, [(b"a",), (b"b", b"c"), ()])
    chain = fresh()
    assert {b"a", b"b", b"c"} == chain.listed(blocks), "no list was remembered"
    for block in blocks:
        chain.remember(block.block_id, block.header.height, block.body)
    chain.remember(b"sibling", 1, (b"s",))

    chain.executed(blocks[0].block_id, blocks[0].header, Roots(1, ZERO, ZERO), LIFETIME_MS)
    chain.remember(b"late", 1, (b"l",))

    assert {b"b", b"c"} == chain.listed(chain.above(blocks))
    assert {block.block_id for block in blocks[1:]} == set(chain.bodies)


def test_remembered_lists_are_bounded() -> None:
    """However many proposals come while nothing is executed."""
    chain = fresh()
    for number in range(BODIES_MAX + 5):
        chain.remember(b"%d" % number, 1, ())

    assert BODIES_MAX == len(chain.bodies)
    assert b"0" not in chain.bodies


def test_old_roots_are_read_from_the_store() -> None:
    """Roots of recent heights are at hand; for older ones the store is asked, for future ones there are none."""
    chain = fresh()
    blocks = ancestors(ZERO, 1, ROOTS_KEPT + 2)
    for block in blocks:
        chain.executed(block.block_id, block.header, Roots(block.header.height, ZERO, ZERO), LIFETIME_MS)
    assert 1 not in chain.roots
    assert chain.roots_at(1) is None

    chain.find_roots = lambda height: Roots(height, b"r" * 32, ZERO) if height <= chain.height else None

    assert b"r" * 32 == chain.roots_at(1).state_root
    assert ZERO == chain.roots_at(chain.height).state_root
    assert chain.roots_at(chain.height + 1) is None


def test_window_headers_are_newest_first() -> None:
    """Ancestors, then executed headers within the lifetime."""
    blocks = ancestors(ZERO, 1, 10)
    chain = grown(blocks[:8])
    times = [time_ms for time_ms, _ in chain.window_headers(chain.above(blocks))]

    assert sorted(times, reverse=True) == times
    assert LIFETIME_MS + 2 == len(times)
