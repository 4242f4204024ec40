"""How a type, a field's meaning and a command read on the reference page."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec
from msgspec import inspect

from cccnode.cli.describing import one_line
from cccnode.rpc.values import SAFE_INTEGER
from cccnode.types.addresses import ACCOUNT_BYTES


def form(kind: Any) -> str:
    """A type in the words of the RPC: `account`, `32 bytes`, `integer text`, `list of ...`."""
    return _form(inspect.type_info(kind))


def _form(info: inspect.Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return _integer(low, high)
        case inspect.BytesType(min_length=low, max_length=high):
            return "account" if low == high == ACCOUNT_BYTES else _sized("bytes", low, high)
        case inspect.StrType(min_length=low, max_length=high):
            return _sized("text", low, high)
        case inspect.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"list of ({_form(item)})" if " " in _form(item) else f"list of {_form(item)}"
        case inspect.TupleType(item_types=items):
            return "[" + ", ".join(_form(item) for item in items) + "]"
        case inspect.StructType(cls=cls):
            return cls.__name__
        case inspect.EnumType(cls=cls):
            return " or ".join(member.name.lower() for member in cls)
        case inspect.UnionType(types=types):
            kinds = [_form(one) for one in types if not isinstance(one, inspect.NoneType)]
            return " or ".join(kinds) + (", optional" if len(kinds) < len(types) else "")
        case inspect.Metadata(type=inner):
            return _form(inner)
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _integer(low: int | None, high: int | None) -> str:
    if high is not None and high <= SAFE_INTEGER:
        return f"number {low or 0}..{high}"
    return "integer text" + (f" from {low}" if low else "")


def _sized(what: str, low: int | None, high: int | None) -> str:
    if low == high and low is not None:
        return f"{low} {what}"
    return what + (f" up to {high}" if high is not None else "")


def field_forms(kind: Any) -> str:
    """The fields of a struct: `height: integer text, optional; ...`."""
    fields = msgspec.structs.fields(kind)
    return "; ".join(f"`{field.name}`: {form(field.type)}{_default(field)}" for field in fields) or "none"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required or field.default in (None, msgspec.NODEFAULT):
        return ""
    return f", default {field.default}"


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Every command below `command` that does something, with its whole name, sorted."""
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in sorted(command.list_commands(context)):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from commands(below, (*path, name))
    else:
        yield " ".join(path), command


def parameters(command: click.Command) -> str:
    """Arguments and options of a command: `TO AMOUNT --fee-max N`."""
    words = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            words.append(parameter.make_metavar(click.Context(command)))
        elif isinstance(parameter, click.Option) and not parameter.hidden:
            words.append("/".join((*parameter.opts, *parameter.secondary_opts)))
    return " ".join(words)


def cell(text: object) -> str:
    """Text that stays inside one cell of a Markdown table."""
    return one_line(str(text)).replace("|", "\\|")
