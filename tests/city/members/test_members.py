"""Applications and key rotation (modules.md 3.1)."""

from collections.abc import Sequence

import pytest

from cccnode.city.members import MemApply, MemRotateKeys, errors
from cccnode.city.members.messages import KEYS_MAX, WeightedKey
from cccnode.city.members.queries import AccountParams, KeyParams
from cccnode.city.members.state import (
    Account,
    KeyRecord,
    Kind,
    Pillar,
    Status,
    read_account,
    write_account,
)
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.state import Overlay, writes_of
from cccnode.types.errors import (
    NOT_FOUND,
    TX_ACCOUNT_STATUS,
    TX_BELOW_THRESHOLD,
    TX_KEY_WITHOUT_WEIGHT,
    ErrorSpec,
    Fault,
)
from cccnode.types.transaction import account_id
from tests.support.city import FEE, City, key, receipts

ENC = bytes(range(32))


def _apply(city: City, applicant: SigningKey, **changes: object) -> bytes:
    message = MemApply(applicant.public_key, ENC, 1)
    by = account_id(applicant.public_key)
    return city.sign(changes.pop("message", message), **({"by": by, "keys": [applicant], "fee_max": 0} | changes))  # type: ignore[arg-type]


def _account(city: City, address: bytes) -> Account:
    record = read_account(Overlay(city.state), address)
    assert record is not None
    return record


def _rotate(
    city: City,
    *,
    add: Sequence[tuple[bytes, int]] = (),
    revoke: Sequence[bytes] = (),
    threshold: int = 1,
    keys: Sequence[SigningKey] | None = None,
    by: int = 0,
) -> int:
    message = MemRotateKeys(tuple(WeightedKey(*row) for row in add), tuple(revoke), threshold, None)
    return city.run(city.sign(message, by=by, keys=keys)).codes[0]


def test_apply() -> None:
    """An application is free and opens a pending account that owns its key and cannot act yet."""
    city = City()
    applicant = key(1)
    address = account_id(applicant.public_key)
    outcome = city.run(_apply(city, applicant))
    acting = city.run(city.sign(city.transfer(), by=address, keys=[applicant]))

    assert ((0,), 0, TX_ACCOUNT_STATUS.code) == (outcome.codes, outcome.fees, acting.codes[0])
    assert (("members", "applied", address),) == receipts(outcome)[0].events
    assert Account(
        Kind.PERSON,
        Pillar.CITIZENS,
        Status.PENDING,
        1,
        (WeightedKey(applicant.public_key, 1),),
        ENC,
        None,
        outcome.time_ms,
    ) == _account(city, address)


def test_pending_account_receives() -> None:
    """Money can be sent to an applicant."""
    city = City()
    city.run(_apply(city, key(1)))
    city.run(city.sign(city.transfer(account_id(key(1).public_key), amount=9)))

    assert 9 == city.balance(account_id(key(1).public_key))


def test_invalid_applications() -> None:
    """Another charter, foreign proof, a second application, and a key in use are refused by name, free of charge."""
    city = City()
    old = MemApply(key(1).public_key, ENC, 2)
    foreign = MemApply(key(2).public_key, ENC, 1)
    cases = [
        (_apply(city, key(1), message=old), errors.CHARTER),
        (_apply(city, key(1), message=foreign), errors.POP),
        (_apply(city, key(1), keys=[key(1), key(2)]), errors.POP),
        (_apply(city, key(1), by=0), TX_ACCOUNT_STATUS),
        (_apply(city, key(3)), None),
        (_apply(city, key(3)), TX_ACCOUNT_STATUS),
    ]
    outcome = city.run(*(raw for raw, _ in cases))

    assert [spec.code if spec else 0 for _, spec in cases] == list(outcome.codes)
    assert 0 == outcome.fees


def test_invalid_application_among_messages() -> None:
    """Beside other messages an application is no application: a member cannot open an account for a foreign key."""
    city = City()
    own = city.demo.accounts[0].public_key
    used = city.run(city.sign(MemApply(own, ENC, 1), city.transfer()))
    foreign = city.run(city.sign(MemApply(key(1).public_key, ENC, 1), city.transfer()))

    assert (errors.PK_USED.code, FEE) == (used.codes[0], used.fees)
    assert (errors.POP.code, FEE) == (foreign.codes[0], foreign.fees)


def test_invalid_application_with_revoked_key() -> None:
    """A key that was ever used opens no account, even after it was revoked (MEM-2)."""
    city = City()
    _rotate(city, add=[(key(1).public_key, 1)])
    _rotate(city, revoke=[key(1).public_key])

    assert (errors.PK_USED.code,) == city.run(_apply(city, key(1))).codes


def test_invalid_application_rate() -> None:
    """A block takes four applications; the next names the rate, and a later block takes it again."""
    city = City()
    outcome = city.run(*(_apply(city, key(n)) for n in range(1, 7)))

    assert [0, 0, 0, 0, errors.RATE.code, errors.RATE.code] == list(outcome.codes)
    assert (0,) == city.run(_apply(city, key(5))).codes


def test_rotate() -> None:
    """New keys and threshold are in force from the next transaction, the same block included (MEM-7)."""
    city = City()
    old, new = city.demo.accounts[0], key(1)
    swap = city.sign(MemRotateKeys((WeightedKey(new.public_key, 2),), (old.public_key,), 2, None))
    outcome = city.run(swap, city.sign(city.transfer()), city.sign(city.transfer(), keys=[new]))

    assert (0, TX_KEY_WITHOUT_WEIGHT.code, 0) == outcome.codes
    assert (("members", "rotated", city.account(0), 1, 1, 2),) == receipts(outcome)[0].events
    assert ((WeightedKey(new.public_key, 2),), 2) == (
        _account(city, city.account(0)).keys,
        _account(city, city.account(0)).threshold,
    )


