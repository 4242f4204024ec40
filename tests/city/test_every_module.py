"""What every module must do, by deriving it from the tuple."""

import pytest
from msgspec import inspect

from cccnode.city import MODULES
from cccnode.ledger.module import Module
from tests.city.counter import MODULE as COUNTER

EVERY = pytest.mark.parametrize("module", [*MODULES, COUNTER], ids=lambda module: module.name)


@EVERY
def test_speaks_both_languages(module: Module) -> None:
    """Messages, queries and invariants say what they do in English and Thai."""
    rows = [*module.messages, *module.queries, *module.invariants]

    assert [] == [row for row in rows if not (row.en and any("\u0e00" <= letter <= "\u0e7f" for letter in row.th))]


@EVERY
def test_messages_are_nouns_with_named_fields(module: Module) -> None:
    """Messages are frozen arrays that begin with their tag, and nothing else in the module has it."""
    for message in module.messages:
        info = inspect.type_info(message.kind)
        assert isinstance(info, inspect.StructType)
        assert info.array_like
        assert info.forbid_unknown_fields
        assert module.number == message.kind.__struct_config__.tag >> 8  # type: ignore[operator]


@EVERY
def test_queries_name_their_parameters(module: Module) -> None:
    """Query parameters are nouns, answers have a type, and methods read area_verb."""
    for query in module.queries:
        info = inspect.type_info(query.params)
        assert isinstance(info, inspect.StructType)
        inspect.type_info(query.result)
        assert "_" in query.method


@EVERY
def test_every_message_has_a_verb(module: Module) -> None:
    """Whoever uses the CLI can send it; the verb's places and defaults are fields of the message."""
    for message in module.messages:
        fields = message.kind.__struct_fields__
        assert message.verb
        assert set(message.positional) <= set(fields)
        assert {name for name, _ in message.defaults} <= set(fields)


@EVERY
def test_errors_are_its_own(module: Module) -> None:
    """Error codes are number * 1000 + n, and names begin with the module's."""
    assert [] == [
        row.name
        for row in module.errors
        if row.code // 1_000 != module.number or not row.name.startswith(f"{module.name}/")
    ]
