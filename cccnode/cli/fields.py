"""Command-line parameters out of noun fields: what a module declares is what people type.

Text becomes JSON form by the field's type and then goes through the same reader as RPC parameters, so that both places
accept the same values and say the same about wrong ones.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec
from msgspec import inspect

from cccnode.cli.options import Options
from cccnode.keys import read
from cccnode.rpc.values import SAFE_INTEGER, Json, ValueFault, reader
from cccnode.types.addresses import ACCOUNT_BYTES, account_text
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id

S = TypeVar("S", bound=msgspec.Struct)


def parameters(
    kind: type[msgspec.Struct], *, positional: Sequence[str], optional: Mapping[str, object]
) -> list[click.Parameter]:
    """One click parameter a field: arguments for `positional`, options for the rest; `optional` holds defaults."""
    made: list[click.Parameter] = []
    for field in msgspec.structs.fields(kind):
        info = inspect.type_info(field.type)
        required = field.required and field.name not in optional
        name = field.name.replace("_", "-")
        if field.name in positional:
            nargs = -1 if _is_list(info) else 1
            made.append(click.Argument([field.name], required=required, nargs=nargs, metavar=_metavar(name, info)))
        else:
            made.append(
                click.Option(
                    [f"--{name}", field.name],
                    required=required,
                    multiple=_is_list(info),
                    metavar=_metavar("", info),
                    help=_default_help(optional.get(field.name, field.default)),
                )
            )
    order = {name: i for i, name in enumerate(positional)}
    return sorted(made, key=lambda parameter: order.get(str(parameter.name), len(order)))


def to_json(kind: type[msgspec.Struct], texts: Mapping[str, Any], options: Options) -> dict[str, Json]:
    """The JSON form of what was typed; absent fields stay absent.

    Raises:
        click.UsageError: a value does not fit its field.
    """
    values = {}
    for field in msgspec.structs.fields(kind):
        text = texts.get(field.name)
        if text is not None and text != ():
            values[field.name] = _value(inspect.type_info(field.type), text, options)
    return values


def to_noun(kind: type[S], texts: Mapping[str, Any], options: Options) -> S:
    """The noun behind what was typed.

    Raises:
        click.UsageError: a value is missing or does not fit its field.
    """
    try:
        noun: S = reader(kind)(to_json(kind, texts, options), "")
    except ValueFault as error:
        raise click.UsageError(f"{error.where.lstrip('.') or kind.__name__} {error.why}") from error
    return noun


def _value(info: inspect.Type, text: Any, options: Options) -> Json:
    match info:
        case inspect.Metadata(type=inner):
            return _value(inner, text, options)
        case inspect.UnionType(types=types):
            return None if text == "none" else _one_of(_other_than_none(types), text, options)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [_value(item, one, options) for one in text]
        case inspect.StructType(fields=fields):
            return _record(fields, str(text), options)
        case inspect.IntType(le=le) if le is not None and le <= SAFE_INTEGER:
            return int(text) if str(text).isascii() and str(text).isdigit() else text
        case inspect.BoolType():
            return {"true": True, "false": False}.get(str(text), text)
        case inspect.BytesType(min_length=low, max_length=high) if low == high == ACCOUNT_BYTES:
            return account_of(str(text), options)
        case inspect.DictType():
            return _json(str(text))
        case _:
            return text


def account_of(text: str, options: Options) -> str:
    """An account as typed: `ccc1...`, or the name of a key in the home.

    Raises:
        click.UsageError: it is neither.
    """
    if text.startswith("ccc1"):
        return text
    try:
        return account_text(account_id(read(options.home.account_key(text)).public_key))
    except Fault as error:
        where = options.home.account_key(text)
        raise click.UsageError(
            f"{text} is neither an account (ccc1...) nor a key here: {where}: {error.spec.en}"
        ) from error


def _record(fields: Sequence[inspect.Field], text: str, options: Options) -> list[Json]:
    """One noun inside another: its fields in order, separated by colons."""
    parts = text.split(":")
    if len(parts) > len(fields):
        raise click.UsageError(f"{text!r} has more parts than {':'.join(field.name for field in fields)}")
    return [_value(field.type, part, options) for field, part in zip(fields, parts, strict=False)]


def _one_of(types: Sequence[inspect.Type], text: Any, options: Options) -> Json:
    """A value of the one type that it may have; of several message types, JSON whose `type` names it."""
    return _value(types[0], text, options) if len(types) == 1 else _json(str(text))


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is not JSON: {error}") from error


def _is_list(info: inspect.Type) -> bool:
    return isinstance(info, (inspect.ListType, inspect.VarTupleType))


def _other_than_none(types: Sequence[inspect.Type]) -> list[inspect.Type]:
    return [info for info in types if not isinstance(info, inspect.NoneType)]


def _default_help(default: object) -> str:
    return "" if default is msgspec.NODEFAULT or default is None else f"[{default}]"


def _metavar(name: str, info: inspect.Type) -> str:
    """How the value is shown in help: its name, or what it is made of."""
    match info:
        case (
            inspect.ListType(item_type=inspect.StructType(fields=fields))
            | inspect.VarTupleType(item_type=inspect.StructType(fields=fields))
        ):
            return ":".join(field.name.upper() for field in fields) + ("..." if name else "")
        case inspect.ListType() | inspect.VarTupleType():
            return (name or "value").upper() + ("..." if name else "")
        case _:
            return (name or "value").upper()