def test_rotate_encryption_key() -> None:
    """The encryption key changes only when a new one is given."""
    city = City()
    city.run(city.sign(MemRotateKeys((), (), 1, ENC)))
    city.run(city.sign(MemRotateKeys((), (), 1, None)))

    assert ENC == _account(city, city.account(0)).enc_key


def test_threshold() -> None:
    """Signatures must reach the threshold together; which keys they are does not matter."""
    city = City()
    one, two, three = city.demo.accounts[0], key(1), key(2)
    added = [(two.public_key, 1), (three.public_key, 2)]
    assert 0 == _rotate(city, add=added, threshold=3)
    attempts = [[one], [two], [one, two], [three], [one, three], [two, three], [one, two, three]]
    outcome = city.run(*(city.sign(city.transfer(), keys=keys) for keys in attempts))
    short = TX_BELOW_THRESHOLD.code

    assert [short, short, short, short, 0, 0, 0] == list(outcome.codes)


def test_key_history_is_kept() -> None:
    """Whose key it was, and when it was revoked, can be asked for ever."""
    city = City()
    old = city.demo.accounts[0].public_key
    _rotate(city, add=[(key(1).public_key, 1)], revoke=[old])

    assert KeyRecord(city.account(0), city.demo.genesis.document.time_ms, city.now) == city.registry.answer(
        "account_of_key", city.state, KeyParams(old)
    )


def _small_order() -> bytes:
    return sorted(SMALL_ORDER)[3]


@pytest.mark.parametrize(
    ("add", "revoke", "threshold", "spec"),
    [
        ([], ["own"], 1, errors.LOCKOUT),
        ([], [], 0, errors.LOCKOUT),
        ([(key(1).public_key, 1)], [], 3, errors.LOCKOUT),
        ([], [key(1).public_key], 1, errors.NOT_A_KEY),
        ([(key(1).public_key, 1)], [key(1).public_key], 1, errors.NOT_A_KEY),
        ([], ["own", "own"], 1, errors.NOT_A_KEY),
        ([(key(1).public_key, 1), (key(1).public_key, 2)], [], 1, errors.PK_USED),
        ([("own", 1)], [], 1, errors.PK_USED),
        ([("own", 1)], ["own"], 1, errors.PK_USED),
        ([("other", 1)], [], 1, errors.PK_USED),
        ([(_small_order(), 1)], [], 1, errors.WEAK_KEY),
        ([(key(n).public_key, 1) for n in range(1, KEYS_MAX + 1)], [], 1, errors.TOO_MANY_KEYS),
    ],
)
def test_invalid_rotation(add: list, revoke: list, threshold: int, spec: ErrorSpec) -> None:
    """A rotation that would lock out, reuse, invent or overload keys is refused by name and changes nothing."""
    city = City()
    names = {"own": city.demo.accounts[0].public_key, "other": city.demo.accounts[1].public_key}
    before = _account(city, city.account(0))
    code = _rotate(
        city,
        add=[(names.get(row[0], row[0]), row[1]) for row in add],
        revoke=[names.get(row, row) for row in revoke],
        threshold=threshold,
    )

    assert (spec.code, before) == (code, _account(city, city.account(0)))


def test_sixteen_keys() -> None:
    """An account may have as many keys as may sign one transaction, and use them all."""
    city = City()
    others = [key(n) for n in range(1, KEYS_MAX)]
    assert 0 == _rotate(city, add=[(other.public_key, 1) for other in others], threshold=KEYS_MAX)
    everyone = [city.demo.accounts[0], *others]

    assert (0,) == city.run(city.sign(city.transfer(), keys=everyone)).codes
    assert (TX_BELOW_THRESHOLD.code,) == city.run(city.sign(city.transfer(), keys=everyone[1:])).codes


@pytest.mark.parametrize("status", [Status.PENDING, Status.SUSPENDED, Status.LEFT, Status.REMOVED])
def test_invalid_status(status: Status) -> None:
    """Only an active account acts, or pays for another."""
    city = City()
    overlay = Overlay(city.state)
    account = _account(city, city.account(1))
    changed = Account(
        account.kind, account.pillar, status, account.threshold, account.keys, None, None, account.since_ms
    )
    write_account(overlay, city.account(1), changed)
    overlay.commit()
    city.state.apply(writes_of(overlay))
    both = [city.demo.accounts[0], city.demo.accounts[1]]
    outcome = city.run(
        city.sign(city.transfer(2), by=1), city.sign(city.transfer(2), keys=both, fee_payer=city.account(1))
    )

    assert (TX_ACCOUNT_STATUS.code, TX_ACCOUNT_STATUS.code) == outcome.codes


def test_queries() -> None:
    """An account's record can be asked for; an unknown account or key is not found."""
    city = City()
    answer = city.registry.answer("account_get", city.state, AccountParams(city.account(0)))

    assert (city.account(0), Status.ACTIVE) == (answer.account, answer.status)  # type: ignore[attr-defined]
    for method, params in (("account_get", AccountParams(bytes(20))), ("account_of_key", KeyParams(bytes(32)))):
        with pytest.raises(Fault) as caught:
            city.registry.answer(method, city.state, params)
        assert caught.value.spec is NOT_FOUND
