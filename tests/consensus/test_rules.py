"""Every numbered rule stands in one place of the code, and somebody tests it.

The README of consensus numbers the rules.  The one arm that carries a rule out begins its docstring with the number,
as in `R4: a quorum notarized a block`; two rules may share an arm.  Helpers say `Part of R4: ...`.  A test or a story
names the rules that it shows, in its docstring or in its first comment.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.runner import STORIES
from tests.tidy.source import ROOT, files, text, tree

LINES_MAX = 600
MARK = re.compile(r"(R\d+(?:, R\d+)*): ")
NAMED = re.compile(r"\bR\d+\b")
TESTS = ("tests/consensus/", "tests/scenarios/", "tests/simulation/")


def rules() -> list[str]:
    """The numbers that README.md gives, in its order."""
    return re.findall(r"^- \*\*(R\d+)\b", text(Path("consensus/README.md")), re.MULTILINE)


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Functions and classes of a file with what they say of themselves."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""


def arms() -> dict[str, list[str]]:
    """By rule: the places whose docstring begins with its number."""
    found: dict[str, list[str]] = {rule: [] for rule in rules()}
    for path in (path for path in files(".py") if path.parts[0] == "consensus"):
        for name, said in docstrings(path):
            mark = MARK.match(said)
            for rule in mark.group(1).split(", ") if mark else ():
                found.setdefault(rule, []).append(f"{path.name}:{name}")
    return found


def shown() -> Counter[str]:
    """How many tests and stories name each rule."""
    said = [
        docstring
        for path in files(".py")
        if path.as_posix().startswith(TESTS)
        for name, docstring in docstrings(path)
        if name.startswith("test_")
    ]
    for story in sorted(STORIES.glob("*.txt")):
        lines = story.read_text(encoding="utf-8").splitlines()
        said.append("\n".join(line for line in lines if line.startswith("#")))
    return Counter(rule for words in said for rule in set(NAMED.findall(words)))


def test_rules_are_numbered_without_a_gap() -> None:
    """From R0 on, each once, in order."""
    assert [f"R{number}" for number in range(len(rules()))] == rules()
    assert len(rules()) >= 12


@pytest.mark.parametrize("rule", rules())
def test_every_rule_has_one_arm(rule: str) -> None:
    """Exactly one function or class carries a rule out."""
    assert len(arms()[rule]) == 1, arms()[rule]


def test_no_arm_names_a_rule_that_is_not_there() -> None:
    """The code knows no number that the README lacks."""
    named = {number for path in files(".py") if path.parts[0] == "consensus" for number in NAMED.findall(text(path))}

    assert set(arms()) == set(rules())
    assert named <= set(rules())


@pytest.mark.parametrize("rule", rules())
def test_every_rule_is_shown(rule: str) -> None:
    """At least one test or story says that it shows the rule."""
    assert shown()[rule]


def test_no_file_is_long() -> None:
    """A reviewer reads each file of the core in one sitting."""
    sizes = {path.name: len(text(path).splitlines()) for path in files(".py") if path.parts[0] == "consensus"}

    assert {} == {name: lines for name, lines in sizes.items() if lines > LINES_MAX}
    assert (ROOT / "consensus/README.md").is_file()
