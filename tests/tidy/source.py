"""The files of this repository, read and parsed once, and where a rule was broken."""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("cccnode", "consensus", "storage", "p2p", "genesis")
"""The five import packages of the distribution."""

PURE = ("cccnode/types/", "cccnode/ledger/", "cccnode/city/", "cccnode/mempool.py", "cccnode/doctor/", "consensus/")
"""Where every node must compute the same: rules of determinism are checked here."""

_HIDDEN_AND_KEPT = {".ci", ".gitignore"}
_LEFT_BEHIND = ("build", "dist", "__pycache__")


@cache
def files(suffix: str = "") -> tuple[Path, ...]:
    """Every file that is or may be committed, relative to the root, sorted; `suffix` as in ".py"."""
    return tuple(path for path in _listed() if path.name.endswith(suffix))


@cache
def _listed() -> tuple[Path, ...]:
    """What git tracks or would track; without git, what lies in the tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        found = {Path(name) for name in listing.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()}
    return tuple(
        sorted(path for path in found if not any(map(_is_product_of_work, path.parts)) and (ROOT / path).is_file())
    )


def _is_product_of_work(part: str) -> bool:
    """Whether a folder or file of this name comes from building, testing or running."""
    hidden = part.startswith(".") and part not in _HIDDEN_AND_KEPT
    return hidden or part in _LEFT_BEHIND or part.endswith(".egg-info")


@cache
def text(path: Path) -> str:
    """The content of one text file."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """The parsed content of one Python file."""
    return ast.parse(text(path), filename=str(path))


def product_files() -> Iterator[Path]:
    """The Python files of the five packages."""
    return (path for path in files(".py") if path.parts[0] in PACKAGES)


def pure_files() -> Iterator[Path]:
    """The Python files in which every node must compute the same."""
    return (path for path in files(".py") if path.as_posix().startswith(PURE))


def nothing(found: Iterable[object]) -> None:
    """Assert that a rule is broken nowhere; a failure lists every place, one a line."""
    places = [str(place) for place in found]
    assert not places, "\n".join([f"{len(places)} in all:", *sorted(places)])


def at(path: Path, node: ast.AST, what: str) -> str:
    """One finding in the form that editors jump to."""
    return f"{path}:{getattr(node, 'lineno', 1)}: {what}"
