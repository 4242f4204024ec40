"""The tutorials as a reader follows them: every shell block, in order, in an empty folder, in both languages alike."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cccnode.config import PORTS
from tests.end_to_end.processes import END_S, ROOT, ports

DOCS = ROOT / "docs"
TUTORIALS = {"first-node.md": 1, "first-transaction.md": 1, "four-validators.md": 4, "fifth-organisation.md": 5}
"""Page, and the nodes that it starts."""
STAYS = ("cccnode dev", "cccnode testnet up", "cccnode run")
"""Commands that a reader leaves running in a terminal of their own."""
LAST_WORDS = ("Ctrl-C stops", "Logs: ")


def blocks(page: Path) -> list[str]:
    """The shell blocks of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody at two terminals, in a folder where `cccnode` is installed."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder = folder
        self.base = ports(nodes)["p2p"]
        self.left: list[subprocess.Popen[str]] = []
        bin_ = folder / "bin"
        bin_.mkdir()
        for name, words in (("cccnode", "-m cccnode "), ("python3", "")):
            (bin_ / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
            (bin_ / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "HOME": str(folder),
        }

    def follow(self, block: str) -> None:
        """Type one block; the ports of the page become free ones."""
        first = self.base - PORTS["p2p"]
        typed = re.sub(r"\b276[0-9]{2}\b", lambda found: str(first + int(found[0])), block)
        if typed.startswith(STAYS):
            where = "" if typed.startswith("cccnode run") else f" --port-base {self.base}"
            self._leave_running(typed.strip() + where, speaks=bool(where))
            return
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", typed],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=END_S,
            check=False,
        )
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"

    def _leave_running(self, command: str, *, speaks: bool) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.left.append(process)
        assert process.stdout is not None
        if speaks:
            assert any(line.startswith(LAST_WORDS) for line in process.stdout), "it ended"

    def stop(self) -> None:
        """Ctrl-C in the other terminal."""
        for process in reversed(self.left):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=END_S)
            assert process.returncode == 0


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, TUTORIALS[request.node.callspec.params["page"]])
    yield reader
    reader.stop()


@pytest.mark.needs("curl")
@pytest.mark.parametrize("page", TUTORIALS)
def test_every_block_works(page: str, reader: Reader) -> None:
    """Nothing but what the page says is typed, and every line succeeds."""
    found = blocks(DOCS / "en" / page)
    assert len(found) > 5
    for block in found:
        reader.follow(block)


@pytest.mark.parametrize("page", TUTORIALS)
def test_both_languages_type_the_same(page: str) -> None:
    """The Thai page has the blocks of the English one, so what works there works here."""
    assert blocks(DOCS / "th" / page) == blocks(DOCS / "en" / page)
