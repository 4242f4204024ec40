"""`cccnode run`, `version`: the life of one node."""

import asyncio
import ctypes
import os
import platform
import signal
import sys
from collections.abc import Coroutine
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cccnode import config as settings
from cccnode import keys
from cccnode.cli import output
from cccnode.cli.keys import ask_passphrase
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

T = TypeVar("T")
_STOP_S: Final = 12
"""A node that was asked to end is ended by the system after this time."""
_PR_SET_PDEATHSIG: Final = 1


@click.command(epilog="Example: cccnode run --home /var/lib/cccnode --passphrase-file /run/secret")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line opens the keys.")
@click.option("--parent", type=int, hidden=True, help="End when this process ends.")
@also_here
@pass_options
def run(options: Options, flags: tuple[str, ...], passphrase_file: Path | None, parent: int | None) -> None:
    """Run the node of this home until Ctrl-C or SIGTERM."""
    if parent is not None:
        end_with(parent)
    if passphrase_file is not None:
        flags = (*flags, f"keys.passphrase_file={passphrase_file}")
    loaded = load(options, flags)
    if not loaded.config.home.genesis_file.exists():
        raise fault(errors.HOME_EMPTY, home=str(loaded.config.home.root), missing=loaded.config.home.genesis_file.name)
    _look_at_keys(loaded.config)
    from cccnode.node.run import run as run_node  # noqa: PLC0415 - the whole node, needed here only

    if run_until_stopped(run_node(loaded.config), loop=loaded.config.node.loop):
        # The data is another, and a process that begins with it needs nothing of what this one has in memory.
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program again


@click.command(epilog="Example: cccnode version --output json")
@also_here
@pass_options
def version(options: Options) -> None:
    """The version of this program and of the Python that runs it."""
    shown = {"cccnode": program_version(), "python": platform.python_version(), "system": platform.platform()}
    if options.json:
        output.emit_json(shown)
        return
    for line in output.table(list(shown.items()), indent=""):
        click.echo(line)


def program_version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("cccnode")
    except metadata.PackageNotFoundError:
        return "0+source"


def run_until_stopped(work: Coroutine[Any, Any, T], *, loop: str = "auto") -> T | None:
    """Run a coroutine; SIGTERM and SIGINT cancel it until it installs handlers of its own.

    Returns:
        What the coroutine does; None when it was cancelled.

    Raises:
        Fault: the named error that ended it, also out of a group of errors.
    """

    async def watched() -> T:
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            signal.alarm(_STOP_S)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        return await work

    try:
        with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
            return runner.run(watched())
    except asyncio.CancelledError:
        return None
    except BaseExceptionGroup as group:
        named = _first_fault(group)
        if named is None:
            raise
        raise named from group
    finally:
        signal.alarm(0)


def _look_at_keys(config: settings.Config) -> None:
    """Ask the person at the terminal for a passphrase that nothing else gives; say when a key is not encrypted.

    Raises:
        Fault: a key file that cannot be read.
    """
    home = config.home
    found = [keys.read(path) for path in (home.node_key, home.validator_key) if path.exists()]
    if not all(file.encrypted for file in found):
        output.say(keys.WARNING)
    file = Path(config.keys.passphrase_file) if config.keys.passphrase_file else None
    needed = any(document.encrypted for document in found)
    if needed and sys.stdin.isatty() and keys.find_passphrase(file) is None:
        os.environ[keys.PASSPHRASE_ENV] = ask_passphrase(None, confirm=False)


def _loop_factory(loop: str) -> Any:
    if loop == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def _first_fault(group: BaseExceptionGroup[BaseException]) -> Fault | None:
    for error in group.exceptions:
        found = _first_fault(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, Fault):
            return found
    return None


def end_with(parent: int) -> None:
    """Have the system send SIGTERM when the parent dies; end at once when it died already (Linux only)."""
    if platform.system() == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise click.Abort
