"""A home whose node does not run: what would keep it from starting, found without starting it.

Everything that can be wrong is looked for, so that one call names all of it.
"""

import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from cccnode import config, keys
from cccnode.cli.options import Options
from cccnode.config import Config, split_address
from cccnode.doctor.absence import DISK_FULL_MB
from cccnode.doctor.disorder import SKEW_MS
from cccnode.doctor.facts import Finding
from cccnode.home import Home, disk_fault
from cccnode.types import errors
from cccnode.types.errors import CORE_ERRORS, Fault, fault
from genesis.document import read_document

_TAIL_BYTES: Final = 64 * 1024
_PROBE_BYTES: Final = 64 * 1024
_STARTED: Final = re.compile(r"\bstarted\b")
_SAID: Final = re.compile(r"([a-z]+/[A-Z][A-Z0-9_]*): ")
_BY_NAME: Final = {spec.name: spec for spec in CORE_ERRORS}


def examine(home: Home, options: Options) -> list[Finding]:
    """What keeps the node of this home from running; `doctor/NOT_RUNNING` alone when nothing does."""
    own_keys = consensus_keys(home)
    if not home.config_file.exists() and not home.genesis_file.exists():
        return [Finding(spec=errors.HOME_EMPTY, values={"home": str(home.root)})]
    try:
        settings = config.load(home, profile=options.profile, file=options.config_file).config
    except Fault as invalid:
        return [_finding(invalid, own_keys)]
    found = [_finding(problem, own_keys) for problem in _problems(settings)]
    said = last_said(home.run / "node.log")
    if said is not None and said.spec not in {finding.spec for finding in found}:
        found.insert(0, _finding(said, own_keys))
    if said is not None:
        found = [replace(finding, ended=finding.spec is said.spec) for finding in found]
    resting = Finding(spec=errors.NOT_RUNNING, values={"home": str(home.root)}, consensus_keys=own_keys)
    return found or [resting]


def consensus_keys(home: Home) -> tuple[bytes, ...]:
    """Public consensus keys of a home, as far as their files can be read."""
    found = []
    for path in home.validator_keys:
        with suppress(Fault):
            found.append(keys.read(path).public_key)
    return tuple(found)


def _finding(problem: Fault, own_keys: tuple[bytes, ...]) -> Finding:
    return Finding(spec=problem.spec, values=problem.values, consensus_keys=own_keys)


def _problems(settings: Config) -> Iterator[Fault]:
    """Each check in turn; one that fails does not keep the others from being made."""
    checks: list[Callable[[], None]] = [
        lambda: _genesis(settings),
        lambda: _keys(settings),
        lambda: _disk(settings.home),
        lambda: _clock(settings.home),
    ]
    checks += [lambda address=address: _port(address) for address in _addresses(settings)]  # type: ignore[misc]
    for check in checks:
        try:
            check()
        except Fault as problem:
            yield problem


def _genesis(settings: Config) -> None:
    """The document is there and reads; what its accounts hold is checked at a start."""
    path = settings.home.genesis_file
    if not path.exists():
        raise fault(errors.HOME_EMPTY, home=str(settings.home.root), missing=path.name)
    try:
        entry = read_document(path.read_bytes()).allocation
    except OSError as error:
        raise disk_fault(error, path) from error
    except Fault as invalid:
        invalid.values.setdefault("path", str(path))
        raise
    if entry is not None and not (path.parent / entry.file_name).exists():
        raise fault(errors.GENESIS_INVALID, path=str(path), why="its allocation file is missing", file=entry.file_name)


def _keys(settings: Config) -> None:
    """The key files are there and belong to nobody else; a passphrase file that is named can be read."""
    for path in (settings.home.node_key, *settings.home.validator_keys):
        keys.read(path)
    if settings.keys.passphrase_file:
        keys.find_passphrase(Path(settings.keys.passphrase_file))


def _disk(home: Home) -> None:
    """There is room, and a file can be written and synced."""
    try:
        free = shutil.disk_usage(home.root).free
        if free >> 20 < DISK_FULL_MB:
            raise fault(errors.DISK_FULL, path=str(home.root), free_bytes=free)
        for folder in {home.root, home.data} if home.data.exists() else {home.root}:
            with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
                probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        raise disk_fault(error, home.root) from error


def _clock(home: Home) -> None:
    """A clock that stands before the time of the files that this node wrote has been set back, or is wrong."""
    with suppress(OSError):
        newest = max((path.stat().st_mtime_ns for path in home.data.rglob("*") if path.is_file()), default=0)
        ahead_ms = (newest - time.time_ns()) // 1_000_000
        if ahead_ms > SKEW_MS:
            raise fault(errors.WRONG_CLOCK, newest_file_ahead_ms=ahead_ms)


def _addresses(settings: Config) -> list[str]:
    return [settings.p2p.listen, settings.rpc.listen, settings.ops.listen]


def _port(address: str) -> None:
    """The node could listen there."""
    host, port = split_address(address)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        in_use = error.errno == socket.errno.EADDRINUSE  # type: ignore[attr-defined]
        why = error.strerror or str(error)
        raise fault(errors.PORT_IN_USE if in_use else errors.LISTEN_FAILED, address=address, why=why) from error


def last_said(log: Path) -> Fault | None:
    """The error with which a node ended, if its log says so: a named one after its last start."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        said = _SAID.match(line)
        if said is not None and said[1] in _BY_NAME:
            return fault(_BY_NAME[said[1]], log=str(log))
        if _STARTED.search(line):
            return None
    return None
