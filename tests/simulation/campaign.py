"""Many seeds of one profile in several processes, and one summary of what they showed."""

import hashlib
import logging
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import structlog

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


def quiet() -> None:
    """Nodes that crash and lie have much to say; the seed tells it all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


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
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        for seed, result in pool.imap(_one, tasks, chunksize=4):
            coverage += result.coverage
            digest.update(f"{seed}:{result.hash}\n".encode())
            for violation in result.violations:
                summary.violations.append(f"seed {seed}: {violation}")
                print(f"VIOLATION {profile} --seed {seed}: {violation}", file=sys.stderr, flush=True)
            done = seed - first + 1
            if progress and done % 50 == 0:
                print(
                    f"{profile}: {done}/{seeds} seeds, {len(summary.violations)} violations",
                    file=sys.stderr,
                    flush=True,
                )
    required = getattr(import_module(f"tests.simulation.{profile}"), "COVERAGE", ())
    if seeds >= ENOUGH_SEEDS:
        summary.violations += [f"never happened: {name}" for name in required if not coverage[name]]
    summary.coverage = dict(sorted(coverage.items()))
    summary.hash = digest.hexdigest()
    return summary
