"""Metrics: one registry per node, names that follow the rule; the log: one line an event."""

import json
import re

import pytest
import structlog

from cccnode.telemetry import LOUDNESS, Metrics, start_logging


def test_names_follow_the_rule() -> None:
    """Own metrics begin with cccnode_; counters end in _total; a time is in seconds."""
    text = Metrics().render().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    own = {name: kind for name, kind in kinds.items() if not name.startswith("process_")}
    assert own
    for name, kind in own.items():
        assert name.startswith("cccnode_")
        assert (kind == "counter") == name.endswith("_total")
        assert "_ms" not in name


def test_registries_are_apart() -> None:
    """Two nodes in one process do not share a metric."""
    one, two = Metrics(), Metrics()
    one.height.set(5)
    assert b"cccnode_consensus_height 5.0" in one.render()
    assert b"cccnode_consensus_height 0.0" in two.render()


def test_refresh_before_scrape() -> None:
    """Gauges may be set just before each scrape."""
    metrics = Metrics()
    heights = iter([7, 8])
    metrics.before_scrape(lambda: metrics.height.set(next(heights)))
    assert b"cccnode_consensus_height 7.0" in metrics.render()
    assert b"cccnode_consensus_height 8.0" in metrics.render()


def test_build_information() -> None:
    """The build names program, Python, chain and node."""
    metrics = Metrics()
    metrics.identify(version="1", chain="0xaa", node="0xbb")
    assert re.search(
        rb'cccnode_build_info\{chain="0xaa",node="0xbb",python="3\.\d+\.\d+",version="1"\} 1.0', metrics.render()
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_log(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Events go to standard error, with bytes in short hexadecimal, and only from the level asked for."""
    start_logging(level="info", form=form)
    log = structlog.get_logger("area")
    log.debug("hidden")
    log.info("block", height=5, id=b"\xab" * 32)
    structlog.reset_defaults()
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert "abababababababab" in line
    assert "hidden" not in line
    if form == "json":
        assert (json.loads(line)["height"], json.loads(line)["level"]) == (5, "info")


def test_the_level_changes_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """A logger that was made and used before says more, or less, from the next event on."""
    start_logging(level="warning", form="text")
    log = structlog.get_logger("area")
    log.info("first")
    assert LOUDNESS.set("debug") == "warning"
    log.debug("second")
    LOUDNESS.set("error")
    log.warning("third")
    LOUDNESS.set("info")
    structlog.reset_defaults()
    said = capsys.readouterr().err
    assert [word for word in ("first", "second", "third") if word in said] == ["second"]
