"""What must not stand in a committed file: promises, apologies, and somebody's machine."""

import re

import pytest

from tests.tidy.source import files, nothing, text

_SUFFIXES = (".py", ".md", ".toml", ".txt", ".c", ".h", ".sh", ".json", ".service", ".yml", ".yaml", "Makefile", "run")

# The patterns are put together so that this file does not match itself.
PROMISES = re.compile(
    r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "WI" + "P", "(?i:ha" + "ck(s|y|ed)?)"]) + r")\b"
)
MACHINES = re.compile(r"(?<![\w.$}/-])/(root|work|home|Users)" + r"/")
OUTSIDE = re.compile(r"\.\./" + r"shared/(?!vectors)|\bissues " + r"show\b")
VECTORS = re.compile(r"\bshared" + r"/vectors")


def _found(pattern: re.Pattern[str], *, outside: str = "") -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path in files()
        if path.name.endswith(_SUFFIXES) and not (outside and path.parts[0] == outside)
        for number, line in enumerate(text(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_promises() -> None:
    """Nothing is left for later inside a file: it is done, or it is an issue."""
    nothing(_found(PROMISES))


def test_no_machine() -> None:
    """No file names a path of the machine it was written on."""
    nothing(_found(MACHINES))


def test_nothing_outside() -> None:
    """Nothing is read from outside the repository, except third-party vectors by tests."""
    nothing(_found(OUTSIDE))
    nothing(_found(VECTORS, outside="tests"))


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (PROMISES, "# TO" + "DO: later"),
        (PROMISES, "an ugly Ha" + "ck"),
        (MACHINES, 'open("/wo' + 'rk/main/x")'),
        (OUTSIDE, "see ../sha" + "red/design"),
    ],
)
def test_invalid_probe(pattern: re.Pattern[str], line: str) -> None:
    """Each kind is found."""
    assert pattern.search(line)
