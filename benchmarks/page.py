"""The kept results on one page."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Benchmark, Figures

RESULTS: Final = Path(__file__).parent / "results"
_NETWORK: Final = (
    "committed_tx_per_s",
    "offered_tx_per_s",
    "seconds",
    "sustained",
    "max_tx_per_s",
    "cpu_s_per_1000_tx",
    "cpu_pynacl_verifies",
    "disk_bytes_per_tx_per_node",
    "wire_bytes_per_tx_per_node",
    "overload_to_max",
    "recovered_after_s",
    "flooded_to_usual",
    "idle_core_share_per_node",
)
_LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "signatures": ("call_of_64_in_pynacl_verifies",),
    "block_validation": ("tx_per_s", "accounts", "pynacl_verifies_per_tx"),
    "state_commit": ("groups_per_s_per_core",),
    "consensus": ("cpu_us_per_block_all_nodes",),
    "network": _NETWORK,
    "city": ("committed_tx_per_s", "sustained", "records", "state_depth", "apply_us_against_fewest_records"),
    "catch_up": ("tx_per_s", "blocks_per_s", "loop_bound_tx_per_s", "accounts"),
    "join": ("accounts", "seconds", "rss_mb", "serving_rss_growth_mb", "joiner_killed", "liars_found", "verified"),
    "endurance": ("transactions", "rate", "seconds", "keep", "p99_against_quiet"),
    "memory": ("cases",),
    "events": ("subscribers", "events_per_s", "delivered_per_s", "exactly_once", "node_core_share", "rss_peak_mb"),
    "export": ("target", "rows_per_s", "tx_per_s", "transactions", "missing", "lag_blocks", "lag_ms", "rss_peak_mb"),
}


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """Every kept result by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def lines(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    """What one result says, in short."""
    at = result["machine"]
    yield f"\n{name}: {result['command']}"
    yield f"  {result['date'][:10]}, {result['commit']}, {at['cpu']}, {at['cores']} cores, {at['python']}"
    for case, ratio in result.get("ratio_to_pynacl", {}).items():
        if case.endswith("/batch=64"):
            yield f"  {case}: {ratio} times PyNaCl"
    for key in _LINES.get(result["name"], ()):
        if result.get(key) is not None:
            yield f"  {key}: {result[key]}"
    for key in ("cpu_us_per_tx", "cpu_us_per_tx_per_node", "finality_ms", "rss_mb_per_node"):
        if key in result:
            yield f"  {key}: {', '.join(_cells(result[key]))}"


def _cells(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key} {_least(part)}" for key, part in value.items()]
    return [str(part) for part in value]


def _least(part: Any) -> Any:
    """Of repetitions the least; of latencies, told apart by what went on meanwhile, the 99th percentile."""
    return part.get("min", part.get("p99")) if isinstance(part, Mapping) else part


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where results are kept; default: %(default)s")


def _run(options: argparse.Namespace) -> Figures:
    kept = results(options.folder)
    print("\n".join(line for name, result in kept.items() for line in lines(name, result)))
    return {"files": list(kept)}


BENCHMARK: Final = Benchmark(
    name="page",
    en="Measures nothing: the results that are kept in benchmarks/results, on one page.",
    example="",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
