"""Global options: accepted before and after the subcommand, held in one `Options` object for the whole call."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cccnode.home import Home

F = TypeVar("F", bound=Callable[..., Any])

HOME_DEFAULT: Final = "~/.cccnode"
LANGUAGES: Final = ("en", "th")


@dataclass(slots=True)
class Options:
    """What the global options say."""

    home_path: str = ""
    config_file: Path | None = None
    profile: str | None = None
    node: str = ""
    """URL, `host:port`, or the number of a node of the test network in the home; empty: find it."""
    output: str = "text"
    lang: str = "en"
    yes: bool = False

    @property
    def home(self) -> Home:
        """The home that the command works on."""
        return Home(Path(self.home_path or HOME_DEFAULT).expanduser().absolute())

    @property
    def json(self) -> bool:
        """Whether standard output is for a program."""
        return self.output == "json"

    def text(self, en: str, th: str) -> str:
        """One of two sentences, by the language asked for."""
        return th if self.lang == "th" else en


_FIELDS: Final = {
    "home": "home_path",
    "config": "config_file",
    "profile": "profile",
    "node": "node",
    "output": "output",
    "lang": "lang",
    "yes": "yes",
}


def fresh_options() -> Options:
    """Defaults, from the environment where it speaks."""
    env = os.environ
    lang = env.get("CCCNODE_LANG", "en")
    return Options(
        home_path=env.get("CCCNODE_HOME", ""),
        node=env.get("CCCNODE_NODE", ""),
        output="json" if env.get("CCCNODE_OUTPUT") == "json" else "text",
        lang=lang if lang in LANGUAGES else "en",
        profile=env.get("CCCNODE_PROFILE") or None,
    )


def _take(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    options = context.ensure_object(Options)
    given = context.get_parameter_source(parameter.name or "")
    if given is click.core.ParameterSource.COMMANDLINE:
        setattr(options, _FIELDS[str(parameter.name)], value)


def _rows(*, hidden: bool) -> list[Callable[[F], F]]:
    common: dict[str, Any] = {"expose_value": False, "callback": _take, "is_eager": True, "hidden": hidden}
    path = click.Path(path_type=Path, dir_okay=False)
    return [
        click.option("--home", metavar="FOLDER", help=f"Of the node or test network [{HOME_DEFAULT}].", **common),
        click.option("--config", type=path, metavar="FILE", help="Settings file [HOME/config.toml].", **common),
        click.option(
            "--profile", metavar="NAME", help="Role with its defaults: validator, peer, archive, dev.", **common
        ),
        click.option("--node", metavar="URL|N", help="RPC address, or number of a test network's node.", **common),
        click.option("--output", type=click.Choice(["text", "json"]), help="JSON goes to stdout alone.", **common),
        click.option("--lang", type=click.Choice(LANGUAGES), help="Language of messages.", **common),
        click.option("--yes", is_flag=True, help="Do not ask.", **common),
    ]


def global_options(command: F) -> F:
    """The options, shown in help: for the root command."""
    return _decorate(command, hidden=False)


def also_here(command: F) -> F:
    """The same options after a subcommand, not shown again."""
    return _decorate(command, hidden=True)


def also_here_but_node(command: F) -> F:
    """The same for a subcommand that takes `--node` several times."""
    return _decorate(command, hidden=True, without="node")


def _decorate(command: F, *, hidden: bool, without: str = "") -> F:
    for name, option in reversed(list(zip(_FIELDS, _rows(hidden=hidden), strict=True))):
        command = command if name == without else option(command)
    return command


pass_options = click.make_pass_decorator(Options, ensure=True)
