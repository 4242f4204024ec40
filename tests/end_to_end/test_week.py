"""`cccnode demo week` on four real nodes: every outcome, balance and state of the week, whatever happens to nodes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cccnode.city import CITY
from cccnode.week.building import kinds
from cccnode.week.script import script
from tests.end_to_end.processes import CCCNODE, ROOT, ports

WEEK_S = 170
MISSING = [step.step for step in script() if step.message not in kinds(CITY)]


def week(home: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """One run: exit code, and the lines of its output."""
    command = [*CCCNODE, "demo", "week", "--home", str(home), "--output", "json", *arguments]
    done = subprocess.run(
        [*command, "--port-base", str(ports(4)["p2p"])],
        capture_output=True,
        text=True,
        timeout=WEEK_S,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def judge(code: int, lines: list[dict[str, Any]]) -> None:
    """Everything as the tables say; while the city lacks messages, only that their steps are named."""
    last = lines[-1]
    assert [line["step"] for line in lines[:-1]] == [step.step for step in script()]
    assert last["not_run"] == MISSING
    assert [row for row in last["details"] if "state roots" in row["where"] or "blocks of one" in row["where"]] == []
    if not MISSING:
        assert (last["mismatches"], last["details"], code) == (0, [], 0)
        assert last["steps"] == len(script())


def test_week_with_troubles(tmp_path: Path) -> None:
    """One node is off for two days, and all of them begin anew on day 6: nothing is different; nothing is left."""
    judge(*week(tmp_path / "week", "--down", "3", "--restart", "6"))
    assert not (tmp_path / "week").exists()


@pytest.mark.long
@pytest.mark.parametrize("arguments", [(), ("--packed",), ("--down", "1"), ("--restart", "4", "--packed")])
def test_week(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The plain week, each minute in one block, a node off for two days, all nodes begin anew."""
    judge(*week(tmp_path / "week", *arguments))


def test_one_day_for_people(tmp_path: Path) -> None:
    """Sentences in Thai, and a table of who has what at the end."""
    command = [*CCCNODE, "demo", "week", "--home", str(tmp_path / "week"), "--lang", "th", "--until-day", "1"]
    done = subprocess.run(
        [*command, "--port-base", str(ports(4)["p2p"])],
        capture_output=True,
        text=True,
        timeout=WEEK_S,
        cwd=ROOT,
        check=False,
    )
    assert "D1 10:20  T19   auditor-1: " in done.stdout
    assert "สำเร็จ" in done.stdout
    assert "farmer-1" in done.stdout
