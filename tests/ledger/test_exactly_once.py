"""Exactly once: the deadlines of J3, the window of J5, and every way to ask for the same thing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import decode, encode
from cccnode.crypto.signing import SigningKey
from cccnode.ingress import decode_transactions
from cccnode.ledger.receipts import decided_ids
from cccnode.ledger.window import Window
from cccnode.mempool import Mempool
from cccnode.types.errors import TX_BAD_SIGNATURE, TX_DUPLICATE, TX_KEY_WITHOUT_WEIGHT, TX_SIGNERS, Fault
from cccnode.types.transaction import Transaction, sign_bytes, signed_part
from tests.support.city import START_MS, City, key, receipts

LIFETIME = 300_000


@pytest.mark.parametrize(
    ("valid_until_ms", "decided"),
    [
        (START_MS + 1_000, False),  # T == valid_until: too late
        (START_MS + 1_001, True),  # T == valid_until - 1: the last moment
        (START_MS + 1_000 + LIFETIME, True),  # the furthest deadline
        (START_MS + 1_000 + LIFETIME + 1, False),  # one too far
    ],
)
def test_deadlines(valid_until_ms: int, decided: bool) -> None:
    """A block at T decides exactly what has T < valid_until <= T + tx_lifetime_max; the rest leaves no trace."""
    city = City()
    before = city.balance(0)
    outcome = city.run(city.sign(city.transfer(), valid_until_ms=valid_until_ms))

    assert (int(decided), int(not decided)) == (len(outcome.decided), outcome.skipped)
    if not decided:
        assert ((), {}, before) == (outcome.receipts, outcome.writes, city.balance(0))


def test_twice_in_one_block() -> None:
    """The same transaction in two batches of a block executes once."""
    city = City()
    raw = city.sign(city.transfer(amount=7))
    outcome = city.run(raw, city.sign(city.transfer(amount=1)), raw)

    assert (2, 1) == (len(outcome.decided), outcome.skipped)
    assert 8 == city.balance(1) - city.balance(2)


def test_in_a_later_block() -> None:
    """A decided transaction is skipped later: no receipt, no fee, no record."""
    city = City()
    raw = city.sign(city.transfer())
    city.run(raw)
    before = dict(city.state.groups)
    outcome = city.run(raw)

    assert ((), {}, 1, before) == (outcome.receipts, outcome.writes, outcome.skipped, city.state.groups)


@pytest.mark.parametrize("refused", [True, False])
def test_failed_and_refused_are_decided_too(refused: bool) -> None:
    """Whatever the receipt's code, the id is used up: the same bytes do not succeed later."""
    city = City()
    poor = city.transfer(amount=10**12)
    raw = city.sign(poor, keys=[key(7)]) if refused else city.sign(poor)
    first = city.run(raw)
    second = city.run(raw)

    assert [1, 0] == [len(first.decided), len(second.decided)]
    assert first.codes != (0,)


def _parts(raw: bytes) -> list[object]:
    fields = decode(list, raw)
    assert isinstance(fields, list)
    return fields


def test_invalid_replay_with_signature_dropped() -> None:
    """A signature left out is refused: signers are part of what was signed."""
    city = City()
    fields = _parts(_two_signers(city))
    without = [*fields[:9], fields[9][:1]]
    shorter = [*fields[:8], fields[8][:1], fields[9][:1]]

    assert [TX_SIGNERS, TX_BAD_SIGNATURE] == _refusals(city, encode(without), encode(shorter))


def test_invalid_replay_with_signature_added() -> None:
    """A signature more than signers is refused."""
    city = City()
    fields = _parts(city.sign(city.transfer()))
    surplus = [*fields[:9], [*fields[9], fields[9][0]]]

    assert [TX_SIGNERS] == _refusals(city, encode(surplus))


def test_invalid_replay_with_surplus_signer() -> None:
    """A stranger who adds his key and signature breaks the others' signatures; invited, he has no weight."""
    city = City()
    raw = city.sign(city.transfer())
    fields = _parts(raw)
    stranger = key(9)
    keys = sorted([fields[8][0], stranger.public_key])
    part = encode([*fields[:8], keys])
    own = {fields[8][0]: fields[9][0], stranger.public_key: stranger.sign(sign_bytes(part))}
    grown = encode([*fields[:8], keys, [own[k] for k in keys]])
    assert [TX_BAD_SIGNATURE] == _refusals(city, grown)

    invited = city.sign(city.transfer(), keys=[city.demo.accounts[0], stranger])
    assert (TX_KEY_WITHOUT_WEIGHT.code,) == city.run(invited).codes


