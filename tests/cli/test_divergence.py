"""`cccnode doctor divergence` without a network: whom it refuses, and reports that are not what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.divergence import VERSION, begin, check_report, report_lines, sign_report
from cccnode.cli.main import run_cli
from cccnode.cli.options import Options
from cccnode.cli.output import FAILED, OK, TEMPORARY
from cccnode.client import to_hex
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.types.errors import NO_WITNESS, NOT_DIVERGED, REPORT_INVALID, SNAPSHOT_INVALID, Fault
from storage.files import RealDisk
from storage.snapshots import Shelf
from tests.support.city import demo
from tests.support.fake_node import FakeNode
from tests.support.served import Served

KEY = SigningKey(bytes(range(32)))
FINDINGS: dict[str, Any] = {
    "version": VERSION,
    "node": to_hex(KEY.public_key),
    "height": 7,
    "block_id": "0x07",
    "receipts": [],
    "replay": {"agrees_with": "certified"},
    "keys": [{"name": "b/x uccc", "bucket": 3, "ours": "0x06", "certified": "0x05"}],
    "transactions": ["0xaa"],
}


def said(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


def test_a_report_is_checked_with_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Findings, key and signature stand in one file, however it is indented."""
    file = tmp_path / "report.json"
    for indent in (None, 4):
        file.write_text(json.dumps(sign_report(FINDINGS, KEY), indent=indent))
        assert OK == run_cli(["doctor", "divergence", "--verify", str(file), "--output", "json"])
        assert {"file": str(file), "signed_by": FINDINGS["node"], "findings": FINDINGS} == said(capfd)
    assert OK == run_cli(["doctor", "divergence", "--verify", str(file)])
    assert "transaction: 0xaa" in capfd.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda report: b"not a report",
        lambda report: json.dumps([report]).encode(),
        lambda report: json.dumps({**report, "findings": {**FINDINGS, "height": 8}}).encode(),
        lambda report: json.dumps({**report, "signature": "0x" + "00" * 64}).encode(),
        lambda report: json.dumps({**report, "signature": "0x00"}).encode(),
        lambda report: json.dumps(sign_report(FINDINGS, SigningKey(bytes(32)))).encode(),
        lambda report: json.dumps(sign_report({**FINDINGS, "version": VERSION + 1}, KEY)).encode(),
    ],
)
def test_invalid_reports(change: Any) -> None:
    """divergence/REPORT_INVALID: no report, changed findings, another signature, signer or version."""
    with pytest.raises(Fault) as refused:
        check_report(change(sign_report(FINDINGS, KEY)))
    assert REPORT_INVALID is refused.value.spec


def test_invalid_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is none ends with 1 and its name."""
    file = tmp_path / "report.json"
    file.write_text("{}")
    assert FAILED == run_cli(["doctor", "divergence", "--verify", str(file), "--output", "json"])
    assert REPORT_INVALID.name == said(capfd)["error"]["name"]


def test_nobody_to_compare_with(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """divergence/NO_WITNESS where no peer is named."""
    assert TEMPORARY == run_cli(["doctor", "divergence", "--home", str(tmp_path), "--output", "json"])
    assert NO_WITNESS.name == said(capfd)["error"]["name"]


def test_a_healthy_node(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """divergence/NOT_DIVERGED, with the state that it is in."""
    (tmp_path / "genesis.json").write_bytes(demo().document)
    with Served(FakeNode()) as served:
        words = ["--home", str(tmp_path), "--node", served.address, "--peer", served.address, "--output", "json"]
        assert FAILED == run_cli(["doctor", "divergence", *words])
    error = said(capfd)["error"]
    assert (NOT_DIVERGED.name, "validating") == (error["name"], error["details"]["state"])


def test_in_thai() -> None:
    """People read it in their language; names and numbers stay."""
    english, thai = (report_lines(Options(lang=lang), FINDINGS) for lang in ("en", "th"))
    assert len(english) == len(thai)
    assert all("0xaa" in lines[-2] for lines in (english, thai))
    older = report_lines(Options(), {**FINDINGS, "unknown_until": FINDINGS["height"] - 1})
    assert len(older) == len(english) + 1
    third = report_lines(Options(), {**FINDINGS, "replay": {"agrees_with": None, "why": "pruned"}})
    assert third[-1].endswith("pruned")


def test_where_the_replay_begins(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At genesis without a snapshot, and where the one that is there does not hold."""
    home = Home(tmp_path)
    home.genesis_file.write_bytes(demo().document)
    shelf = Shelf(RealDisk(home.data))
    assert begin(home, 9).store.applied.height == 0
    assert not capfd.readouterr().err
    shelf.finish(5, b"no manifest")
    assert begin(home, 9).store.applied.height == 0
    assert SNAPSHOT_INVALID.name in capfd.readouterr().err
    assert begin(home, 4).store.applied.height == 0
    assert not capfd.readouterr().err
