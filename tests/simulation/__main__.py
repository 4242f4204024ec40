"""`python -m tests.simulation --profile consensus|network|all --seeds N [--seed FIRST] [--json]`.

Runs seeds FIRST..FIRST+N-1 of the profile in two processes.  Exits 1 when a seed violates a rule, naming the seed, or
when a campaign of some size never met what it is meant to meet.
"""

import argparse
import hashlib
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module

from tests.simulation.result import Result

PROFILES = ("consensus", "network")
PROCESSES = 2
ENOUGH_SEEDS = 100
"""From this many seeds on, every counter of a profile's `COVERAGE` must have moved."""


@dataclass(slots=True)
class Summary:
    """What a campaign showed."""

    profile: str
    seeds: int
    first: int
    violations: list[str] = field(default_factory=list)
    coverage: dict[str, int] = field(default_factory=dict)
    hash: str = ""


def _runner(profile: str) -> Callable[[int], Result]:
    runner: Callable[[int], Result] = import_module(f"tests.simulation.{profile}").run_seed
    return runner


def _one(task: tuple[str, int]) -> tuple[int, Result]:
    profile, seed = task
    return seed, _runner(profile)(seed)


def campaign(profile: str, first: int, seeds: int, *, progress: bool, processes: int = PROCESSES) -> Summary:
    """Run the seeds; results join in the order of the seeds, however the processes finish."""
    tasks = [(profile, seed) for seed in range(first, first + seeds)]
    summary, coverage, digest = Summary(profile, seeds, first), Counter[str](), hashlib.sha256()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for seed, result in pool.imap(_one, tasks, chunksize=4):
            coverage += result.coverage
            digest.update(f"{seed}:{result.hash}\n".encode())
            for violation in result.violations:
                summary.violations.append(f"seed {seed}: {violation}")
                print(f"VIOLATION {profile} --seed {seed}: {violation}", file=sys.stderr, flush=True)
            done = seed - first + 1
            if progress and done % 50 == 0:
                print(f"{profile}: {done}/{seeds} seeds, {len(summary.violations)} violations", file=sys.stderr, flush=True)
    required = getattr(import_module(f"tests.simulation.{profile}"), "COVERAGE", ())
    if seeds >= ENOUGH_SEEDS:
        summary.violations += [f"never happened: {name}" for name in required if not coverage[name]]
    summary.coverage = dict(sorted(coverage.items()))
    summary.hash = digest.hexdigest()
    return summary


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--profile", choices=(*PROFILES, "all"), default="all")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--json", action="store_true", help="one JSON object per profile, without progress")
    options = parser.parse_args()
    wanted = PROFILES if options.profile == "all" else (options.profile,)
    failed = False
    for profile in wanted:
        summary = campaign(profile, options.seed, options.seeds, progress=not options.json)
        failed |= bool(summary.violations)
        if options.json:
            print(json.dumps(asdict(summary), sort_keys=True))
        else:
            verdict = "FAILED" if summary.violations else "ok"
            print(f"{profile}: {summary.seeds} seeds from {summary.first}, {len(summary.violations)} violations: {verdict}")
            for name, count in summary.coverage.items():
                print(f"  {name:32}{count:>12}")
            print(f"  hash {summary.hash}")
            for violation in summary.violations:
                print(f"  {violation}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
