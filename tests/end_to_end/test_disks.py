"""Disks that refuse: read-only, full, failing; what was acknowledged is still there afterwards."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cccnode.cli.output import CONFIGURATION, TEMPORARY, exit_code
from cccnode.client import to_hex
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import END_S, Network, run

LEFT_BYTES = 256 * 1024
FAILING = (sys.executable, "-m", "tests.end_to_end.failing")


@contextmanager
def small_disk(at: Path, size: str = "64m") -> Iterator[None]:
    """A disk of its own in this folder; the test is skipped where none can be mounted."""
    at.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "cccnode-test", str(at)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.mark.needs("mount")
def test_read_only_home(tmp_path: Path) -> None:
    """A home on a disk that is mounted read-only is refused by name; nothing half-started stays."""
    with small_disk(tmp_path / "disk"):
        network = Network.prepare(tmp_path / "disk" / "net", validators=1)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
        ended = run("run", "--home", str(network.node(0).home.root))
        assert "home/READ_ONLY: " in ended.stderr
        assert str(network.node(0).home.root) in ended.stderr
        assert "mount options" in ended.stderr
        assert (ended.returncode, "Traceback" in ended.stderr) == (CONFIGURATION, False)


@pytest.mark.needs("mount")
def test_full_disk_at_the_start(tmp_path: Path) -> None:
    """A home on a full disk is refused by name, also before its first block."""
    with small_disk(tmp_path / "disk"):
        network = Network.prepare(tmp_path / "disk" / "net", validators=1)
        _fill(tmp_path / "disk" / "ballast")
        ended = run("run", "--home", str(network.node(0).home.root))
        assert "home/DISK_FULL: " in ended.stderr, ended.stderr
        assert "Free space" in ended.stderr
        assert (ended.returncode, "Traceback" in ended.stderr) == (TEMPORARY, False)


@pytest.mark.needs("mount")
async def test_disk_that_fills_up(tmp_path: Path) -> None:
    """A node stops by name when its disk is full; with space again it goes on with everything it acknowledged."""
    with small_disk(tmp_path / "disk"):
        network = Network.prepare(tmp_path / "disk" / "net", validators=1)
        ballast = tmp_path / "disk" / "ballast"
        network.start(0)
        try:
            async with network.clients() as clients:
                await network.validating(clients, 0)
                load = Load(network, clients, [0])
                before = await picture(load, [0])
                async with load.running():
                    await load.final_everywhere([0])
                    _fill(ballast)
                    code = await asyncio.to_thread(network.exit_code, 0)
                assert code == TEMPORARY
                assert "home/DISK_FULL: " in network.log(0)
                assert "Free space" in network.log(0)
                assert "Traceback" not in network.log(0)
                ballast.unlink()
                network.start(0)
                await network.validating(clients, 0)
                await load.final_everywhere([0])
                await exactly_once(load, [0], before)
        finally:
            network.stop_all()


@pytest.mark.parametrize(
    ("fail", "name"),
    [
        ("journal sync 9 EIO", "home/DISK_FAILED"),
        ("batches append 4 ENOSPC", "home/DISK_FULL"),
        ("blocks sync 6 EIO", "home/DISK_FAILED"),
        ("blocks append 12 EROFS", "home/READ_ONLY"),
        ("receipts append 6 ENOSPC", "home/DISK_FULL"),
        ("receipts sync 6 EIO", "home/DISK_FAILED"),
        ("index append 0 ENOSPC", "home/DISK_FULL"),
    ],
)
async def test_a_write_that_fails(networks: Callable[..., Network], fail: str, name: str) -> None:
    """Whichever write fails, the node stops by that name with its remedy; then all that it acknowledged is there."""
    network = networks(validators=1)
    network.start(0, program=FAILING, env={"FAIL": fail})
    async with network.clients() as clients:
        load = Load(network, clients, [0])
        async with load.running():
            code = await asyncio.to_thread(network.exit_code, 0)
        said = network.log(0)
        assert f"{name}: " in said
        assert "remedy: " in said
        assert "Traceback" not in said
        assert code == exit_code(name, retryable=False) != 0
        network.start(0)
        await network.validating(clients, 0)
        await load.final_everywhere([0])
        decided = (await picture(load, [0])).decided
        assert all(decided[to_hex(sent.tx_id)] == 1 for sent in load.acknowledged)


@pytest.mark.needs("mount")
def test_a_backup_onto_a_full_disk(tmp_path: Path) -> None:
    """A backup that finds no room says so and leaves none behind; with room it is made whole in the same folder."""
    network = Network.prepare(tmp_path / "net", validators=1)
    home = ("--home", str(network.node(0).home.root))
    with small_disk(tmp_path / "disk", size="16k"):
        folder = str(tmp_path / "disk" / "backup")
        network.start(0)
        try:
            ended = _until_it_runs(lambda: run("db", "backup", folder, *home))
            assert "home/DISK_FULL: " in ended.stderr
            assert (ended.returncode, "Traceback" in ended.stderr) == (TEMPORARY, False)
            assert run("db", "verify", folder).returncode != 0
            subprocess.run(["mount", "-o", "remount,size=8m", str(tmp_path / "disk")], check=True)
            assert run("db", "backup", folder, *home).returncode == 0
            assert run("db", "verify", folder).returncode == 0
        finally:
            network.stop_all()


def _until_it_runs(command: Callable[[], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
    """The node has just been started: before it is there, there is nothing to back up or nobody to ask."""
    for _ in range(END_S):
        ended = command()
        if "client/UNREACHABLE" not in ended.stderr and "home/EMPTY" not in ended.stderr:
            return ended
    raise AssertionError("it never came up")


def _fill(ballast: Path) -> None:
    """Take all space but a little, as a neighbour's file would."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(LEFT_BYTES))
    assert shutil.disk_usage(ballast.parent).free < LEFT_BYTES
