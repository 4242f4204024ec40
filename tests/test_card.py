"""Network cards: one text for one card, and every way to spoil one has its name."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cccnode.card import (
    CARD_CHARS_MAX,
    CARD_PREFIX,
    CONTACTS_MAX,
    Card,
    Checkpoint,
    Contact,
    card_text,
    check_expiry,
    read_card,
)
from cccnode.codec import encode
from cccnode.types import errors
from cccnode.types.addresses import account_text, bech32m_encode
from cccnode.types.errors import ErrorSpec, Fault

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
HOUR_MS = 3_600_000

_HOSTS = st.sampled_from(["10.0.0.7", "node.cmu.example", "[2001:db8::7]", "localhost", "a_b-c.d"])
_PORTS = st.integers(1, 65_535)
_ADDRESSES = st.builds("{}:{}".format, _HOSTS, _PORTS)
_RPCS = st.one_of(st.just(""), _ADDRESSES, st.builds("https://{}/x/y".format, _HOSTS))
_KEYS = st.binary(min_size=32, max_size=32)
_CONTACTS = st.lists(
    st.builds(Contact, _KEYS, _ADDRESSES, _RPCS), min_size=1, max_size=5, unique_by=lambda c: c.node_key
)
CARDS = st.builds(
    Card,
    chain=_KEYS,
    network=st.text(min_size=1, max_size=16),
    contacts=st.builds(tuple, _CONTACTS),
    checkpoint=st.builds(Checkpoint, st.integers(0, 2**63 - 1), _KEYS),
    expires_ms=st.integers(0, 2**63 - 1),
)


def _card(**changes: Any) -> Card:
    """A card in which only what a test names matters."""
    contacts = tuple(Contact(bytes([i]) * 32, f"10.0.0.{i}:27600", f"10.0.0.{i}:27601") for i in (1, 2))
    card = Card(bytes(range(32)), "ccc-demo", contacts, Checkpoint(7, bytes(32)), 10 * HOUR_MS)
    return msgspec.structs.replace(card, **changes)


def _refused(text: str) -> ErrorSpec:
    with pytest.raises(Fault) as refused:
        read_card(text)
    return refused.value.spec


def _text(body: bytes, *, version: int = 1, prefix: str = CARD_PREFIX) -> str:
    return bech32m_encode(prefix, bytes([version]) + body)


@given(CARDS)
def test_round_trip(card: Card) -> None:
    """A card reads back from its text, in either case, as text of the plain alphabet on one screen."""
    text = card_text(card)

    assert text.startswith("ccccard1")
    assert set(text.removeprefix("ccccard1")) <= set(LETTERS)
    assert len(text) <= CARD_CHARS_MAX
    assert card == read_card(text) == read_card(text.upper())


@given(CARDS, st.integers(1, 100), st.sampled_from(["\n", "\r\n", "  ", "\t", "\n> "[:1]]))
def test_white_space_does_not_count(card: Card, width: int, between: str) -> None:
    """A text that was broken into lines on its way is the same card."""
    text = card_text(card)

    assert card == read_card(between.join(text[at : at + width] for at in range(0, len(text), width)) + "\n")


@given(CARDS, st.data())
def test_invalid_character(card: Card, data: st.DataObject) -> None:
    """Any one character that is wrong, missing or doubled is noticed, and named as damage of a card."""
    text = card_text(card)
    place = data.draw(st.integers(len("ccccard1"), len(text) - 1))
    letter = data.draw(st.sampled_from(LETTERS.replace(text[place], "")))

    for wrong in (
        text[:place] + letter + text[place + 1 :],
        text[:place] + text[place + 1 :],
        text[:place] + text[place:][:1] + text[place:],
    ):
        assert _refused(wrong) is errors.CARD_CHECKSUM


@given(CARDS, st.data())
def test_invalid_cut(card: Card, data: st.DataObject) -> None:
    """A text that was not copied to its end is noticed."""
    text = card_text(card)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    assert _refused(cut) in {errors.CARD_CHECKSUM, errors.CARD_MALFORMED}


@given(st.text(max_size=60))
@example("")
@example("ccccard1")
@example("ccccard1qqqqqqqqb")
@example("Ccccard1qqqqqqqqq")
def test_invalid_text(text: str) -> None:
    """Any other text is refused by name."""
    assert _refused(text) in {errors.CARD_CHECKSUM, errors.CARD_MALFORMED}


@given(st.binary(max_size=80))
def test_invalid_bytes(body: bytes) -> None:
    """A good checksum over something else does not make a card."""
    assert _refused(_text(body)) is errors.CARD_MALFORMED


def test_invalid_prefix() -> None:
    """An account is not a card, and the error says how one begins."""
    with pytest.raises(Fault) as refused:
        read_card(account_text(bytes(20)))
    assert refused.value.spec is errors.CARD_MALFORMED
    assert "ccccard1" in str(refused.value)
    assert _refused(bech32m_encode(CARD_PREFIX, b"")) is errors.CARD_MALFORMED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_invalid_version(version: int) -> None:
    """A card of another version is told from a broken one, whatever it holds."""
    assert _refused(_text(encode(_card()), version=version)) is errors.CARD_VERSION
    assert _refused(_text(b"anything", version=version)) is errors.CARD_VERSION


def _with_contact(address: str, rpc: str = "") -> Card:
    return _card(contacts=(Contact(bytes(32), address, rpc),))


@pytest.mark.parametrize(
    "card",
    [
        _card(contacts=()),
        _card(contacts=tuple(Contact(bytes([i]) * 32, "a:1") for i in range(CONTACTS_MAX + 1))),
        _card(contacts=(Contact(bytes(32), "a:1"), Contact(bytes(32), "b:1"))),
        _with_contact("a"),
        _with_contact("a:"),
        _with_contact("a:0"),
        _with_contact("a:65536"),
        _with_contact("a b:1"),
        _with_contact("::1:1"),
        _with_contact("http://a:1"),
        _with_contact("a:1", "ftp://a"),
        _with_contact("a:1", "a:99999"),
        _with_contact("a:1", "http://a b"),
        _card(network=""),
        _card(chain=bytes(31)),
        _card(checkpoint=Checkpoint(-1, bytes(32))),
        _card(checkpoint=Checkpoint(1, bytes(33))),
        _card(expires_ms=2**63),
    ],
)
def test_invalid_content(card: Card) -> None:
    """Values out of bounds are refused, both when a card is made and when one is read."""
    assert _refused(_text(encode(card))) is errors.CARD_MALFORMED
    with pytest.raises(Fault) as refused:
        card_text(card)
    assert refused.value.spec is errors.CARD_MALFORMED


def test_invalid_encoding() -> None:
    """One card has one text: surplus fields and long integers are refused."""
    body = encode(_card())
    assert body[0] == 0x95
    surplus = b"\x96" + body[1:] + b"\x00"
    long_height = body.replace(b"\x92\x07\xc4", b"\x92\xcc\x07\xc4")
    assert long_height != body

    assert _refused(_text(surplus)) is errors.CARD_MALFORMED
    assert _refused(_text(long_height)) is errors.CARD_MALFORMED


def test_invalid_length() -> None:
    """What would not fit one screen is refused when it is made."""
    long = tuple(Contact(bytes([i]) * 32, "a" * 100 + ":1") for i in range(CONTACTS_MAX))
    with pytest.raises(Fault, match="fewer contacts"):
        card_text(_card(contacts=long))


def test_expiry() -> None:
    """A card is good until the moment that it names, and then says for how long it has been bad."""
    card = _card()
    check_expiry(card, 10 * HOUR_MS - 1)
    with pytest.raises(Fault) as expired:
        check_expiry(card, 13 * HOUR_MS)
    assert expired.value.spec is errors.CARD_EXPIRED
    assert expired.value.values["expired_hours_ago"] == 3


def test_rpc_addresses() -> None:
    """Only contacts that name an RPC address are asked there."""
    card = _card(contacts=(Contact(bytes(32), "a:1"), Contact(bytes([1]) * 32, "b:1", "https://b")))
    assert card.rpc_addresses == ("https://b",)


def test_vector() -> None:
    """The text of one card, for ever."""
    assert card_text(_card()) == VECTOR


VECTOR = (
    "ccccard1qx2uggqqqypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7r75xxcmr94jx2mt0j2fuggqpqyqszqgp"
    "qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqxhrzvpwxqhrqt338gerwd3sxzhrzvpwxqhrqt338gerwd3sxxfuggqz"
    "qgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszq2hrzvpwxqhrqt3j8gerwd3sxzhrzvpwxqhrqt3j8gerwd3s"
    "xxfq03pqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqvuq392yqqugczdm"
)
