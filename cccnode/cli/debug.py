"""`cccnode debug bundle`: one file with what developers need to know of a node, and nothing that must stay secret.

Key files, passphrases and vote journals are never opened; of the environment only names of variables are told.  What
cannot be asked is named with the reason, so that a bundle of a broken node is a bundle too.
"""

import io
import os
import platform
import resource
import shutil
import tarfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from cccnode.cli import output
from cccnode.cli.incident import ops_address
from cccnode.cli.node import program_version
from cccnode.cli.operating import ask
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load, talk
from cccnode.cli.testnet_files import Testnet
from cccnode.home import Home, disk_fault
from cccnode.types.errors import Fault

LOG_LINES: Final = 5_000
"""So many last lines of the log of a test network's node; under systemd the log is `journalctl -u cccnode`."""
LINE_MAX: Final = 4_000
FILES_MAX: Final = 10_000
"""Files of the home that are listed."""

Part = Callable[[], bytes]


@click.group(epilog="Example: cccnode debug bundle --out bundle.tar.gz")
def debug() -> None:
    """What developers need to know of a node: bundle."""


@debug.command(epilog="Example: cccnode debug bundle --node 2 --out bundle.tar.gz")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def bundle(options: Options, *, out: Path, ops: str) -> None:
    """Collect settings, status, diagnosis, metrics, log and the list of files; the node may run or not."""
    if out.exists():
        raise click.UsageError(f"{out} exists already; nothing was changed")
    missing = {}
    try:
        with tarfile.open(out, "x:gz") as archive:
            for name, part in parts(options, ops):
                content, why = _collected(part)
                if why:
                    missing[name] = why
                _add(archive, name, content)
            _add(archive, "missing.json", _json(missing))
    except OSError as error:
        raise disk_fault(error, out) from error
    if options.json:
        output.emit_json({"file": str(out), "missing": missing})
        return
    click.echo(options.text(f"Written: {out}. Look into it before you send it.", f"เขียนแล้ว: {out} ตรวจดูก่อนส่งต่อ"))
    for name, why in missing.items():
        output.say(f"  {options.text('without', 'ไม่มี')} {name}: {why}")


def parts(options: Options, ops: str) -> Iterator[tuple[str, Part]]:
    """Every file of a bundle, and how it is made."""
    home = _home(options)
    address = ops_address(options, ops)
    yield "system.json", lambda: _json(_system(home))
    yield "settings.json", lambda: _json(_settings(options, home))
    yield "files.txt", lambda: "\n".join(_files(home)).encode()
    yield "log.txt", lambda: "".join(_log(home)).encode()
    yield "readyz.json", lambda: ask(address, "/readyz")
    yield "metrics.txt", lambda: ask(address, "/metrics")
    for name, method in (("status", "chain_status"), ("peers", "net_peers"), ("validators", "chain_validators")):
        yield f"{name}.json", lambda method=method: _json(talk(options, lambda node: node.call(method)))  # type: ignore[misc]
    yield "doctor.json", lambda: _json(talk(options, lambda node: node.call("node_doctor", observation=True)))


def _collected(part: Part) -> tuple[bytes, str]:
    """What a part gives, and why it gives nothing."""
    try:
        return part(), ""
    except output.Trouble as error:
        return b"", f"{error.name}: {error.text}"
    except (Fault, OSError) as error:
        return b"", str(error)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(f"cccnode-debug/{name}")
    entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _home(options: Options) -> Home:
    """The home of the node that is meant."""
    network = Testnet.find(options.home)
    return options.home if network is None else network.node(int(options.node or 0)).home


def _system(home: Home) -> dict[str, Any]:
    disk = shutil.disk_usage(home.root if home.root.exists() else Path("/"))
    return {
        "cccnode": program_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "open_files_max": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "time_ns": str(time.time_ns()),
        "environment": sorted(name for name in os.environ if name.startswith("CCCNODE_")),
    }


def _settings(options: Options, home: Home) -> dict[str, Any]:
    chosen = Options(home_path=str(home.root), config_file=options.config_file, profile=options.profile)
    loaded = load(chosen)
    return {key: {"value": value, "origin": loaded.origins[key]} for key, value in loaded.values().items()}


def _files(home: Home) -> Iterator[str]:
    """Names, sizes, permissions and times below the home."""
    for number, path in enumerate(sorted(home.root.rglob("*"))):
        if number >= FILES_MAX:
            yield f"... more than {FILES_MAX}"
            return
        found = path.lstat()
        changed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.st_mtime))
        yield f"{found.st_mode:06o} {found.st_size:>12} {changed} {path.relative_to(home.root)}"


def _log(home: Home) -> list[str]:
    with (home.run / "node.log").open(encoding="utf-8", errors="replace") as lines:
        return [line[:LINE_MAX] for line in deque(lines, maxlen=LOG_LINES)]


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
