"""A PostgreSQL server of a test's own, in a folder of its own, reached by a socket in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

USER = "postgres"
START_S = 60


def binary(name: str) -> str:
    """A program of the server; Debian keeps them beside each other by version, out of the path."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (str(beside[-1]) if beside else None)
    if found is None:
        pytest.skip(f"{name} is not installed (package postgresql)")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server of its own."""

    url: str
    """Of its database."""
    folder: Path

    def stop(self) -> None:
        """At once, as in a crash."""
        _run(self.folder, *self._control(), "-m", "immediate", "stop")

    def start(self) -> None:
        """Until it takes connections."""
        options = f"-c listen_addresses='' -k {self.folder} -c shared_buffers=32MB"
        _run(self.folder, *self._control(), "-o", options, "-l", self.folder / "log", "start")

    def _control(self) -> list[object]:
        return [binary("pg_ctl"), "-D", self.folder / "data", "-w", "-t", START_S]


@contextmanager
def server() -> Iterator[Server]:
    """A server, while it runs.  As root it runs as the system's postgres user: it refuses root."""
    pytest.importorskip("asyncpg", reason="asyncpg is not installed (extra postgres)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # Short: the socket's path must fit into 108 bytes.
    made = Server(url=f"postgresql://{USER}@/{USER}?host={quote(str(folder))}", folder=folder)
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER)
        _run(folder, binary("initdb"), "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, *words: object) -> None:
    command = [str(word) for word in words]
    if os.getuid() == 0:
        command = ["runuser", "-u", USER, "--", *command]
    # Its output goes to a file: a server that was started keeps a pipe open.
    with (folder / "out").open("wb") as out:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, check=False)
    assert ended.returncode == 0, (folder / "out").read_text()


async def fetch(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, through a connection of asyncpg, which is an extra."""
    import asyncpg  # noqa: PLC0415 - absent where the extra is not installed

    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def no_table() -> type[Exception]:
    """What `fetch` raises before the tables are made."""
    import asyncpg  # noqa: PLC0415 - absent where the extra is not installed

    missing: type[Exception] = asyncpg.UndefinedTableError
    return missing
