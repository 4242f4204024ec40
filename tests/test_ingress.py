"""Foreign bytes: every way to be wrong has its name, and one wrong transaction affects no other."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.city import CITY
from cccnode.city.bank import BankMulti, BankTransfer
from cccnode.city.bank.messages import Output
from cccnode.codec import decode, encode
from cccnode.crypto import merkle
from cccnode.crypto.verifying import SMALL_ORDER, verify_many
from cccnode.ingress import (
    check_batch,
    checked_batch,
    decode_batch,
    decode_transactions,
    encode_batch,
    trusted_transactions,
)
from cccnode.ledger.opening import Rules
from cccnode.types.errors import (
    MALFORMED,
    NON_CANONICAL,
    OVERSIZE,
    TX_BAD_SIGNATURE,
    TX_SIGNERS,
    TX_SMALL_ORDER_KEY,
    TX_WEIGHT,
    UNKNOWN_MESSAGE,
    UNSUPPORTED_VERSION,
    WRONG_CHAIN,
    ErrorSpec,
    Fault,
)
from cccnode.types.limits import BATCH_TXS_MAX, TX_BYTES_MAX
from cccnode.types.transaction import sign_bytes
from tests.support.city import City, key

ORDER = 2**252 + 27742317777372353535851937790883648493


def _fields(raw: bytes) -> list:
    fields = decode(list, raw)
    assert isinstance(fields, list)
    return fields


def _with(place: int, value: object) -> Callable[[City], bytes]:
    """A good transaction with one field replaced, signed again."""

    def make(city: City) -> bytes:
        fields = _fields(city.sign(city.transfer()))[:9]
        fields[place] = value
        signature = city.demo.accounts[0].sign(sign_bytes(encode(fields)))
        return encode([*fields, [signature]])

    return make


def _raw(change: Callable[[bytes], bytes]) -> Callable[[City], bytes]:
    return lambda city: change(city.sign(city.transfer()))


def _long_integer(raw: bytes) -> bytes:
    """The deadline as it is, and the version spelled in two bytes."""
    return raw[:1] + b"\xcc\x01" + raw[2:]


def _long_bytes(raw: bytes) -> bytes:
    """The chain id with a two-byte length."""
    assert raw[2:4] == b"\xc4\x20"
    return raw[:2] + b"\xc5\x00\x20" + raw[4:]


def _signers(order: Callable[[list[bytes]], list[bytes]]) -> Callable[[City], bytes]:
    """Signed well by two keys whose order is changed before signing."""

    def make(city: City) -> bytes:
        owners = {owner.public_key: owner for owner in city.demo.accounts[:2]}
        keys = order(sorted(owners))
        part = encode([*_fields(city.sign(city.transfer()))[:8], keys])
        return encode([*_fields(part), [owners[k].sign(sign_bytes(part)) for k in keys]])

    return make


def _signature(change: Callable[[bytes], bytes]) -> Callable[[City], bytes]:
    def make(city: City) -> bytes:
        fields = _fields(city.sign(city.transfer()))
        return encode([*fields[:9], [change(fields[9][0])]])

    return make


def _malleable(signature: bytes) -> bytes:
    """The same signature with S + L: valid for lax verifiers."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def _oversize(city: City) -> bytes:
    output = Output(city.account(1), "uccc", 1)
    return city.sign(*(BankMulti((output,) * 64) for _ in range(10)))


