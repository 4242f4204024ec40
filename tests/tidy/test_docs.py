"""Documentation cannot rot: the reference equals the code, and links lead somewhere."""

import re
import tomllib
from pathlib import Path

import click
import msgspec

from cccnode.city import CITY
from cccnode.cli import main as cli
from cccnode.cli.describing import meanings, settings
from cccnode.rpc.methods import method_table
from tests.tidy import reference
from tests.tidy.forms import commands
from tests.tidy.source import ROOT, files, nothing, product_files, text

_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def test_reference_is_current() -> None:
    """docs/en/reference.md and the Thai errors are what `make docs` would write now."""
    assert reference.page() == reference.PAGE.read_text(encoding="utf-8")
    assert reference.thai_errors() == reference.THAI_ERRORS.read_text(encoding="utf-8")


def test_everything_that_is_typed_is_documented() -> None:
    """Every RPC method, command, option, setting and error stands on the reference page by its name."""
    shown = text(Path("docs/en/reference.md"))
    names = {*method_table(CITY), *settings(), *(row.name for row in CITY.errors.values())}
    for path, command in commands(cli.cli, ("cccnode",)):
        options = (option for option in command.params if isinstance(option, click.Option) and not option.hidden)
        names |= {path, *(name for option in options for name in option.opts)}

    nothing(name for name in names if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", shown))


def test_every_setting_is_explained() -> None:
    """Each key of config.toml has a docstring of its own, which help, schema and reference page show."""
    nothing(key for key, meaning in settings().items() if not meaning)


def test_every_parameter_is_explained() -> None:
    """Each number that the city may vote on says what it is, in the code and so on the reference page."""
    nothing(
        f"{module}.{field.name}"
        for module, kind in CITY.parameters.items()
        for field in msgspec.structs.fields(kind)
        if not meanings(kind).get(field.name)
    )


def test_documents_are_current() -> None:
    """The OpenRPC and OpenAPI documents are what `make docs` would write now."""
    for path, made in reference.documents().items():
        assert made == reference.DOCUMENTS[path].read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    """Every relative link in a Markdown file names a file of the repository, and a heading where it names one."""
    broken = [
        f"{path}: {link}"
        for path in files(".md")
        for link in _LINK.findall(_CODE.sub("", text(path)))
        if not link.startswith(("http://", "https://", "mailto:")) and not _leads(path, link)
    ]

    nothing(broken)


def test_rule_numbers_exist() -> None:
    """Every D or J rule that a comment names stands in docs/en/rules.md."""
    known = set(re.findall(r"(?:^\| |\*\*)([DJ]\d+)\b", text(Path("docs/en/rules.md")), re.MULTILINE))
    named = {(rule, str(path)) for path in product_files() for rule in re.findall(r"\b[DJ]\d{1,2}\b", text(path))}

    nothing(sorted(place for place in named if place[0] not in known))


def test_readme_commands_exist() -> None:
    """Every `make` target that the README names is in the Makefile, and every target explains itself."""
    makefile = text(Path("Makefile"))
    targets = set(re.findall(r"^([a-z]+):[^#\n]*## ", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)

    assert phony
    assert targets == set(phony[1].split())
    assert set(re.findall(r"^make ([a-z]+)", text(Path("README.md")), re.MULTILINE)) <= targets


def test_every_dependency_has_its_reason() -> None:
    """Each runtime dependency is explained in DECISIONS.md."""
    project = tomllib.loads(text(Path("pyproject.toml")))["project"]
    names = {re.match(r"[a-z-]+", line)[0] for line in project["dependencies"]}
    decisions = text(Path("DECISIONS.md"))

    nothing({name for name in names if name.removesuffix("-ci") not in decisions})


def test_every_dependency_is_locked() -> None:
    """constraints.txt holds a version for everything that pyproject.toml asks for."""
    project = tomllib.loads(text(Path("pyproject.toml")))["project"]
    asked = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    locked = {line.split("==")[0].lower().replace("_", "-") for line in text(Path("constraints.txt")).splitlines()}

    nothing({re.match(r"[a-z-]+", line)[0] for line in asked} - locked)


def _leads(path: Path, link: str) -> bool:
    target, _, heading = link.partition("#")
    file = (ROOT / path.parent / target).resolve() if target else ROOT / path
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    if not heading:
        return True
    return heading in {_anchor(title) for title in _HEADING.findall(file.read_text(encoding="utf-8"))}


def _anchor(title: str) -> str:
    """The name that a heading gets where Markdown is rendered."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_attack_names_its_tests() -> None:
    """A test that docs/en/economic-attacks.md names exists."""
    named = set(re.findall(r"`(test_\w+)`", text(Path("docs/en/economic-attacks.md"))))
    written = {name for path in files(".py") for name in re.findall(r"def (test_\w+)\(", text(path))}

    assert named
    nothing(named - written)
