"""What every message must have, derived from its module's declaration: bytes, verb, page, sentence, client."""

import importlib

import msgpack
import pytest
from click.testing import CliRunner

from cccnode.city import CITY
from cccnode.cli.tx import tx_group
from cccnode.codec import decode, encode
from cccnode.ledger.module import Message
from cccnode.rpc.values import reader, writer
from tests.city.golden import golden
from tests.tidy.reference import PAGE

EVERY = pytest.mark.parametrize("row", CITY.messages.values(), ids=lambda row: row.kind.__name__)
GOLDEN = golden()
REFERENCE = PAGE.read_text()


def test_no_golden_bytes_are_left_over() -> None:
    """The file holds the messages that there are, in the order of their tags."""
    assert [row.kind.__name__ for _, row in sorted(CITY.messages.items())] == [*GOLDEN]


@EVERY
def test_bytes_are_frozen(row: Message) -> None:
    """Its JSON form encodes to the bytes of the file, they decode to it, and msgpack reads the same."""
    known = GOLDEN[row.kind.__name__]
    raw = bytes.fromhex(known["bytes"])
    noun = reader(row.kind)(known["json"])

    assert raw == encode(noun)
    assert noun == decode(row.kind, raw) == CITY.decode_message(raw)
    assert known["json"] == writer(row.kind)(noun)
    assert row.kind.__struct_config__.tag == msgpack.unpackb(raw)[0]  # noqa: TID251 - the other library's view


@EVERY
def test_verb_page_and_sentence(row: Message) -> None:
    """`cccnode tx VERB --help` says the sentence in both languages, and the reference page has a line for it."""
    shown = CliRunner().invoke(tx_group(CITY), [row.verb, "--help"], terminal_width=400)

    assert 0 == shown.exit_code
    assert f"| `{row.kind.__name__}` | `{row.verb}` |" in REFERENCE
    for sentence in (row.en, row.th):
        assert sentence in " ".join(shown.output.split())
        assert sentence in REFERENCE


@EVERY
def test_programs_find_it(row: Message) -> None:
    """The module's package offers the noun that a program signs and sends."""
    package = importlib.import_module(".".join(row.kind.__module__.split(".")[:3]))

    assert getattr(package, row.kind.__name__) is row.kind
