"""What may stand in a message for ever and for everybody: classes of fields, and the search for personal data in text.

Every field of a message is public, for a ledger forgets nothing.  Accounts, numbers, hashes, keys, enumerations and
texts of a fixed form are public by their type.  Any other text is searched, before it is admitted and again when it is
carried out, and refused where it holds what looks like a Thai national id, a telephone number or an e-mail address.
A field of another class cannot be part of a message: the registry refuses the module (modules.md R10).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, inspect

from cccnode.types.errors import NOT_NFC, PERSONAL_DATA, Fault, fault


class Privacy(Enum):
    """Who may see a field."""

    PUBLIC = "public"
    """Everybody, for ever."""
    TEXT = "text"
    """Everybody, and people write it: searched for personal data."""
    ORGANISATION = "organisation"
    """Members of one organisation: never in a message."""
    PERSONAL = "personal"
    """One person and whom they allow: never in a message."""
    HEALTH = "health"
    """A patient and whom they consent to: never in a message."""


_CLASS: Final = "privacy"


def marked(privacy: Privacy) -> dict[str, Any]:
    """For `Meta(extra=...)`: the class of a field, where its type does not tell it."""
    return {_CLASS: privacy}


PUBLIC_TEXT_MAX: Final = 120
PublicText = Annotated[str, Meta(max_length=PUBLIC_TEXT_MAX, extra=marked(Privacy.TEXT))]
"""A line that a person writes and everybody reads."""

_DIGITS: Final = str.maketrans("๐๑๒๓๔๕๖๗๘๙０１２３４５６７８９", "01234567890123456789")
_GAP: Final = r"[ .()/-]{0,2}"
_NATIONAL_ID: Final = re.compile(rf"(?<![0-9])(?=([1-8](?:{_GAP}[0-9]){{12}})(?![0-9]))")
_TELEPHONE: Final = re.compile(
    rf"(?<![0-9])(?:(?:\+|00){_GAP}66{_GAP}(?:\(?0\)?{_GAP})?|0)(?:[689](?:{_GAP}[0-9]){{8}}|[2-57](?:{_GAP}[0-9]){{7}})(?![0-9])"
)
_MAIL: Final = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+\.[^\s@<>,;:]{2,}")
_NORMAL: Final = unicodedata.ucd_3_2_0
"""A table of characters that no version of Python changes: every node decides alike."""


def personal_data(text: str) -> str:
    """What kind of personal data a text seems to hold: `national_id`, `telephone`, `e_mail`, or nothing."""
    plain = text.translate(_DIGITS)
    if any(_is_national_id(found.group(1)) for found in _NATIONAL_ID.finditer(plain)):
        return "national_id"
    if _TELEPHONE.search(plain):
        return "telephone"
    return "e_mail" if _MAIL.search(plain.replace("＠", "@")) else ""  # noqa: RUF001 - as typed


def _is_national_id(text: str) -> bool:
    """Thirteen digits of which the last is the checksum: (11 - sum of digit times place) mod 11 mod 10."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    total = sum(digit * (13 - place) for place, digit in enumerate(digits[:12]))
    return (11 - total % 11) % 10 == digits[12]


def check_text(text: str, field: str = "") -> None:
    """Refuse a text that may not stand here.

    Raises:
        Fault: core/PERSONAL_DATA or core/NOT_NFC.
    """
    if text.isascii():
        found = personal_data(text)
    else:
        if not _NORMAL.is_normalized("NFC", text):
            raise fault(NOT_NFC, field=field)
        found = personal_data(text)
    if found:
        raise fault(PERSONAL_DATA, field=field, kind=found)


Check = Callable[[Any], None]


@cache
def checker(kind: Any) -> Check | None:
    """What looks through the texts of a noun, or None where it has none.

    Raises:
        TypeError: a field's class may not stand in a message; our own mistake.
    """
    paths = [*_texts(inspect.type_info(kind), ())]
    if not paths:
        return None

    def check(noun: Any) -> None:
        for path in paths:
            for text in _found(noun, path):
                check_text(text, ".".join(part for part in path if part))

    return check


def refusal(kind: type, noun: Any) -> Fault | None:
    """Why a noun may not be admitted for its texts, or None."""
    check = checker(kind)
    if check is not None:
        try:
            check(noun)
        except Fault as refused:
            return refused
    return None


Path = tuple[str, ...]
"""Names of fields from the noun down; an empty name stands for every element of an array."""
_ANYWHERE: Final = "*"
"""The last name of a path into a noun that holds others of its kind: every text below."""


def _texts(info: inspect.Type, path: Path, above: tuple[type, ...] = ()) -> Iterator[Path]:
    """Where texts lie that are to be searched."""
    match info:
        case inspect.Metadata(type=inner, extra=extra):
            privacy = None if extra is None else extra.get(_CLASS)
            if privacy not in (None, Privacy.PUBLIC, Privacy.TEXT):
                raise TypeError(f"{'.'.join(path)}: a message holds nothing of class {privacy}")
            if privacy is not Privacy.PUBLIC:
                yield from _texts(inner, path, above)
        case inspect.StrType(pattern=None):
            yield path
        case inspect.StructType(cls=kind) if kind in above:
            yield (*path, _ANYWHERE)
        case inspect.UnionType():
            for choice in info.types:
                yield from _texts(choice, path, above)
        case _:
            below = (*above, info.cls) if isinstance(info, inspect.StructType) else above
            for part, element in _parts(info):
                yield from _texts(element, (*path, part), below)


def _parts(info: inspect.Type) -> Iterator[tuple[str, inspect.Type]]:
    """The fields of a noun by name, the elements of an array by place; an empty place stands for all."""
    match info:
        case inspect.StructType():
            for field in info.fields:
                yield field.name, field.type
        case inspect.VarTupleType() | inspect.ListType():
            yield "", info.item_type
        case inspect.TupleType():
            for number, item in enumerate(info.item_types):
                yield str(number), item
        case _:
            pass


def _found(value: Any, path: Path) -> Iterator[str]:
    """The texts of one path; a choice of nouns may lack it."""
    if not path:
        if isinstance(value, str):
            yield value
        return
    name, rest = path[0], path[1:]
    if name == _ANYWHERE:
        yield from _anywhere(value)
        return
    if isinstance(value, msgspec.Struct):
        if name in value.__struct_fields__:
            yield from _found(getattr(value, name), rest)
    elif isinstance(value, tuple | list):
        for element in value if not name else value[int(name) : int(name) + 1]:
            yield from _found(element, rest)


def _anywhere(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _anywhere(getattr(value, name))
    elif isinstance(value, tuple | list):
        for element in value:
            yield from _anywhere(element)
