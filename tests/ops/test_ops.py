"""What operators get beside the program: rules and dashboards that name what exists, units that systemd accepts."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cccnode.telemetry import Metrics
from tests.tidy.source import ROOT, nothing

OPS = ROOT / "ops"
ALERTS = OPS / "prometheus" / "alerts.yml"
RUNBOOK = "docs/en/how-to-answer-alerts.md"
DASHBOARDS = sorted((OPS / "grafana").glob("*.json"))
EXPOSURE_MAX = 2.5
"""systemd's figure for what a broken service could reach: 10 everything, below 3 is called well protected."""


def exported() -> set[str]:
    """Every name that a query may use: families, and the parts of histograms."""
    kinds = re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().render().decode(), re.MULTILINE)
    parts = {f"{name}{part}" for name, kind in kinds if kind == "histogram" for part in ("_bucket", "_sum", "_count")}
    return {name for name, _ in kinds} | parts


def named(expression: str) -> set[str]:
    """The metrics in a query."""
    return set(re.findall(r"\b(?:cccnode|process)_\w+", expression))


def queries(board: Path) -> Iterator[str]:
    content = json.loads(board.read_text(encoding="utf-8"))
    for panel in content["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (row["query"] for row in content["templating"]["list"] if row["type"] == "query")


def alerts() -> dict[str, str]:
    """Alert and expression."""
    return dict(re.findall(r"- alert: (\w+)\n +expr: (.+)", ALERTS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_name_what_is_exported(board: Path) -> None:
    """Every query of a dashboard asks for metrics that a node has, and its braces close."""
    asked = list(queries(board))
    assert asked
    nothing(f"{name} in {query}" for query in asked for name in named(query) - exported())
    nothing(query for query in asked if query.count("(") != query.count(")") or query.count("{") != query.count("}"))


def test_alerts_name_what_is_exported() -> None:
    """Every alert asks for metrics that a node has."""
    rules = alerts()
    assert len(rules) == len(re.findall(r"- alert:", ALERTS.read_text(encoding="utf-8"))) > 10
    nothing(f"{rule}: {name}" for rule, query in rules.items() for name in named(query) - exported())


def test_every_alert_has_its_section() -> None:
    """The runbook has exactly one section for each alert, in the same order, and the rule links to it."""
    sections = re.findall(r"^## (\w+)$", (ROOT / RUNBOOK).read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == list(alerts())
    links = re.findall(r"runbook: (\S+)$", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert links == [f"{RUNBOOK}#{name.lower()}" for name in alerts()]


UNSHOWN = {
    "cccnode_consensus_last_block_timestamp_seconds": "an idle network makes no blocks: its age says little",
    "cccnode_node_stage_items_total": "the stage's processor time is shown",
    "cccnode_p2p_sent_messages_total": "its bytes are shown",
    "cccnode_storage_earliest_height": "changes as the policy says",
}
"""Metrics that no dashboard and no alert uses, each with the reason."""


def test_every_metric_is_shown() -> None:
    """A metric is on a dashboard or in an alert, or stands in the list with its reason."""
    used = {name for board in DASHBOARDS for query in queries(board) for name in named(query)}
    used |= {name for query in alerts().values() for name in named(query)}
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in used}
    parts = ("_bucket", "_sum", "_count", "_created")
    families = {name for name in exported() if name.startswith("cccnode_") and not name.endswith(parts)}

    assert set(UNSHOWN) == families - shown


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_rules() -> None:
    """Prometheus itself reads the rules, the configuration, and the metrics of a node."""
    for arguments in (["rules", str(ALERTS)], ["config", str(OPS / "prometheus" / "prometheus.yml")]):
        done = subprocess.run(["promtool", "check", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
    lint = subprocess.run(["promtool", "check", "metrics"], input=Metrics().render(), capture_output=True, check=False)
    assert lint.returncode == 0, lint.stderr.decode()


@pytest.mark.needs("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """The unit has no unknown line, and what it may reach is little."""
    text = (OPS / "systemd" / "cccnode.service").read_text(encoding="utf-8")
    unit = tmp_path / "cccnode.service"
    unit.write_text(re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert "cccnode.service:" not in verified.stderr, verified.stderr
    command = ["systemd-analyze", "security", "--offline=true", str(unit)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)
    assert level, judged.stdout + judged.stderr
    assert float(level[1]) <= EXPOSURE_MAX
