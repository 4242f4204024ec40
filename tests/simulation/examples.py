"""A valid value of any msgspec type, drawn from a seed: what a fuzzer begins with."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import inspect

TEXTS = (
    "",
    "a",
    "city",
    "GovVote",
    "rotate_keys",
    "net/NO_PEERS",
    "10.0.0.1:27600",
    "[::1]:7",
    "https://node.example:8080",
    "สวัสดี",
    "x" * 60,
)
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_535, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1)
DEEP = 6
"""Below this many levels optional and repeated parts are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What values are made of."""

    texts: Sequence[str] = TEXTS
    numbers: Sequence[int] = NUMBERS
    known: Mapping[int, Sequence[bytes]] = field(default_factory=dict)
    """Byte strings that mean something, by their length; half of the strings of these lengths are drawn from them."""


ANY = Words()


class NoExample(ValueError):
    """Nothing here fits the type: a text with a pattern that no sample matches."""


def example(kind: Any, rng: random.Random, words: Words = ANY) -> Any:
    """One value of `kind`."""
    return _value(inspect.type_info(kind), rng, words, 0)


def _value(info: inspect.Type, rng: random.Random, words: Words, depth: int) -> Any:
    match info:
        case inspect.IntType():
            return _integer(info, rng, words)
        case inspect.BytesType():
            return _bytes(info, rng, words, depth)
        case inspect.StrType():
            return _text(info, rng, words)
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.NoneType():
            return None
        case inspect.EnumType():
            return rng.choice(list(info.cls))
        case inspect.LiteralType():
            return rng.choice(info.values)
        case inspect.RawType():
            return b"\xc0"
        case inspect.AnyType():
            return rng.choice(words.numbers)
        case _:
            return _compound(info, rng, words, depth)


def _compound(info: inspect.Type, rng: random.Random, words: Words, depth: int) -> Any:
    match info:
        case inspect.StructType():
            return _struct(info, rng, words, depth)
        case inspect.UnionType():
            choices = list(info.types)
            none = [choice for choice in choices if isinstance(choice, inspect.NoneType)]
            return _value(none[0] if none and depth > DEEP else rng.choice(choices), rng, words, depth)
        case inspect.VarTupleType():
            return tuple(_many(info, rng, words, depth))
        case inspect.TupleType():
            return tuple(_value(item, rng, words, depth + 1) for item in info.item_types)
        case inspect.ListType():
            return _many(info, rng, words, depth)
        case inspect.Metadata():
            return _value(info.type, rng, words, depth)
        case _:
            raise NoExample(f"no example of {info}")


def _struct(info: inspect.StructType, rng: random.Random, words: Words, depth: int) -> Any:
    """Drawn again where a struct has a rule of its own, which the types of its fields do not tell."""
    while True:
        values = [_value(field.type, rng, words, depth + 1) for field in info.fields]
        try:
            return info.cls(*values)
        except ValueError:
            continue


def _many(info: Any, rng: random.Random, words: Words, depth: int) -> list[Any]:
    return [
        _value(info.item_type, rng, words, depth + 1)
        for _ in range(_length(info.min_length, info.max_length, rng, depth))
    ]


def _bytes(info: inspect.BytesType, rng: random.Random, words: Words, depth: int) -> bytes:
    length = _length(info.min_length, info.max_length, rng, depth)
    known = words.known.get(length, ())
    return rng.choice(known) if known and rng.random() < 0.5 else rng.randbytes(length)


def _integer(info: inspect.IntType, rng: random.Random, words: Words) -> int:
    low = info.ge if info.ge is not None else (info.gt + 1 if info.gt is not None else 0)
    high = info.le if info.le is not None else (info.lt - 1 if info.lt is not None else 2**63 - 1)
    fitting = [number for number in words.numbers if low <= number <= high]
    return int(rng.choice(fitting)) if fitting else int(low)


def _length(low: int | None, high: int | None, rng: random.Random, depth: int) -> int:
    least, most = low or 0, high if high is not None else 4
    return least if depth > DEEP else rng.randint(least, max(least, min(most, least + 3)))


def _text(info: inspect.StrType, rng: random.Random, words: Words) -> str:
    fitting = [
        text
        for text in words.texts
        if (info.min_length or 0) <= len(text) <= (info.max_length if info.max_length is not None else 100)
        and (info.pattern is None or re.search(info.pattern, text))
    ]
    if not fitting:
        raise NoExample(f"no text for {info.pattern}")
    return rng.choice(fitting)