_SMALL = min(SMALL_ORDER)
_CASES: list[tuple[str, Callable[[City], bytes], ErrorSpec]] = [
    ("empty", lambda city: b"", MALFORMED),
    ("cut short", _raw(lambda raw: raw[:-1]), MALFORMED),
    ("surplus byte", _raw(lambda raw: raw + b"\x00"), MALFORMED),
    ("not an array", lambda city: encode({"version": 1}), MALFORMED),
    ("no messages", _with(7, []), MALFORMED),
    ("17 messages", lambda city: city.sign(*(city.transfer() for _ in range(17))), MALFORMED),
    ("no signers", _with(8, []), MALFORMED),
    ("short key", _with(8, [bytes(31)]), MALFORMED),
    ("amount above the largest", _with(7, [[0x0201, bytes(20), "uccc", 2**63]]), MALFORMED),
    ("negative amount", _with(7, [[0x0201, bytes(20), "uccc", -1]]), MALFORMED),
    ("asset in capitals", _with(7, [[0x0201, bytes(20), "UCCC", 1]]), MALFORMED),
    ("field too many", _with(7, [[0x0201, bytes(20), "uccc", 1, 1]]), MALFORMED),
    ("fraction", _with(6, 1.5), MALFORMED),
    ("deep nesting", lambda city: b"\x91" * 10_000, MALFORMED),
    ("huge announced array", lambda city: b"\xdd\xff\xff\xff\xff", MALFORMED),
    ("over-long integer", _raw(_long_integer), NON_CANONICAL),
    ("over-long bytes", _raw(_long_bytes), NON_CANONICAL),
    ("unknown tag", _with(7, [[0x0299, 1]]), UNKNOWN_MESSAGE),
    ("unknown module", _with(7, [[0x0201, bytes(20), "uccc", 1], [0x7701]]), UNKNOWN_MESSAGE),
    ("over 16 KiB", _oversize, OVERSIZE),
    ("another chain", _with(1, bytes(32)), WRONG_CHAIN),
    ("another version", _with(0, 2), UNSUPPORTED_VERSION),
    ("signers unsorted", _signers(lambda keys: keys[::-1]), TX_SIGNERS),
    ("signer twice", _signers(lambda keys: [keys[0], keys[0]]), TX_SIGNERS),
    ("signature of another", _with(8, [key(4).public_key]), TX_BAD_SIGNATURE),
    ("signature with a bit off", _signature(lambda s: s[:-1] + bytes([s[-1] ^ 1])), TX_BAD_SIGNATURE),
    ("malleated signature", _signature(_malleable), TX_BAD_SIGNATURE),
    ("small-order key", _with(8, [_SMALL]), TX_SMALL_ORDER_KEY),
    ("small-order R", _signature(lambda s: _SMALL + s[32:]), TX_SMALL_ORDER_KEY),
]


@pytest.mark.parametrize(("make", "spec"), [case[1:] for case in _CASES], ids=[case[0] for case in _CASES])
def test_invalid_transaction(make: Callable[[City], bytes], spec: ErrorSpec) -> None:
    """Each bad input is refused under its own name."""
    city = City()
    (verdict,) = decode_transactions(CITY, city.chain, [make(city)])

    assert isinstance(verdict, Fault)
    assert spec is verdict.spec


def test_invalid_weight() -> None:
    """A transaction that no block could hold is refused by its weight (16 full multi-transfers do not fit the size)."""
    city = City()
    message = CITY.messages[0x0201]

    class Heavy:
        """A registry in which a transfer weighs more than a block may."""

        def usual(self, chain: bytes) -> Rules:
            return CITY.usual(chain)._replace(weights={BankTransfer: 50_001})

        def __getattr__(self, name: str) -> object:
            return getattr(CITY, name)

        def weight(self, messages: object) -> int:
            return 50_001

    (verdict,) = decode_transactions(Heavy(), city.chain, [city.sign(city.transfer())])  # type: ignore[arg-type]

    assert isinstance(verdict, Fault)
    assert (TX_WEIGHT, BankTransfer) == (verdict.spec, message.kind)


