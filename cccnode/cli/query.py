"""`cccnode query`: every question that a module answers, by the name it has in the RPC."""

from typing import Any

import click
import msgspec

from cccnode.city import CITY
from cccnode.cli import output
from cccnode.cli.fields import parameters, to_json, to_noun
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.ledger.registry import Registry
from cccnode.rpc.methods import OfAccount

_HISTORY = (
    "What an account signed or paid for, and what named it, newest first. "
    "ธุรกรรมที่บัญชีลงนาม จ่ายค่าธรรมเนียม หรือถูกกล่าวถึง ล่าสุดก่อน"
)


def query_group(registry: Registry) -> click.Group:
    """`query` with a subcommand for every query of every module."""
    group = click.Group("query", help="Ask the ledger.", epilog="Example: cccnode query bank_balance demo1")
    for row in registry.queries.values():
        group.add_command(_query_command(row.method, row.params, f"{row.en} {row.th}"))
    # The one question about accounts that no module answers: nodes that keep a history do.
    group.add_command(_query_command("account_transactions", OfAccount, _HISTORY))
    return group


def _query_command(method: str, kind: type[msgspec.Struct], about: str) -> click.Command:
    required = tuple(field.name for field in msgspec.structs.fields(kind) if field.required)
    optional = {field.name: field.default for field in msgspec.structs.fields(kind) if not field.required}

    @pass_options
    def ask(options: Options, /, **given: Any) -> None:
        to_noun(kind, given, options)  # says what is wrong without asking a node
        params = to_json(kind, given, options)
        answer = talk(options, lambda node: node.call(method, **params))
        if options.json:
            output.emit_json(answer)
            return
        for line in _lines(answer):
            click.echo(line)

    command = click.Command(
        method,
        callback=also_here(ask),
        help=about,
        epilog=f"Example: cccnode query {method} {' '.join(name.upper() for name in required)}",
        params=parameters(kind, positional=required, optional=optional),
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
