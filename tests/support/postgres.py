"""A PostgreSQL server of a test's own, in a folder of its own, reached by a socket in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def server() -> Iterator[str]:
    """A URL of its database, while it runs.  As root it runs as the system's postgres user: it refuses root."""
    pytest.importorskip("asyncpg", reason="asyncpg is not installed (extra postgres)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # Short: the socket's path must fit into 108 bytes.
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER)
        data = folder / "data"
        _run(folder, binary("initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -c shared_buffers=32MB"
        control = [binary("pg_ctl"), "-D", data, "-w", "-t", START_S]
        _run(folder, *control, "-o", options, "-l", folder / "log", "start")
        try:
            yield f"postgresql://{USER}@/{USER}?host={quote(str(folder))}"
        finally:
            _run(folder, *control, "-m", "immediate", "stop")
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


async def connect(url: str) -> Any:
    """A connection of asyncpg, which is an extra."""
    import asyncpg  # noqa: PLC0415 - absent where the extra is not installed

    return await asyncpg.connect(url)
