"""Personal data in texts, and the classes of fields (modules.md R10)."""

from typing import Annotated

import pytest
from msgspec import Meta

from cccnode.city import CITY
from cccnode.city.gov.messages import GovPropose, Kind
from cccnode.codec import Noun, encode
from cccnode.ingress import decode_transactions
from cccnode.ledger.policies import AllOf, Apart, Role
from cccnode.mempool import Mempool
from cccnode.types.errors import MALFORMED, NOT_NFC, PERSONAL_DATA, Fault
from cccnode.types.privacy import Privacy, PublicText, check_text, checker, marked, personal_data
from tests.city.counter import CountRaise
from tests.city.counter.test_counter import GROWN
from tests.support.city import FEE, City


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1101700230708", "national_id"),
        ("my id is 1-1017-00230-70-8.", "national_id"),
        ("เลข ๑๑๐๑๗๐๐๒๓๐๗๐๘", "national_id"),
        ("0812345678", "telephone"),
        ("call 081-234-5678 today", "telephone"),
        ("โทร ๐๘๑ ๒๓๔ ๕๖๗๘", "telephone"),
        ("+66 81 234 5678", "telephone"),
        ("+66(0)2 123 4567", "telephone"),
        ("02-123-4567", "telephone"),
        ("somebody@example.org", "e_mail"),
        ("Write to some.body+x@mail.example.co.th!", "e_mail"),
        ("user＠example.org", "e_mail"),  # noqa: RUF001 - as typed
    ],
)
def test_found(text: str, kind: str) -> None:
    """Thai national ids with their checksum, telephone numbers and addresses are found, however they are spelt."""
    assert kind == personal_data(text)
    with pytest.raises(Fault) as caught:
        check_text(text, "title")
    assert caught.value.spec is PERSONAL_DATA


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Repair the well of moo 4",
        "ซ่อมบ่อน้ำหมู่ 4",
        "1101700230709",
        "11017002307081",
        "1,000,000,000 satang",
        "2026-01-05 12:00",
        "1767571200001",
        "lot 08123",
        "127.0.0.1:27600",
        "a @ b",
    ],
)
def test_harmless(text: str) -> None:
    """Words, sums, dates, and numbers whose checksum is another's stay."""
    assert "" == personal_data(text)
    check_text(text)


def test_invalid_form() -> None:
    """A text that is not composed is refused, so that what looks alike is alike."""
    with pytest.raises(Fault) as caught:
        check_text("cafe\u0301")

    assert caught.value.spec is NOT_NFC
    check_text("café")


class Inner(Noun, frozen=True, array_like=True, gc=False):
    """A part."""

    line: PublicText
    code: Annotated[str, Meta(pattern="^[0-9]+$")]


class Outer(Noun, frozen=True, array_like=True, gc=False):
    """Texts in every place where they may stand."""

    title: PublicText | None
    rows: tuple[Inner, ...]
    pair: tuple[int, PublicText]
    unsearched: Annotated[str, Meta(extra=marked(Privacy.PUBLIC))]


MAIL = "a@example.org"


@pytest.mark.parametrize(
    ("noun", "field"),
    [
        (Outer(MAIL, (), (1, ""), ""), "title"),
        (Outer(None, (Inner("", "1"), Inner(MAIL, "1")), (1, ""), ""), "rows.line"),
        (Outer(None, (), (1, MAIL), ""), "pair.1"),
        (Outer(None, (Inner("", "0812345678"),), (1, ""), MAIL), ""),
    ],
)
def test_every_place(noun: Outer, field: str) -> None:
    """Wherever a text stands it is searched, but for codes of a fixed form."""
    check = checker(Outer)
    assert check is not None
    if not field:
        check(noun)
        return
    with pytest.raises(Fault) as caught:
        check(noun)
    assert field == caught.value.values["field"]


def test_nouns_within_themselves() -> None:
    """In a tree of one kind every text is searched."""
    check = checker(AllOf)
    assert check is not None
    check(AllOf((AllOf((Role("auditor", 1, Apart.NOTHING),)),)))
    with pytest.raises(Fault):
        check(AllOf((AllOf((Role(MAIL, 1, Apart.NOTHING),)),)))


@pytest.mark.parametrize("privacy", [Privacy.ORGANISATION, Privacy.PERSONAL, Privacy.HEALTH])
def test_invalid_class(privacy: Privacy) -> None:
    """A message cannot even be declared with a field that is not public."""

    class Diagnosis(Noun, frozen=True, array_like=True, gc=False):
        """What never stands on a ledger."""

        text: Annotated[str, Meta(extra=marked(privacy))]

    Diagnosis.__annotations__["text"] = Annotated[str, Meta(extra=marked(privacy))]
    with pytest.raises(TypeError):
        checker(Diagnosis)


def test_at_the_door_and_in_a_block() -> None:
    """A text of any module is refused at admission, and again by every node that finds it in a block."""
    city = City(registry=GROWN)
    raw = city.sign(CountRaise(MAIL, 1))
    (verified,) = decode_transactions(GROWN, city.chain, [raw])
    assert not isinstance(verified, Fault)
    refused = Mempool(GROWN).admit(verified, wall_ms=city.now, view=city.state, window=city.window)
    assert refused is not None
    assert refused.spec is PERSONAL_DATA
    outcome = city.run(raw)

    assert (PERSONAL_DATA.code, FEE) == (outcome.codes[0], outcome.fees)


@pytest.mark.parametrize("depth", [1, 3])
def test_packed_messages_are_opened_at_the_door(depth: int) -> None:
    """What a proposal carries is looked through before any block keeps it, however deep; no message, no entry."""
    packed: tuple[bytes, ...] = ()
    title = MAIL
    for _ in range(depth):
        packed, title = (encode(GovPropose(Kind.TEXT, packed, title, bytes(32), False, False)),), "A title"
    for messages, spec in ((packed, PERSONAL_DATA), ((MAIL.encode(),), MALFORMED)):
        city = City()
        raw = city.sign(GovPropose(Kind.PARAM, messages, "A title", bytes(32), False, False))
        (verified,) = decode_transactions(CITY, city.chain, [raw])
        assert not isinstance(verified, Fault)
        refused = Mempool(CITY).admit(verified, wall_ms=city.now, view=city.state, window=city.window)
        assert refused is not None
        assert refused.spec is spec


def test_transfers_are_not_searched() -> None:
    """The commonest messages have no text, so the search costs them nothing."""
    searched = {kind.__name__ for kind in CITY.texts}

    assert not searched & {"BankTransfer", "BankMulti"}
