"""docs/en/reference.md, docs/th/errors.md, docs/openrpc.json and openapi.json out of the tables in the code.

`python -m tests.tidy.reference`, or `make docs`, writes them anew.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

import click
import msgspec

from cccnode import config
from cccnode.city import CITY
from cccnode.cli import main as cli
from cccnode.cli.describing import meanings, one_line, settings
from cccnode.rpc.documents import OPENAPI_PATH, OPENRPC_PATH, Table, openapi, openrpc
from cccnode.rpc.methods import Method, method_table
from cccnode.rpc.rest import path_of, route_table
from cccnode.rpc.streams import SOCKET_METHODS
from cccnode.types import limits
from tests.tidy.forms import cell, commands, field_forms, form, parameters
from tests.tidy.source import ROOT

PAGE = ROOT / "docs" / "en" / "reference.md"
THAI_ERRORS = ROOT / "docs" / "th" / "errors.md"
DOCUMENTS = {path: ROOT / "docs" / path[1:] for path in (OPENRPC_PATH, OPENAPI_PATH)}
"""Descriptions for programs, by the path at which a node serves its own."""

_HEAD = """# Reference

Written by `make docs` from the tables in the code; a test fails when this page differs from them.

Values in JSON: bytes are `0x` and lower-case hexadecimal; *integer text* is a decimal string such as `"1000"`;
an *account* is bech32m text, `ccc1...`. Parameters are given by name or by position.
"""


def page() -> str:
    """The whole page."""
    parts = [
        _HEAD,
        *_methods(),
        *_socket_methods(),
        *_messages(),
        *_parameters(),
        *_invariants(),
        *_commands(),
        *_settings(),
        *_ports(),
        *_limits(),
        *_errors(),
    ]
    return "\n".join(parts) + "\n"


def documents() -> dict[str, str]:
    """The text of each document, by its path."""
    table = Table(method_table(CITY))
    made = {OPENRPC_PATH: openrpc(CITY, table), OPENAPI_PATH: openapi(CITY, table)}
    return {path: json.dumps(document, indent=1, ensure_ascii=False) + "\n" for path, document in made.items()}


def _methods() -> Iterator[str]:
    table = method_table(CITY)
    routes = {route.method.name for route in route_table(table.values())}
    yield "## RPC methods\n"
    yield one_line(
        "`POST /rpc` and `GET /ws`, JSON-RPC 2.0, batches included; those with a path are read with GET as well, the "
        "parameters that are not in the path in its query. `GET /openrpc.json` and `/openapi.json` describe all of it "
        "for programs. The cost counts against the caller's bucket."
    )
    yield ""
    yield from _table(
        ("method", "parameters", "what it answers", "cost", "path"),
        (
            (f"`{name}`", field_forms(row.params), row.en, str(row.cost), _path(row) if name in routes else "")
            for name, row in sorted(table.items())
        ),
    )


def _socket_methods() -> Iterator[str]:
    yield "On `GET /ws` only:\n"
    yield from _table(
        ("method", "parameters", "what it does"),
        ((f"`{row.name}`", field_forms(row.params), row.en) for row in SOCKET_METHODS),
    )


def _path(method: Method) -> str:
    return f"`{path_of(method)}`"


def _messages() -> Iterator[str]:
    yield "## City messages\n"
    yield one_line(
        "The body of a transaction holds 1 to 16 of these; all of them take effect, or none does. `cccnode tx VERB` "
        "sends one; Python sends the nouns of `cccnode.city.MODULE`. What names a kind of proposal is carried out only "
        "when the city accepted such a proposal."
    )
    yield ""
    yield from _table(
        ("tag", "module", "message", "verb", "fields", "by proposal", "what it does", "ทำอะไร"),
        (
            (
                f"{tag >> 8}.{tag & 0xFF}",
                module.name,
                f"`{row.kind.__name__}`",
                f"`{row.verb}`",
                field_forms(row.kind),
                row.decided.replace("_", " "),
                row.en,
                row.th,
            )
            for module in CITY.modules
            for tag, row in CITY.messages.items()
            if tag >> 8 == module.number
        ),
    )


def _parameters() -> Iterator[str]:
    yield "## Parameters\n"
    yield one_line(
        "Numbers of the modules: the genesis document sets them under `parameters.MODULE`, and the city changes one "
        "with a proposal that carries `ParamSet`, within the bounds."
    )
    yield ""
    yield from _table(
        ("parameter", "value", "default", "what it means"),
        (
            (f"`{module}.{field.name}`", form(field.type), f"`{field.default}`", meanings(kind).get(field.name, ""))
            for module, kind in CITY.parameters.items()
            for field in msgspec.structs.fields(kind)
        ),
    )


def _invariants() -> Iterator[str]:
    yield "## Invariants\n"
    yield "What holds after every block; simulations check each of them on the whole state.\n"
    yield from _table(
        ("name", "what holds", "สิ่งที่เป็นจริงเสมอ"),
        ((name, row.en, row.th) for name, row in CITY.invariants.items()),
    )


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "`cccnode COMMAND --help` says more.\n"
    rows = commands(cli.cli, ("cccnode",))
    yield from _table(
        ("command", "arguments and options", "what it does"),
        ((f"`{name}`", f"`{parameters(command)}`", command.get_short_help_str(limit=200)) for name, command in rows),
    )
    yield "Global options, before the command: " + f"`{parameters(cli.cli)}`\n"


def _settings() -> Iterator[str]:
    texts = settings()
    yield "## Settings\n"
    yield one_line(
        "`config.toml` in the home; strongest first: `--set section.key=value`, environment `CCCNODE_SECTION__KEY`, "
        "file, profile, default."
    )
    yield ""
    yield from _table(
        ("key", "value", "default", "what it means"),
        (
            (f"`{section}.{field.name}`", form(field.type), f"`{_toml(field)}`", texts[f"{section}.{field.name}"])
            for section, kind in config.SECTIONS.items()
            for field in msgspec.structs.fields(kind)
        ),
    )
    yield f"Profiles: {', '.join(f'`{name}`' for name in config.PROFILES)}.\n"


def _toml(field: msgspec.structs.FieldInfo) -> str:
    match field.default:
        case bool() as value:
            return str(value).lower()
        case str() as value:
            return f'"{value}"'
        case tuple() as values:
            return str(list(values))
        case value:
            return str(value)


def _ports() -> Iterator[str]:
    yield "## Ports\n"
    yield f"Node i of a test network adds i times {config.TESTNET_PORT_STEP}.\n"
    yield from _table(("port", "default"), ((name, str(port)) for name, port in config.PORTS.items()))


def _limits() -> Iterator[str]:
    yield "## Limits\n"
    yield from _table(
        ("limit", "value", "why"),
        ((f"`{name}`", f"{getattr(limits, name):,}", meaning) for name, meaning in meanings(limits).items()),
    )


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "A name never changes its meaning. Numbers stand in receipts and in JSON-RPC errors.\n"
    yield from _table(
        ("code", "name", "what happened", "what to do", "เกิดอะไรขึ้น", "ควรทำอย่างไร", "retry"),
        (
            (str(row.code), f"`{row.name}`", row.en, row.remedy, row.th, row.remedy_th, "yes" if row.retryable else "")
            for row in CITY.errors.values()
        ),
    )


def thai_errors() -> str:
    """The page of errors in Thai."""
    head = "# ข้อผิดพลาด\n\nสร้างด้วย `make docs` จากตารางในโปรแกรม ชื่อไม่เปลี่ยนความหมาย ตัวเลขอยู่ในใบรับและในคำตอบ JSON-RPC\n"
    rows = (
        (str(row.code), f"`{row.name}`", row.th, row.remedy_th, "ได้" if row.retryable else "")
        for row in CITY.errors.values()
    )
    return "\n".join([head, *_table(("รหัส", "ชื่อ", "เกิดอะไรขึ้น", "ควรทำอย่างไร", "ส่งซ้ำ"), rows)])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell(value) for value in row) + " |"
    yield ""


if __name__ == "__main__":
    for path, written in ((PAGE, page()), (THAI_ERRORS, thai_errors())):
        path.write_text(written, encoding="utf-8")
    for path, text in documents().items():
        DOCUMENTS[path].write_text(text, encoding="utf-8")
    click.echo(f"written: {PAGE.relative_to(ROOT)}, {THAI_ERRORS.relative_to(ROOT)} and what programs read")
