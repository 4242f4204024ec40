"""Admission and batching (J7): every refusal named, caps kept, payers served in turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.city.members import MemApply, errors
from cccnode.mempool import Caps, Mempool
from cccnode.types.errors import (
    POOL_APPLICATIONS,
    POOL_FULL,
    POOL_PAYER_LIMIT,
    POOL_PENDING,
    TX_ACCOUNT_STATUS,
    TX_DUPLICATE,
    TX_EXPIRED,
    TX_EXPIRY_TOO_FAR,
    TX_FEE_TOO_LOW,
    TX_INSUFFICIENT_FEE_BALANCE,
    TX_KEY_WITHOUT_WEIGHT,
    TX_UNKNOWN_ACCOUNT,
    ErrorSpec,
)
from cccnode.types.limits import ADMISSION_MARGIN_MS, PENDING_PER_PAYER_MAX
from cccnode.types.transaction import Verified, account_id
from tests.support.city import BALANCE, FEE, START_MS, City, key


class Room:
    """A mempool beside a city."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.city = City()
        self.pool = Mempool(self.city.registry, caps)

    def offer(self, raw: bytes, wall_ms: int = START_MS) -> ErrorSpec | None:
        """Why it was refused, or None."""
        refused = self.pool.admit(
            self.city.verified(raw), wall_ms=wall_ms, view=self.city.state, window=self.city.window
        )
        return None if refused is None else refused.spec

    def send(self, by: int = 0, **options: object) -> Verified:
        """A transfer that is admitted."""
        raw = self.city.sign(self.city.transfer(), by=by, **options)  # type: ignore[arg-type]
        assert self.offer(raw) is None
        return self.city.verified(raw)

    def application(self, number: int) -> bytes:
        applicant = key(number)
        message = MemApply(applicant.public_key, bytes(32), 1)
        return self.city.sign(message, by=account_id(applicant.public_key), keys=[applicant], fee_max=0)


def test_life() -> None:
    """A transaction is admitted, batched, and gone when it is decided."""
    room = Room()
    sent = room.send()
    assert ("admitted", 1, 1, len(sent.raw)) == (
        room.pool.status(sent.id),
        len(room.pool),
        room.pool.waiting,
        room.pool.size,
    )
    assert [sent] == room.pool.take()
    assert ("batched", 1, 0, []) == (room.pool.status(sent.id), len(room.pool), room.pool.waiting, room.pool.take())
    room.pool.forget([sent.id, bytes(32)])

    assert (None, 0, 0, 0) == (room.pool.status(sent.id), len(room.pool), room.pool.waiting, room.pool.size)


@pytest.mark.parametrize(
    ("ahead", "spec"),
    [
        (-1, TX_EXPIRED),
        (0, TX_EXPIRED),
        (1, None),
        (300_000 - ADMISSION_MARGIN_MS, None),
        (300_000 - ADMISSION_MARGIN_MS + 1, TX_EXPIRY_TOO_FAR),
    ],
)
def test_deadline(ahead: int, spec: ErrorSpec | None) -> None:
    """Past deadlines and those too far ahead are refused, with room for a leader whose clock is behind."""
    room = Room()

    assert spec is room.offer(room.city.sign(room.city.transfer(), valid_until_ms=START_MS + ahead))


def test_invalid_repeats() -> None:
    """What waits here is pending; what was decided is a duplicate."""
    room = Room()
    raw = room.city.sign(room.city.transfer())
    assert [None, POOL_PENDING] == [room.offer(raw), room.offer(raw)]
    room.pool.forget(room.city.run(raw).decided)

    assert TX_DUPLICATE is room.offer(raw, wall_ms=room.city.now)


def test_invalid_authority() -> None:
    """Admission asks the same authority as execution."""
    room, city = Room(), City()
    transfer = city.transfer()
    cases = [
        (city.sign(transfer, by=bytes(20), keys=[key(1)]), TX_UNKNOWN_ACCOUNT),
        (city.sign(transfer, keys=[key(1)]), TX_KEY_WITHOUT_WEIGHT),
        (city.sign(transfer, fee_payer=bytes(20)), TX_UNKNOWN_ACCOUNT),
        (city.sign(transfer, fee_max=FEE - 1), TX_FEE_TOO_LOW),
    ]

    assert [spec for _, spec in cases] == [room.offer(raw) for raw, _ in cases]
    assert 0 == len(room.pool)


def test_pending_fees_are_summed() -> None:
    """A payer's balance must cover the fees of everything it has waiting, batched or not."""
    room = Room()
    third = BALANCE // 3
    for _ in range(3):
        room.send(fee_max=third)
    room.pool.take(1)
    raw = room.city.sign(room.city.transfer(), fee_max=third)
    assert TX_INSUFFICIENT_FEE_BALANCE is room.offer(raw)
    assert None is room.offer(room.city.sign(room.city.transfer(), by=1, fee_max=third))
    room.pool.expire(START_MS + 60_000)

    assert 0 == len(room.pool)
    assert None is room.offer(raw, wall_ms=START_MS)


def test_payer_is_counted_not_sender() -> None:
    """Whoever pays is who is limited."""
    room = Room(Caps(per_payer=1))
    both = [room.city.demo.accounts[0], room.city.demo.accounts[1]]
    room.send(keys=both, fee_payer=room.city.account(1))

    assert POOL_PAYER_LIMIT is room.offer(room.city.sign(room.city.transfer(), by=1))
    assert None is room.offer(room.city.sign(room.city.transfer(), by=0))


