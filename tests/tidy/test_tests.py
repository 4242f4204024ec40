"""The tests say what they show, and never wait for a clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.source import at, files, nothing, tree

MAY_WAIT: dict[str, str] = {"tests/end_to_end/waiting.py": "asks processes again until they are as the test expects"}
"""Test files that poll real processes with asyncio.sleep, each with the reason."""


def _test_files() -> Iterator[Path]:
    return (path for path in files(".py") if path.parts[0] == "tests")


def test_every_test_states_a_behaviour() -> None:
    """Every test function has a docstring: the behaviour in one line."""
    found = [
        at(path, node, f"{node.name} has no docstring")
        for path in _test_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    nothing(found)


def test_no_sleep() -> None:
    """No test blocks on time.sleep; asyncio.sleep of more than nothing only where real processes are polled."""
    found = [
        at(path, node, what)
        for path in _test_files()
        for node in ast.walk(tree(path))
        if (what := _sleeps(node)) and (what == "time.sleep" or path.as_posix() not in MAY_WAIT)
    ]

    nothing(found)


def _sleeps(node: ast.AST) -> str:
    match node:
        case ast.ImportFrom(module="time", names=names) if any(alias.name == "sleep" for alias in names):
            return "time.sleep"
        case ast.Call(func=ast.Attribute(attr="sleep", value=ast.Name(id="time"))):
            return "time.sleep"
        case ast.Call(func=ast.Attribute(attr="sleep"), args=[ast.Constant(value=0)]):
            return ""
        case ast.Call(func=ast.Attribute(attr="sleep", value=ast.Name(id="asyncio"))):
            return "asyncio.sleep"
        case _:
            return ""
