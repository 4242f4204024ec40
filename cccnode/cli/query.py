"""`cccnode query`: every question that a module answers, by the name it has in the RPC."""

from typing import Any

import click
import msgspec

from cccnode.city import CITY
from cccnode.cli import output
from cccnode.cli.fields import parameters, to_json, to_noun
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.ledger.module import Query
from cccnode.ledger.registry import Registry


def query_group(registry: Registry) -> click.Group:
    """`query` with a subcommand for every query of every module."""
    group = click.Group("query", help="Ask the ledger.", epilog="Example: cccnode query bank_balance demo1")
    for row in registry.queries.values():
        group.add_command(_query_command(row))
    return group


def _query_command(row: Query) -> click.Command:
    required = tuple(field.name for field in msgspec.structs.fields(row.params) if field.required)

    @pass_options
    def ask(options: Options, /, **given: Any) -> None:
        to_noun(row.params, given, options)  # says what is wrong without asking a node
        params = to_json(row.params, given, options)
        answer = talk(options, lambda node: node.call(row.method, **params))
        if options.json:
            output.emit_json(answer)
            return
        for line in _lines(answer):
            click.echo(line)

    command = click.Command(
        row.method,
        callback=also_here(ask),
        help=f"{row.en} {row.th}",
        epilog=f"Example: cccnode query {row.method} {' '.join(name.upper() for name in required)}",
        params=parameters(row.params, positional=required, optional={}),
    )
    command.params += getattr(command.callback, "__click_params__", [])[::-1]
    return command


def _lines(answer: Any) -> list[str]:
    """An answer for people: a table of names and values, or of rows."""
    match answer:
        case dict():
            return output.table([(name, _cell(value)) for name, value in answer.items()], indent="")
        case [dict(), *_]:
            head = list(answer[0])
            return output.table([head, *([_cell(row[name]) for name in head] for row in answer)], indent="")
        case list():
            return [_cell(item) for item in answer]
        case _:
            return [_cell(answer)]


def _cell(value: Any) -> str:
    match value:
        case dict():
            return " ".join(f"{name}={_cell(item)}" for name, item in value.items())
        case list():
            return ", ".join(_cell(item) for item in value)
        case None:
            return "-"
        case _:
            return str(value)


query = query_group(CITY)
