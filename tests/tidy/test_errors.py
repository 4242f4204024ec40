"""Errors are named, in two languages, and never swallowed."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from cccnode.city import CITY
from cccnode.types.errors import CORE_ERRORS, ErrorSpec
from tests.tidy.source import at, files, nothing, product_files, text, tree

BROAD_EXCEPTS = {
    "consensus/replay.py": "a foreign capsule may make an engine raise anything, and that is named",
    "cccnode/driver/runtime.py": "what escapes a callback stops the node instead of vanishing in the loop",
    "cccnode/rpc/dispatch.py": "a bug in one handler is logged and answered as rpc/INTERNAL",
}
"""Files that may catch every exception, each with the reason."""

UNTESTED: dict[str, str] = {}
"""Rows that no test names, each with the reason why none can."""

_TABLE = "cccnode/types/errors.py"
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_NAME = re.compile(r"[a-z]+/[A-Z][A-Z0-9_]*")


def _rows() -> list[ErrorSpec]:
    return [*CORE_ERRORS, *chain.from_iterable(module.errors for module in CITY.modules)]


def test_codes_and_names_are_unique() -> None:
    """No two rows share a code or a name: receipts carry the one, people the other."""
    codes, names = Counter(row.code for row in _rows()), Counter(row.name for row in _rows())

    nothing([code for code, count in codes.items() if count > 1])
    nothing([name for name, count in names.items() if count > 1])


def test_names_have_one_form() -> None:
    """A name is area/REASON."""
    nothing([row.name for row in _rows() if not _NAME.fullmatch(row.name)])


def test_module_codes_lie_in_their_range() -> None:
    """A city module's codes are its number times 1000 and up, so that modules never collide."""
    nothing([row.name for module in CITY.modules for row in module.errors if row.code // 1000 != module.number])


def test_every_row_speaks_both_languages() -> None:
    """Text and remedy stand in English and in Thai."""
    silent = [row.name for row in _rows() if not (row.en and row.remedy)]
    foreign = [row.name for row in _rows() if not (_THAI.search(row.th) and _THAI.search(row.remedy_th))]

    nothing(silent)
    nothing(foreign)


def test_every_error_is_raised_and_tested() -> None:
    """Each row is used by the product, and named by at least one test (by constant or by name)."""
    used = "\n".join(text(path) for path in product_files() if path.as_posix() != _TABLE)
    tested = "\n".join(text(path) for path in files(".py") if path.parts[0] == "tests" and "tidy" not in path.parts)
    rows = {constant: name for path in product_files() for constant, name in _constants(tree(path))}

    unused = [name for constant, name in rows.items() if not _mentions(used, constant, name)]
    untested = [name for constant, name in rows.items() if not _mentions(tested, constant, name)]

    nothing(unused)
    nothing([name for name in untested if name not in UNTESTED])


def test_broad_excepts_are_listed() -> None:
    """Catching every exception is for the few places where a task or a request ends, each listed with its reason."""
    found = {
        path.as_posix(): at(path, node, "broad except")
        for path in product_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    }

    nothing([where for path, where in found.items() if path not in BROAD_EXCEPTS])
    nothing(set(BROAD_EXCEPTS) - set(found))


def _constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Constant and name of each row that a file defines: `X = ErrorSpec(1, "area/X", ...)`."""
    for node in module.body:
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=constant), value=ast.Call(func=ast.Name(id="ErrorSpec"), args=args))
                | ast.Assign(targets=[ast.Name(id=constant)], value=ast.Call(func=ast.Name(id="ErrorSpec"), args=args))
            ) if len(args) > 1 and isinstance(args[1], ast.Constant):
                yield constant, str(args[1].value)
            case _:
                pass


def _mentions(source: str, constant: str, name: str) -> bool:
    uses = re.findall(rf"\b{constant}\b(?!: Final = ErrorSpec| = ErrorSpec)", source)
    return bool(uses) or f'"{name}"' in source


def _is_broad(caught: ast.expr | None) -> bool:
    match caught:
        case None | ast.Name(id="Exception" | "BaseException"):
            return True
        case ast.Tuple(elts=kinds):
            return any(_is_broad(kind) for kind in kinds)
        case _:
            return False
