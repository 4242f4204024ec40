"""Demo networks: any number of validators, the same keys from the same seed."""

import pytest

from cccnode.city import CITY
from cccnode.city.registry.record import epoch_record
from cccnode.codec import decode, encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.ledger.state import DictState
from cccnode.types.block import Header, block_id, result_leaf
from cccnode.types.errors import Fault
from cccnode.types.validators import epoch_record_hash
from genesis.bootstrap import INLINE_ACCOUNTS_MAX, make_demo
from genesis.document import read_genesis
from genesis.header import genesis_header
from tests.support.city import START_MS, certify


@pytest.mark.parametrize("validators", [1, 2, 4, 7, 128])
def test_validators(validators: int) -> None:
    """A network of any size has that many validators in its record."""
    demo = make_demo(validators, certify=certify, seed=b"s", time_ms=START_MS)
    state = DictState()
    state.apply(CITY.genesis_writes(demo.genesis))

    assert validators == len(epoch_record(state, 0).validators)


@pytest.mark.parametrize("validators", [0, 129])
def test_invalid_validators(validators: int) -> None:
    """No validators, or more than an epoch holds, make no network."""
    with pytest.raises(Fault):
        make_demo(validators, certify=certify, seed=b"s", time_ms=START_MS)


def test_seed() -> None:
    """The same seed gives the same network, byte for byte; another seed, or none, another one."""
    one, two, other = (make_demo(2, certify=certify, seed=seed, time_ms=START_MS) for seed in (b"1", b"1", b"2"))
    random = [make_demo(2, certify=certify, time_ms=START_MS).genesis.chain for _ in range(2)]

    assert one.document == two.document
    assert 4 == len({one.genesis.chain, other.genesis.chain, *random})


def test_addresses_and_peers() -> None:
    """Nodes stand with their addresses; peers run a node and do not validate."""
    demo = make_demo(
        1,
        peers=2,
        certify=certify,
        seed=b"s",
        time_ms=START_MS,
        addresses=lambda number: [f"127.0.0.1:{4000 + number}"],
    )
    organisations = demo.genesis.document.organisations

    assert [("127.0.0.1:4000",), ("127.0.0.1:4001",), ("127.0.0.1:4002",)] == [
        row.nodes[0].addresses for row in organisations
    ]
    assert [True, False, False] == [row.consensus_key is not None for row in organisations]


def test_many_accounts_go_into_a_file() -> None:
    """More accounts than people read stand in an allocation file, and both files together are read back."""
    demo = make_demo(1, certify=certify, seed=b"s", time_ms=START_MS, accounts=INLINE_ACCOUNTS_MAX + 1)

    assert demo.allocation is not None
    assert len(demo.document) < 10_000
    assert demo.genesis == read_genesis(demo.document, demo.allocation[1])
    assert INLINE_ACCOUNTS_MAX + 1 == len(list(demo.genesis.accounts))


def test_header() -> None:
    """The block of height 0 reports its own result and stands on nothing."""
    demo = make_demo(4, certify=certify, seed=b"s", time_ms=START_MS)
    state = DictState()
    state.apply(CITY.genesis_writes(demo.genesis))
    record = epoch_record(state, 0)
    header = genesis_header(demo.genesis, state_root=b"r" * 32, record=record)

    assert (0, 0, 0, ZERO, START_MS) == (header.height, header.view, header.exec_height, header.parent, header.time_ms)
    assert (demo.genesis.chain, epoch_record_hash(record), ZERO) == (
        header.chain,
        header.epoch_record_hash,
        header.next_epoch_record_hash,
    )
    results = merkle.Frontier().append(result_leaf(0, b"r" * 32, merkle.EMPTY_ROOT))
    assert (results.root(), merkle.Frontier().root()) == (header.results_root, header.history_root)
    assert header == decode(Header, encode(header))
    assert 32 == len(block_id(header))
