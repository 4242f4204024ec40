"""Transactions: identity, and the cut that finds the signed part."""

import json
from pathlib import Path

import pytest

from cccnode.city import CITY
from cccnode.codec import decode, encode
from cccnode.crypto.hashing import TX, tagged
from cccnode.crypto.verifying import verify
from cccnode.types.transaction import account_id, sign_bytes, sign_transaction, signed_part, transaction_id
from tests.support.city import City, key
from tests.types.samples import FULL, NOUNS, SIMPLE, SIXTEEN

_GOLDEN = json.loads((Path(__file__).parents[1] / "vectors" / "nouns.json").read_text())["nouns"]


@pytest.mark.parametrize("raw", [SIMPLE, FULL, SIXTEEN])
def test_signed_part_is_cut_right(raw: bytes) -> None:
    """The part cut from the bytes is the encoding of all fields but the signatures, which sign it."""
    fields = decode(list, raw)
    assert isinstance(fields, list)
    part = signed_part(raw, len(fields[9]))

    assert encode(fields[:9]) == part
    assert tagged(TX, part) == transaction_id(part)
    assert all(
        verify(sign_bytes(part), signature, signer) for signer, signature in zip(fields[8], fields[9], strict=True)
    )


@pytest.mark.parametrize("signers", range(1, 17))
def test_any_number_of_signers(signers: int) -> None:
    """The cut is right for every number of signatures."""
    city = City()
    raw = city.sign(city.transfer(), keys=[key(n) for n in range(1, signers + 1)])

    assert encode(decode(list, raw)[:9]) == signed_part(raw, signers)  # type: ignore[index]


def test_sign_transaction_sorts_signers() -> None:
    """Signers stand sorted with their signatures, whatever the order of the keys."""
    keys = [key(n) for n in range(1, 6)]
    results = {
        sign_transaction(
            chain=bytes(32), account=bytes(20), valid_until_ms=5, salt=bytes(8), fee_max=0,
            messages=[CITY.decode(SIMPLE).messages[0]], keys=order,
        )
        for order in (keys, keys[::-1])
    }  # fmt: skip
    ((tx_id, raw),) = results

    assert transaction_id(signed_part(raw, 5)) == tx_id
    assert sorted(k.public_key for k in keys) == list(CITY.decode(raw).signers)


@pytest.mark.parametrize("name", [name for name in NOUNS if name.startswith("transaction/")])
def test_registry_decodes_vectors(name: str) -> None:
    """The golden transactions decode with their messages typed."""
    assert NOUNS[name] == CITY.decode(bytes.fromhex(_GOLDEN[name]))


def test_account_is_of_its_first_key() -> None:
    """Different keys open different accounts of 20 bytes."""
    accounts = {account_id(key(n).public_key) for n in range(1, 50)}

    assert (49, {20}) == (len(accounts), {len(account) for account in accounts})
