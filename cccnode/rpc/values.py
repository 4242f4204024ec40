"""How values look in JSON, stated once, for requests and answers alike; derived from the types of the nouns.

- An integer that may pass 2**53 (amounts, heights, views, epochs, times) is a decimal string.  Requests may also give
  it as a JSON number below 2**53.  Smaller integers (indices, counts, codes) are JSON numbers.
- Bytes are lower-case hexadecimal with `0x`.  Accounts (20 bytes) are bech32m, `ccc1...`.
- An enumeration is its name in lower case; nothing is `null`; a noun is an object by field names; one of several
  message types carries its type name as `"type"`.

`writer(kind)` and `reader(kind)` compile a msgspec type into the two functions; they are cached and cheap to call.
"""

from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Protocol

import msgspec
from msgspec import inspect

from cccnode.types.addresses import ACCOUNT_BYTES, AddressError, account_text, parse_account

Json = Any
"""None, bool, int, float, str, list or dict, as JSON gives them."""
Write = Callable[[Any], Json]
Read = Callable[[Json, str], Any]

SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""
_DIGITS_MAX: Final = 20


class Checked(Protocol):
    """Turns JSON into a checked value; `where` begins the path that an error names."""

    def __call__(self, value: Json, where: str = "params") -> Any:
        """The value.  Raises `ValueFault`."""


class ValueFault(ValueError):
    """A JSON value that does not fit: `where` is a path such as `params.height`."""

    def __init__(self, where: str, why: str) -> None:
        """Say where and why."""
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


def hex_text(data: bytes) -> str:
    """`0x` and lower-case hexadecimal."""
    return "0x" + data.hex()


def decimal_text(value: int) -> str:
    """A decimal string."""
    return str(value)