def test_invalid_replay_with_signature_remade() -> None:
    """Another valid signature of the same content has the same id, and so is a duplicate."""
    city = City()
    raw = city.sign(city.transfer())
    first = city.verified(raw)
    fields = _parts(raw)
    again = city.verified(encode([*fields[:9], [bytes(64)]]))
    city.run(raw)

    assert first.id == again.id
    assert 1 == city.run(again.raw).skipped


def test_invalid_resubmission_after_restart() -> None:
    """A node that restarts rebuilds the window from its receipts: execution skips, admission names the block."""
    city = City()
    raw = city.sign(city.transfer())
    outcome = city.run(raw, city.sign(city.transfer(), by=1))
    city.window = Window.rebuilt(LIFETIME, [(0, START_MS, ()), (1, city.now, decided_ids(outcome.receipts))])
    refused = Mempool(city.registry).admit(city.verified(raw), wall_ms=city.now, view=city.state, window=city.window)

    assert refused is not None
    assert (TX_DUPLICATE, 1) == (refused.spec, refused.values["height"])
    assert 1 == city.run(raw).skipped


def test_invalid_resubmission_at_the_windows_edge() -> None:
    """Decided at its earliest moment, resubmitted at its last: still remembered; afterwards it is expired."""
    city = City()
    deadline = START_MS + 1_000 + LIFETIME
    raw = city.sign(city.transfer(), valid_until_ms=deadline)
    assert 1 == len(city.run(raw, time_ms=deadline - LIFETIME).decided)

    assert city.verified(raw).id in city.window
    assert 1 == city.run(raw, time_ms=deadline - 1).skipped
    assert 1 == city.run(raw, time_ms=deadline).skipped
    assert city.verified(raw).id not in city.window
    assert 1 == city.run(raw, time_ms=deadline + 1).skipped


@given(
    steps=st.lists(st.integers(1, 400_000), min_size=1, max_size=12),
    deadline=st.integers(1, 900_000),
    restarts=st.integers(0, 12),
)
def test_at_most_one_receipt(steps: list[int], deadline: int, restarts: int) -> None:
    """Offered to every block, with a restart somewhere, a transaction is decided once or never, whatever the times."""
    city = City()
    raw = city.sign(city.transfer(), valid_until_ms=START_MS + deadline)
    blocks: list[tuple[int, int, tuple[bytes, ...]]] = [(0, START_MS, ())]
    for number, step in enumerate(steps):
        outcome = city.run(raw, time_ms=city.now + step)
        blocks.append((outcome.height, outcome.time_ms, decided_ids(outcome.receipts)))
        if number == restarts:
            city.window = Window.rebuilt(LIFETIME, blocks)
    times = [time for _, time, _ in blocks[1:]]
    possible = any(time < START_MS + deadline <= time + LIFETIME for time in times)

    assert int(possible) == sum(len(ids) for _, _, ids in blocks)


def _two_signers(city: City) -> bytes:
    """Account 0 acts and account 1 pays, so both sign."""
    both: list[SigningKey] = [city.demo.accounts[0], city.demo.accounts[1]]
    return city.sign(city.transfer(2), keys=both, fee_payer=city.account(1))


def _refusals(city: City, *raws: bytes) -> list[object]:
    verdicts = decode_transactions(city.registry, city.chain, raws)
    return [verdict.spec if isinstance(verdict, Fault) else None for verdict in verdicts]


def test_two_signers_are_good_unchanged() -> None:
    """The transaction that the replays above start from is accepted as it is."""
    city = City()
    raw = _two_signers(city)

    assert [None] == _refusals(city, raw)
    assert [0] == [receipt.code for receipt in receipts(city.run(raw))[:1]]
    assert isinstance(city.verified(raw).transaction, Transaction)
    assert encode(_parts(raw)[:9]) == signed_part(raw, 2)