def test_payer_limit() -> None:
    """One payer has at most 64 waiting."""
    room = Room()
    for _ in range(PENDING_PER_PAYER_MAX):
        room.send()

    assert POOL_PAYER_LIMIT is room.offer(room.city.sign(room.city.transfer()))


@pytest.mark.parametrize("caps", [Caps(transactions=2), Caps(size=600)])
def test_invalid_full(caps: Caps) -> None:
    """A full mempool says so, by count or by bytes, and takes again when something left."""
    room = Room(caps)
    first = room.send()
    room.send(by=1)
    raw = room.city.sign(room.city.transfer(), by=2)
    assert POOL_FULL is room.offer(raw)
    room.pool.forget([first.id])

    assert None is room.offer(raw)


def test_applications() -> None:
    """Applications are free and relayed up to a quota of their own; bad proof and members are refused."""
    room = Room(Caps(applications=2))
    assert [None, None, POOL_APPLICATIONS] == [room.offer(room.application(n)) for n in (1, 2, 3)]
    room.pool.forget(verified.id for verified in room.pool.take())
    member = room.city.demo.accounts[0]
    again = room.city.sign(MemApply(member.public_key, bytes(32), 1), fee_max=0)
    foreign = room.city.sign(MemApply(key(8).public_key, bytes(32), 1), fee_max=0, by=bytes(20), keys=[key(9)])

    assert [None, TX_ACCOUNT_STATUS, errors.POP] == [room.offer(raw) for raw in (room.application(3), again, foreign)]


def test_application_with_a_payer_is_none() -> None:
    """An application that names a payer is an ordinary transaction of an account that does not exist."""
    room = Room()
    applicant = key(1)
    raw = room.city.sign(
        MemApply(applicant.public_key, bytes(32), 1),
        by=account_id(applicant.public_key),
        keys=[applicant],
        fee_payer=room.city.account(1),
    )

    assert TX_UNKNOWN_ACCOUNT is room.offer(raw)


def test_take_serves_payers_in_turn() -> None:
    """Batches take one of each payer in turn, each payer's oldest first."""
    room = Room()
    sent = [room.send(by=by) for by in (0, 0, 0, 1, 1, 2)]
    order = [0, 3, 5, 1, 4, 2]

    assert [sent[n].id for n in order[:4]] == [verified.id for verified in room.pool.take(4)]
    assert [sent[n].id for n in order[4:]] == [verified.id for verified in room.pool.take()]


def test_take_is_bounded() -> None:
    """A batch keeps its bounds in transactions, bytes and weight; what does not fit is first in the next."""
    room = Room()
    sent = [room.send(by=by) for by in (0, 1, 2, 3)]
    size = len(sent[0].raw)

    assert [] == room.pool.take(max_bytes=size - 1)
    assert sent[:2] == room.pool.take(max_bytes=3 * size - 1)
    assert sent[2:3] == room.pool.take(max_weight=1)
    assert sent[3:] == room.pool.take()


def test_forgotten_while_waiting() -> None:
    """What another node's batch brought to a block is not batched here any more."""
    room = Room()
    sent = [room.send() for _ in range(3)]
    room.pool.forget([sent[0].id, sent[1].id])

    assert sent[2:] == room.pool.take()


def test_expiry() -> None:
    """What no later block can decide is dropped, exactly at its deadline."""
    room = Room()
    sent = [room.send(by=n, valid_until_ms=START_MS + 1_000 + n) for n in range(3)]

    assert [] == room.pool.expire(START_MS + 999)
    assert [sent[0].id, sent[1].id] == room.pool.expire(START_MS + 1_001)
    assert [sent[2]] == room.pool.take()
    assert [sent[2].id] == room.pool.expire(START_MS + 90_000)
    assert (0, 0) == (len(room.pool), room.pool.size)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "take", "forget", "expire"]), st.integers(0, 3), st.integers(1, 20)), max_size=40
)


@given(_STEPS)
def test_books_balance(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens, counts and bytes are those of what is inside, nothing is batched twice, and all can leave."""
    room = Room(Caps(per_payer=5, transactions=12))
    inside: dict[bytes, Verified] = {}
    batched: set[bytes] = set()
    now = START_MS
    for action, who, figure in steps:
        if action == "send":
            raw = room.city.sign(room.city.transfer(), by=who, valid_until_ms=START_MS + figure * 500)
            if room.offer(raw, wall_ms=now) is None:
                inside[room.city.verified(raw).id] = room.city.verified(raw)
        elif action == "take":
            taken = {verified.id for verified in room.pool.take(figure)}
            assert not taken & batched
            assert taken <= set(inside)
            batched |= taken
        elif action == "forget":
            for tx_id in list(inside)[:who]:
                room.pool.forget([tx_id])
                del inside[tx_id]
        else:
            now = max(now, START_MS + figure * 250)
            late = {tx_id for tx_id, v in inside.items() if v.transaction.valid_until_ms <= now}
            assert late == set(room.pool.expire(now))
            inside = {tx_id: v for tx_id, v in inside.items() if tx_id not in late}
        assert set(inside) == {tx_id for tx_id in inside if room.pool.status(tx_id)}
        assert (len(inside), sum(len(v.raw) for v in inside.values())) == (len(room.pool), room.pool.size)
        assert room.pool.waiting == len(set(inside) - batched)
    assert len(set(inside) - batched) == len(room.pool.take())
    room.pool.forget(inside)

    assert (0, 0, 0) == (len(room.pool), room.pool.size, room.pool.waiting)