def plain(value: object) -> Json:
    """JSON of a value without a declared type (event fields, values of errors); integers are decimal strings."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return str(value)
        case bytes():
            return account_text(value) if len(value) == ACCOUNT_BYTES else hex_text(value)
        case msgspec.Struct():
            return writer(type(value))(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Sequence() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)


@cache
def writer(kind: Any) -> Write:
    """The function that turns a value of `kind` into JSON."""
    return _writer(inspect.type_info(kind))


@cache
def reader(kind: Any) -> "Checked":
    """The function that turns JSON into a value of `kind`, checked against all its constraints.

    Raises (when called):
        ValueFault: the JSON does not fit.
    """
    read = _reader(inspect.type_info(kind))

    def checked(value: Json, where: str = "params") -> Any:
        shaped = read(value, where)
        try:
            return msgspec.convert(shaped, kind)
        except msgspec.ValidationError as error:
            raise ValueFault(where, str(error)) from error

    return checked


# -- writing ---------------------------------------------------------------------------------------------------------


def _writer(info: inspect.Type) -> Write:
    match info:
        case inspect.IntType():
            return _same if _is_small(info) else decimal_text
        case inspect.BytesType():
            return account_text if _is_account(info) else hex_text
        case inspect.StrType() | inspect.BoolType() | inspect.NoneType():
            return _same
        case inspect.EnumType():
            return _enum_name
        case inspect.UnionType(types=types):
            return _union_writer(types)
        case inspect.Metadata(type=inner):
            return _writer(inner)
        case _:
            return _compound_writer(info)


def _compound_writer(info: inspect.Type) -> Write:
    match info:
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return _sequence_writer(_writer(item))
        case inspect.TupleType(item_types=items):
            return _tuple_writer([_writer(item) for item in items])
        case inspect.DictType(key_type=key, value_type=item):
            return _mapping_writer(_writer(key), _writer(item))
        case inspect.StructType() | inspect.DataclassType():
            return _record_writer(info)
        case _:
            return plain


def _same(value: Any) -> Json:
    return value


def _enum_name(value: Any) -> Json:
    return str(value.name).lower()


def _sequence_writer(write: Write) -> Write:
    return lambda values: [write(value) for value in values]


def _tuple_writer(writes: Sequence[Write]) -> Write:
    return lambda values: [write(value) for write, value in zip(writes, values, strict=True)]


def _mapping_writer(write_key: Write, write: Write) -> Write:
    return lambda values: {str(write_key(key)): write(value) for key, value in values.items()}


def _record_writer(info: inspect.StructType | inspect.DataclassType) -> Write:
    fields = [(field.name, _writer(field.type)) for field in info.fields]
    return lambda value: {name: write(getattr(value, name)) for name, write in fields}


def _union_writer(types: Sequence[inspect.Type]) -> Write:
    """One of several: nouns by their class with a `type` name, None as null, the rest by the value itself."""
    records = {info.cls: _record_writer(info) for info in types if isinstance(info, inspect.StructType)}
    if not records:
        scalars = [info for info in types if not isinstance(info, inspect.NoneType)]
        if len(scalars) == 1:
            write = _writer(scalars[0])
            return lambda value: None if value is None else write(value)
        return plain
    tagged = len(records) > 1

    def write_one(value: Any) -> Json:
        if value is None:
            return None
        record = records[type(value)](value)
        return {"type": type(value).__name__, **record} if tagged else record

    return write_one


# -- reading ---------------------------------------------------------------------------------------------------------


def _reader(info: inspect.Type) -> Read:
    match info:
        case inspect.IntType():
            return _read_small if _is_small(info) else _read_integer
        case inspect.BytesType():
            return _read_account if _is_account(info) else _read_hex
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return _sequence_reader(_reader(item), info.max_length)
        case inspect.StructType():
            return _record_reader(info)
        case inspect.UnionType(types=types) if any(isinstance(info, inspect.NoneType) for info in types):
            others = [info for info in types if not isinstance(info, inspect.NoneType)]
            read = _reader(others[0]) if len(others) == 1 else _reader(inspect.UnionType(tuple(others)))
            return lambda value, where: None if value is None else read(value, where)
        case inspect.UnionType(types=types) if all(isinstance(info, inspect.StructType) for info in types):
            return _choice_reader([info for info in types if isinstance(info, inspect.StructType)])
        case inspect.EnumType(cls=cls):
            return _enum_reader({str(member.name).lower(): member.value for member in cls})
        case inspect.Metadata(type=inner):
            return _reader(inner)
        case _:
            return lambda value, where: value


def _read_small(value: Json, where: str) -> int:
    if type(value) is not int:
        raise ValueFault(where, "must be a whole JSON number")
    return value


def _read_integer(value: Json, where: str) -> int:
    if type(value) is int and 0 <= value <= SAFE_INTEGER:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX:
        number = int(value)
        if str(number) == value:
            return number
    raise ValueFault(where, 'must be a decimal string such as "1000" (no sign, no leading zero)')


def _read_hex(value: Json, where: str) -> bytes:
    if isinstance(value, str) and value[:2] == "0x":
        digits = value[2:]
        try:
            data = unhexlify(digits)
        except ValueError:
            data = b""
        if data.hex() == digits:
            return data
    raise ValueFault(where, 'must be "0x" and an even number of lower-case hexadecimal digits')


def _read_account(value: Json, where: str) -> bytes:
    if not isinstance(value, str):
        raise ValueFault(where, 'must be an account such as "ccc1..."')
    try:
        return parse_account(value)
    except AddressError as error:
        raise ValueFault(where, f"is not an account: {error}") from error


def _sequence_reader(read: Read, length_max: int | None) -> Read:
    def read_all(value: Json, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise ValueFault(where, "must be an array")
        if length_max is not None and len(value) > length_max:
            raise ValueFault(where, f"has {len(value)} items; at most {length_max} are allowed")
        return [read(item, where) for item in value]

    return read_all


def _record_reader(info: inspect.StructType) -> Read:
    """Accepts an object by names or an array by position; gives what `msgspec.convert` takes for this struct."""
    fields = [(field.name, _reader(field.type), field.required) for field in info.fields]
    names = [name for name, _, _ in fields]

    def read_record(value: Json, where: str) -> Any:
        named = _by_name(value, names, where)
        shaped = {}
        for name, read, required in fields:
            if name in named:
                shaped[name] = read(named[name], f"{where}.{name}")
            elif required:
                raise ValueFault(f"{where}.{name}", "is missing")
        if not info.array_like:
            return shaped
        tag = [] if info.tag is None else [info.tag]
        return [*tag, *_in_order(shaped, names, where)]

    return read_record


def _choice_reader(types: Sequence[inspect.StructType]) -> Read:
    """One of several message types: an object whose `type` names it, its fields beside."""
    readers = {info.cls.__name__: _record_reader(info) for info in types}

    def read_one(value: Json, where: str) -> Any:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in readers:
            raise ValueFault(f"{where}.type", f"must be one of {', '.join(readers)}")
        return readers[kind]({name: item for name, item in value.items() if name != "type"}, where)

    return read_one


def _enum_reader(members: Mapping[str, Any]) -> Read:
    """A member by its name in lower case."""

    def read_member(value: Json, where: str) -> Any:
        if not isinstance(value, str) or value not in members:
            raise ValueFault(where, f"must be one of {', '.join(members)}")
        return members[value]

    return read_member


def _in_order(shaped: Mapping[str, Json], names: Sequence[str], where: str) -> list[Json]:
    """The fields of an array-like struct; trailing ones may be absent, a gap may not."""
    for name in names[: len(shaped)]:
        if name not in shaped:
            raise ValueFault(f"{where}.{name}", "is missing")
    return [shaped[name] for name in names[: len(shaped)]]


def _by_name(value: Json, names: Sequence[str], where: str) -> Mapping[str, Json]:
    if isinstance(value, list):
        if len(value) > len(names):
            raise ValueFault(where, f"has {len(value)} positional values; at most {len(names)} are allowed")
        return dict(zip(names, value, strict=False))
    if not isinstance(value, dict):
        raise ValueFault(where, "must be an object or an array")
    for name in value:
        if name not in names:
            close = get_close_matches(name[:64], names, n=1)
            raise ValueFault(f"{where}.{name[:64]}", f"is unknown; did you mean {close[0]}?" if close else "is unknown")
    return value


def _is_small(info: inspect.IntType) -> bool:
    return info.le is not None and info.le <= SAFE_INTEGER


def _is_account(info: inspect.BytesType) -> bool:
    return info.min_length == info.max_length == ACCOUNT_BYTES
