"""`cccnode init`, `run`, `version`: the life of one node."""

import asyncio
import ctypes
import os
import platform
import shutil
import signal
import sys
from collections.abc import Coroutine
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import click

from cccnode import config as settings
from cccnode import keys
from cccnode.cli import output
from cccnode.cli.keys import ask_passphrase
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.home import disk_fault
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

_STOP_S: Final = 12
"""A node that was asked to end is ended by the system after this time."""
_PR_SET_PDEATHSIG: Final = 1


@click.command(epilog="Example: cccnode init --genesis genesis.json --profile peer --passphrase-file ~/secret")
@click.option("--genesis", type=click.Path(path_type=Path), required=True, help="The network's genesis document.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the keys.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: keys in clear.")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting for config.toml.")
@also_here
@pass_options
def init(
    options: Options, genesis: Path, passphrase_file: Path | None, flags: tuple[str, ...], *, unencrypted: bool
) -> None:
    """Prepare the home of a node: new keys, settings, genesis. Nothing that exists is changed."""
    home = options.home
    if home.config_file.exists() or home.genesis_file.exists():
        raise fault(errors.HOME_EXISTS, home=str(home.root))
    document, files = _read_genesis(genesis)
    loaded = settings.load(home, flags=flags, profile=options.profile, environment={})
    chosen = {key: value for key, value in loaded.values().items() if loaded.origins[key] == "flag"}
    profile = loaded.config.profile
    passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=True)
    roles = [Role.NODE] if profile == "peer" else [Role.NODE, Role.VALIDATOR]
    made = {
        role: keys.create(
            home.node_key if role is Role.NODE else home.validator_key,
            role=role,
            passphrase=passphrase,
            description=f"{role} of {home.root.name}",
        )
        for role in roles
    }
    try:
        for source in files:
            shutil.copyfile(source, home.root / ("genesis.json" if source == genesis else source.name))
        home.config_file.write_text(settings.render(chosen, profile=profile), encoding="utf-8")
    except OSError as error:
        raise disk_fault(error, home.root) from error
    if Role.VALIDATOR in roles:
        from cccnode.node.data import found  # noqa: PLC0415 - the city's rules, needed here only

        found(home.data)  # its keys are new, so this validator has never voted
    shown = {
        "home": str(home.root),
        "chain": "0x" + document.chain.hex(),
        "network": document.document.name,
        **{f"{role}_key": "0x" + file.pubkey for role, file in made.items()},
    }
    if options.json:
        output.emit_json(shown)
        return
    for line in output.table(list(shown.items()), indent=""):
        click.echo(line)
    output.say(
        options.text(
            f"Have your organisation register the node key, then start with: cccnode run --home {home.root}",
            f"ให้องค์กรของท่านลงทะเบียนกุญแจโหนด แล้วเริ่มด้วย cccnode run --home {home.root}",
        )
    )


@click.command(epilog="Example: cccnode run --home /var/lib/cccnode --passphrase-file /run/secret")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line opens the keys.")
@click.option("--parent", type=int, hidden=True, help="End when this process ends.")
@also_here
@pass_options
def run(options: Options, flags: tuple[str, ...], passphrase_file: Path | None, parent: int | None) -> None:
    """Run the node of this home until Ctrl-C or SIGTERM."""
    if parent is not None:
        _end_with(parent)
    if passphrase_file is not None:
        flags = (*flags, f"keys.passphrase_file={passphrase_file}")
    loaded = load(options, flags)
    if not loaded.config.home.genesis_file.exists():
        raise fault(errors.HOME_EMPTY, home=str(loaded.config.home.root), missing=loaded.config.home.genesis_file.name)
    _look_at_keys(loaded.config)
    from cccnode.node.run import run as run_node  # noqa: PLC0415 - the whole node, needed here only

    run_until_stopped(run_node(loaded.config), loop=loaded.config.node.loop)


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


def run_until_stopped(work: Coroutine[Any, Any, None], *, loop: str = "auto") -> None:
    """Run a coroutine; SIGTERM and SIGINT cancel it until it installs handlers of its own.

    Raises:
        Fault: the named error that ended it, also out of a group of errors.
    """

    async def watched() -> None:
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            signal.alarm(_STOP_S)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        await work

    try:
        with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
            runner.run(watched())
    except asyncio.CancelledError:
        return
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


def _end_with(parent: int) -> None:
    """Have the system send SIGTERM when the parent dies; end at once when it died already (Linux only)."""
    if platform.system() == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise click.Abort


def _read_genesis(path: Path) -> tuple[Any, list[Path]]:
    """A checked genesis and the files that hold it."""
    from genesis.document import read_document, read_genesis  # noqa: PLC0415 - needed here only

    try:
        raw = path.read_bytes()
        entry = read_document(raw).allocation
        allocation = None if entry is None else path.parent / entry.file_name
        content = None if allocation is None else allocation.read_bytes()
    except FileNotFoundError as error:
        raise fault(errors.GENESIS_INVALID, path=str(error.filename), why="no such file") from error
    except OSError as error:
        raise disk_fault(error, path) from error
    return read_genesis(raw, content), [path] if allocation is None else [path, allocation]