def test_good_ones_beside_bad_ones() -> None:
    """Verdicts come in order, and all signatures go through one call."""
    city = City()
    calls: list[int] = []

    def counting(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        calls.append(len(keys))
        return verify_many(messages, signatures, keys)

    both = [city.demo.accounts[0], city.demo.accounts[1]]
    two = city.sign(city.transfer(2), keys=both, fee_payer=city.account(1))
    good = [city.sign(city.transfer(), by=n) for n in range(3)]
    bad = [make(city) for _, make, _ in _CASES]
    raws = [raw for pair in zip(good, bad, strict=False) for raw in pair] + bad[3:] + [two]
    verdicts = decode_transactions(CITY, city.chain, raws, counting)

    assert [0, 2, 4, len(raws) - 1] == [i for i, verdict in enumerate(verdicts) if not isinstance(verdict, Fault)]
    assert 1 == len(calls)
    assert [*good, two] == [verdict.raw for verdict in verdicts if not isinstance(verdict, Fault)]


class _Closely:
    """A registry to which nothing is usual."""

    def __getattr__(self, name: str) -> object:
        return getattr(CITY, name)

    def usual(self, chain: bytes) -> Rules:
        return CITY.usual(chain)._replace(weights={})


@given(st.lists(st.integers(0, len(_CASES) + 1), max_size=12))
def test_the_usual_way_says_the_same(numbers: list[int]) -> None:
    """A slice of good and bad ones gets the verdicts that each gets when it is looked at closely."""
    city = City()
    makes = [make for _, make, _ in _CASES] + [lambda city: city.sign(city.transfer())] * 2
    raws = [makes[number](city) for number in numbers]
    usual = decode_transactions(CITY, city.chain, raws)
    closely = [decode_transactions(_Closely(), city.chain, [raw])[0] for raw in raws]  # type: ignore[arg-type]

    assert [_told(verdict) for verdict in closely] == [_told(verdict) for verdict in usual]


def _told(verdict: object) -> object:
    return (verdict.spec, verdict.values) if isinstance(verdict, Fault) else verdict


def test_nothing_to_verify() -> None:
    """Where nothing decodes, no signature is verified."""

    def never(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        raise AssertionError

    assert 2 == len(decode_transactions(CITY, bytes(32), [b"", b"\xc0"], never))


def test_verified_carries_id_and_weight() -> None:
    """What passes has its id, its raw bytes and its weight."""
    city = City()
    raws = [city.sign(city.transfer()) for _ in range(2)]
    verdicts = decode_transactions(CITY, city.chain, raws)

    assert verdicts == trusted_transactions(CITY, raws)
    assert all(not isinstance(verdict, Fault) and verdict.weight == 1 for verdict in verdicts)
    assert all(a.id != b.id for a, b in pairwise(trusted_transactions(CITY, raws)))


def test_batch() -> None:
    """A batch is decoded as a whole; its id is the Merkle root of its transactions' bytes."""
    city = City()
    raws = [city.sign(city.transfer()) for _ in range(3)]
    batch = decode_batch(CITY, city.chain, encode(raws))

    assert (merkle.root(raws), sum(map(len, raws)), 3) == (batch.id, batch.size, batch.weight)
    assert encode(raws) == encode_batch(batch)
    assert batch == checked_batch(trusted_transactions(CITY, raws)) == check_batch(CITY, city.chain, raws)


def test_invalid_batches() -> None:
    """A batch with one bad transaction, none, too many, too heavy, or in another spelling is refused as a whole."""
    city = City()
    good = city.sign(city.transfer())
    output = Output(city.account(1), "uccc", 1)
    heavy = [city.sign(*(BankMulti((output,) * 60) for _ in range(7))) for _ in range(120)]
    cases = [
        (encode([good, _CASES[-1][1](city)]), TX_SMALL_ORDER_KEY),
        (encode([]), MALFORMED),
        (encode([b""]), MALFORMED),
        (encode([good] * (BATCH_TXS_MAX + 1)), MALFORMED),
        (encode([bytes(TX_BYTES_MAX + 1)]), MALFORMED),
        (encode([bytes(TX_BYTES_MAX)] * 17), OVERSIZE),
        (b"\xdc\x00\x01" + encode(good), NON_CANONICAL),
    ]
    for raw, spec in cases:
        with pytest.raises(Fault) as caught:
            decode_batch(CITY, city.chain, raw)
        assert spec is caught.value.spec
    with pytest.raises(Fault) as caught:
        decode_batch(CITY, city.chain, cases[0][0])
    assert 1 == caught.value.values["position"]
    with pytest.raises(Fault) as caught:
        checked_batch(trusted_transactions(CITY, heavy))
    assert OVERSIZE is caught.value.spec


def test_invalid_batch_weight() -> None:
    """A batch heavier than a block could never be listed."""
    city = City()
    output = Output(city.account(1), "uccc", 1)
    (verified,) = trusted_transactions(CITY, [city.sign(*(BankMulti((output,) * 16) for _ in range(10)))])
    light = type(verified)(verified.id, verified.transaction, verified.raw[:100], 50_001)
    with pytest.raises(Fault) as caught:
        checked_batch([light])

    assert (TX_WEIGHT, 160) == (caught.value.spec, verified.weight)


@given(st.binary(max_size=300))
def test_invalid_noise(raw: bytes) -> None:
    """Random bytes give a named fault, whatever they are."""
    (verdict,) = decode_transactions(CITY, bytes(32), [raw])

    assert isinstance(verdict, Fault)


@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_invalid_byte(place: int, value: int) -> None:
    """A transaction with any one byte changed is refused, or it is the same transaction."""
    city = City()
    raw = city.sign(city.transfer(), salt=bytes(8))
    place %= len(raw)
    changed = raw[:place] + bytes([value]) + raw[place + 1 :]
    (verdict,) = decode_transactions(CITY, city.chain, [changed])

    assert isinstance(verdict, Fault) or changed == raw
