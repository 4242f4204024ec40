"""Every city module has its place, its files and its words."""

import ast
from pathlib import Path

import msgspec
import pytest

from cccnode.city import CITY
from cccnode.ledger.module import Module
from tests.tidy.source import ROOT, files, nothing, tree

STANDARD_FILES = ("__init__.py", "README.md", "state.py", "queries.py")
FILES_WITH_MESSAGES = ("messages.py", "rules.py")
"""What a module has as soon as people can send it something."""


def _folders() -> set[str]:
    return {path.parent.name for path in (ROOT / "cccnode" / "city").glob("*/__init__.py")}


def test_every_folder_is_listed() -> None:
    """The folders of cccnode/city and the modules of the city's tuple are the same."""
    assert _folders() == {module.name for module in CITY.modules}


@pytest.mark.parametrize("module", CITY.modules, ids=lambda module: module.name)
def test_standard_files(module: Module) -> None:
    """Each module has state, queries, a README, and messages with their rules: one is read like the other."""
    folder = ROOT / "cccnode" / "city" / module.name
    wanted = STANDARD_FILES + (FILES_WITH_MESSAGES if module.messages else ())

    nothing([name for name in wanted if not (folder / name).is_file()])


@pytest.mark.parametrize("module", CITY.modules, ids=lambda module: module.name)
def test_tests_exist(module: Module) -> None:
    """Each module is tested in the folder of its name."""
    assert [*(ROOT / "tests" / "city" / module.name).glob("test_*.py")]


@pytest.mark.parametrize("module", CITY.modules, ids=lambda module: module.name)
def test_every_message_is_registered(module: Module) -> None:
    """A noun with a message's tag in the module's folder stands in the module's table: none is forgotten.

    Tags below 256 carry no module number: they tell parts of a message apart.
    """
    folder = Path("cccnode/city") / module.name
    tagged = {
        node.name
        for path in files(".py")
        if path.parent == folder
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and any(_is_message_tag(keyword) for keyword in node.keywords)
    }

    assert tagged == {message.kind.__name__ for message in module.messages}


def _is_message_tag(keyword: ast.keyword) -> bool:
    part = (
        isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, int) and keyword.value.value < 256
    )
    return keyword.arg == "tag" and not part


@pytest.mark.parametrize("module", CITY.modules, ids=lambda module: module.name)
def test_messages_are_canonical_nouns(module: Module) -> None:
    """Every message is a frozen array, so it has one encoding."""
    for message in module.messages:
        shape = message.kind.__struct_config__

        assert (True, True) == (shape.frozen, shape.array_like)
        assert [] == [field.name for field in msgspec.structs.fields(message.kind) if not field.required]
