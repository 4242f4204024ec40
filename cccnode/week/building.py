"""From a row of the script to a message: names become accounts, times become milliseconds.

Where a field is an account, a name stands for it.  Elsewhere a text says what it is: `key:NAME` a public key,
`text:...` the SHA-256 of these words, `D2 09:20` an instant.  A field of encoded messages lists rows of message and
values.
"""

from hashlib import sha256
from typing import Any, Final

from msgspec import inspect

from cccnode.codec import Noun, encode
from cccnode.ledger.registry import Registry
from cccnode.rpc.values import hex_text, reader
from cccnode.types.addresses import ACCOUNT_BYTES, account_text
from cccnode.week.people import account_of, key_of
from cccnode.week.script import instant

Json = Any
_KEY: Final = "key:"
_TEXT: Final = "text:"


def kinds(registry: Registry) -> dict[str, type[Noun]]:
    """Every message type of the city by its name."""
    return {kind.__name__: kind for kind in registry.rows}


def build(registry: Registry, name: str, values: dict[str, Json]) -> Noun:
    """The message of that name.

    Raises:
        KeyError: the city has no such message.
        ValueFault: a value does not fit.
    """
    kind = kinds(registry)[name]
    noun: Noun = reader(kind)(_record(registry, inspect.type_info(kind), values), name)
    return noun


def _record(registry: Registry, info: inspect.Type, values: Json) -> Json:
    """The JSON form of a noun's fields; what is no field stays, so that the reader can say so."""
    assert isinstance(info, inspect.StructType)
    fields = {field.name: field.type for field in info.fields}
    return {name: _value(registry, fields[name], value) if name in fields else value for name, value in values.items()}


def _value(registry: Registry, info: inspect.Type, value: Json) -> Json:
    match info, value:
        case inspect.Metadata(type=inner), _:
            return _value(registry, inner, value)
        case _, None:
            return None
        case inspect.UnionType(types=types), _:
            return _choice(registry, types, value)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item), list():
            return [_value(registry, item, one) for one in value]
        case inspect.StructType(), dict():
            return _record(registry, info, value)
        case inspect.BytesType(), dict():
            return hex_text(encode(build(registry, value["message"], value["values"])))
        case inspect.BytesType(), str():
            return _bytes(info, value)
        case inspect.IntType(), str() | int():
            return _whole(info, instant(value) if isinstance(value, str) else value)
        case _:
            return value


def _bytes(info: inspect.BytesType, value: str) -> Json:
    """An account by its name, a key by its owner's name, or the hash of words."""
    if info.min_length == info.max_length == ACCOUNT_BYTES:
        return account_text(account_of(value))
    if value.startswith(_KEY):
        return hex_text(key_of(value.removeprefix(_KEY)).public_key)
    return hex_text(sha256(value.removeprefix(_TEXT).encode()).digest()) if value.startswith(_TEXT) else value


def _whole(info: inspect.IntType, value: int) -> Json:
    """An integer as the reader takes it: small ones as numbers, others as text."""
    return value if info.le is not None and info.le < 2**53 else str(value)


def _choice(registry: Registry, types: tuple[inspect.Type, ...], value: Json) -> Json:
    """The value of one of several types: by its `type` where these are nouns, else of the only one beside nil."""
    others = [info for info in types if not isinstance(info, inspect.NoneType)]
    if isinstance(value, dict) and "type" in value:
        for info in others:
            if isinstance(info, inspect.StructType) and info.cls.__name__ == value["type"]:
                rest = {name: one for name, one in value.items() if name != "type"}
                return {"type": value["type"], **_record(registry, info, rest)}
    return _value(registry, others[0], value) if len(others) == 1 else value
