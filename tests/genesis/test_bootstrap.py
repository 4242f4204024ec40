"""Demo networks: any number of validators, the same keys from the same seed."""

import pytest
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.state import balance, supply
from cccnode.city.registry.record import epoch_record
from cccnode.city.registry.state import organisation_account
from cccnode.codec import decode, encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.ledger import registry
from cccnode.ledger.state import DictState, Overlay
from cccnode.types.block import Header, block_id, result_leaf
from cccnode.types.errors import Fault
from cccnode.types.validators import epoch_record_hash
from genesis.bootstrap import ASSET, BALANCE, INLINE_ACCOUNTS_MAX, ORGANISATION_BALANCE, make_demo
from genesis.document import KeyEntry, document_bytes, read_genesis
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
    assert INLINE_ACCOUNTS_MAX + 1 + 1 == len(list(demo.genesis.accounts))  # and the organisation's


def test_organisations_have_accounts() -> None:
    """Every organisation of a demo network has a funded account that acts for it, after the funded members."""
    demo = make_demo(2, peers=1, certify=certify, seed=b"s", time_ms=START_MS, accounts=3)
    state = DictState()
    state.apply(CITY.genesis_writes(demo.genesis))
    own = [organisation_account(Overlay(state), partner.name) for partner in demo.partners]

    assert [partner.account for partner in demo.partners] == own
    assert [ORGANISATION_BALANCE] * 3 == [balance(Overlay(state), partner.account, ASSET) for partner in demo.partners]
    assert own == [entry.account_id() for entry in demo.genesis.accounts][3:]
    assert 3 * BALANCE + 3 * ORGANISATION_BALANCE == demo.supply == supply(Overlay(state), ASSET)


def test_the_first_account_acts() -> None:
    """Of several accounts of kind organisation the first acts; other kinds, and organisations without one, do not."""
    document = make_demo(2, certify=certify, seed=b"s", time_ms=START_MS).genesis.document
    *members, first, other = document.accounts
    second = replace(first, keys=(KeyEntry(key="7" * 64),))
    person = replace(other, kind="person")
    state = DictState()
    changed = replace(document, accounts=(*members, person, first, second))
    state.apply(CITY.genesis_writes(read_genesis(document_bytes(changed))))

    assert [first.account_id(), None] == [organisation_account(Overlay(state), name) for name in ("org-00", "org-01")]


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


@pytest.mark.parametrize("accounts", [1, 2, 3, 100])
def test_parts_of_the_first_state(accounts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many accounts are written at once, the same state comes of it: supply, organisations and all."""
    demo = make_demo(2, certify=certify, accounts=7, seed=b"s", time_ms=START_MS)
    at_once = CITY.genesis_writes(demo.genesis)
    monkeypatch.setattr(registry, "GENESIS_ACCOUNTS", accounts)
    state = DictState()
    parts = 0
    for writes in CITY.genesis_parts(demo.genesis, state):
        state.apply(writes)
        parts += 1

    assert 1 + -(-9 // accounts) + 1 == parts
    assert at_once == state.groups
    assert 7 * BALANCE + 2 * ORGANISATION_BALANCE == supply(Overlay(state), ASSET) == demo.supply
