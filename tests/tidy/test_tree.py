"""The shape of the tree: who stands where, how long a file is, what a folder says about itself."""

import ast
import tomllib
from pathlib import Path

from tests.tidy.source import PACKAGES, ROOT, at, files, nothing, product_files, text, tree

FILE_LINES_MAX = 600
LONG_FILES: dict[str, str] = {}
"""Python files that tell one story in more than 600 lines, each with the reason."""

README_LINES_MAX = 80
LONG_READMES = {
    "consensus/README.md": "the numbered rules of the protocol, which the code refers to",
    "storage/README.md": "the on-disk format byte by byte",
}
"""READMEs longer than one screen, each with the reason."""

SPEAKING_TEST_FOLDERS = {"simulation", "scenarios", "vectors", "end_to_end", "tidy", "support", "long", "dist"}
"""Folders of tests/ that mirror no folder of the product, and so explain themselves."""

PROGRAMS = {Path("examples")}
"""Folders of programs that stand alone and are no package."""

LOCAL_ENGINE = "storage/leveldb.py"


def test_root_package_imports_nothing() -> None:
    """`import cccnode` costs nothing and loads nothing."""
    assert not [
        node for node in ast.walk(tree(Path("cccnode/__init__.py"))) if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_one_file_knows_the_engine() -> None:
    """Only storage/leveldb.py names plyvel, so the engine stays swappable."""
    users = {path.as_posix() for path in files(".py") for node in ast.walk(tree(path)) if "plyvel" in _imported(node)}

    assert users <= {LOCAL_ENGINE}


def test_relative_imports() -> None:
    """Imports name the whole path: one name for one thing."""
    found = [
        at(path, node, "relative import")
        for path in files(".py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    nothing(found)


def test_every_package_is_typed() -> None:
    """Each of the five packages says that it has types."""
    nothing([name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()])


def test_every_package_has_init() -> None:
    """Every folder with Python files is a package; under tests/ a missing one would hide the product's package."""
    folders = {path.parent for path in files(".py")} - {Path(), *PROGRAMS}

    nothing(sorted(str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()))


def test_every_folder_explains_itself() -> None:
    """Each folder of the product, and each folder of tests/ with a purpose of its own, has a README.md."""
    folders = {path.parent for path in product_files()} | {Path("benchmarks"), Path("tests"), Path("docs"), *PROGRAMS}
    folders |= {Path("tests") / name for name in SPEAKING_TEST_FOLDERS if (ROOT / "tests" / name).is_dir()}
    folders |= {Path("ops")} if (ROOT / "ops").is_dir() else set()

    nothing(sorted(str(folder) for folder in folders if not (ROOT / folder / "README.md").is_file()))


def test_readmes_fit_a_screen() -> None:
    """A README is one screen, or stands in the list with its reason."""
    long = {str(path) for path in files("README.md") if len(text(path).splitlines()) > README_LINES_MAX}

    nothing(long - set(LONG_READMES))


def test_files_tell_one_story() -> None:
    """A Python file stays under 600 lines, or stands in the list with its reason."""
    long = {str(path) for path in files(".py") if len(text(path).splitlines()) >= FILE_LINES_MAX}

    assert set(LONG_FILES) == long


def test_every_room_has_its_floor() -> None:
    """Every file or folder directly in cccnode/ stands in the layer contract, so that none escapes it."""
    contracts = tomllib.loads(text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    placed = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    rooms = {path.parts[1].removesuffix(".py") for path in files(".py") if path.parts[0] == "cccnode"}

    assert {f"cccnode.{room}" for room in rooms - {"__init__", "__main__"}} <= placed


def test_pure_packages_stand_in_the_contract() -> None:
    """What the determinism rules call pure, the import contract calls pure too."""
    contracts = tomllib.loads(text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    pure = next(contract["source_modules"] for contract in contracts if contract["id"] == "pure")

    assert {"cccnode.types", "cccnode.ledger", "cccnode.city", "cccnode.mempool", "consensus"} <= set(pure)


def _imported(node: ast.AST) -> set[str]:
    """The top-level names that one import statement brings in."""
    match node:
        case ast.Import(names=names):
            return {alias.name.split(".")[0] for alias in names}
        case ast.ImportFrom(module=str() as module):
            return {module.split(".")[0]}
        case _:
            return set()
