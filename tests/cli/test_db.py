"""`cccnode db` on a home whose node does not run, and the line that says how far it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.main import run_cli
from cccnode.cli.meter import Meter, amount
from cccnode.cli.options import Options
from cccnode.home import Home, HomeLock
from tests.node.test_backups import home, other  # noqa: F401 - fixtures

FAR = "storage/DATA_DAMAGED"


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli(["db", *arguments, "--output", "json"])
    shown = json.loads(capsys.readouterr().out)
    return code, shown


def test_there_and_back(home: Home, other: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Backed up, verified, restored into another home, verified there: the same height and root."""
    folder = str(tmp_path / "backup")
    _, taken = command(capsys, "backup", folder, "--home", str(home.root))
    code, checked = command(capsys, "verify", folder)
    assert (code, checked["verdict"], checked["findings"]) == (0, "sound", [])
    _, put = command(capsys, "restore", folder, "--home", str(other.root))
    code, there = command(capsys, "verify", "--home", str(other.root))
    assert code == 0
    assert taken["state_root"] == checked["state_root"] == put["state_root"] == there["state_root"]


def test_for_people(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Rows, and a word where the folder lies on the disk of the node."""
    assert run_cli(["db", "backup", str(tmp_path / "backup"), "--home", str(home.root)]) == 0
    shown = capsys.readouterr()
    assert "state_root" in shown.out
    assert "on the disk of the node" in shown.err
    assert run_cli(["db", "verify", str(tmp_path / "backup")]) == 0
    assert "sound" in capsys.readouterr().out


def test_damage_is_said(home: Home, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """A damaged home ends with 78, the verdict, and each finding."""
    from storage.leveldb import LevelDB  # noqa: PLC0415 - beside its only use

    engine = LevelDB(home.data / "state")
    key = next(engine.iterate(b"g"))[0]
    engine.write([(key, b"\x90")], sync=True)
    engine.close()
    code, shown = command(capsys, "verify", "--home", str(home.root))
    assert (code, shown["verdict"]) == (78, "damaged")
    assert any(line.startswith("state: ") for line in shown["findings"])
    assert run_cli(["db", "verify", "--home", str(home.root)]) == 78
    assert FAR in capsys.readouterr().err


def test_refusals(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """A folder inside the data, a home in use, an empty one, and a folder that is not there."""
    at = ("--home", str(home.root))
    assert run_cli(["db", "backup", str(home.data / "here"), *at]) == 2
    assert run_cli(["db", "backup", str(tmp_path / "b"), "--home", str(tmp_path / "nowhere")]) == 78
    assert "home/EMPTY" in capsys.readouterr().err
    with HomeLock.take(home):
        assert command(capsys, "verify", *at)[1]["error"]["name"] == "home/LOCKED"
        assert command(capsys, "restore", str(tmp_path), *at)[1]["error"]["name"] == "home/LOCKED"
    assert command(capsys, "restore", str(tmp_path / "gone"), *at)[1]["error"]["name"] == "storage/BACKUP_INVALID"


def test_meter(capsys: pytest.CaptureFixture[str]) -> None:
    """How much of how much, at what rate, and how long it will take; nothing where nobody looks."""
    times = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    meter = Meter(Options(), 100_000_000, shown=True, clock=lambda: next(times))
    meter.add("blocks", 20_000_000)
    assert "blocks: 20.0 MB of 100.0 MB" in capsys.readouterr().err
    assert meter.line("state") == "  state: 20.0 MB of 100.0 MB, 6.7 MB/s, 12 s left"
    meter.add("blocks", 90_000_000)
    meter.end()
    assert "110.0 MB, " in capsys.readouterr().err
    quiet = Meter(Options(output="json"), 10, clock=lambda: 0.0)
    quiet.add("blocks", 5)
    quiet.end()
    assert capsys.readouterr().err == ""
    assert [amount(size) for size in (12, 1_200, 3e12)] == ["12 B", "1.2 kB", "3.0 TB"]
