"""The steps of a long run, and how the results of several steps become one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

BENCHMARKS = ("signatures", "block_validation", "state_commit", "consensus", "network", "city", "catch_up")
"""Names of `python -m benchmarks NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command that ends in a few minutes; several may share a name and then add up to one result."""

    name: str
    key: str
    """Unique; what is remembered as done."""
    arguments: tuple[str, ...]
    """After the interpreter."""
    summary: bool
    """Whether the last line that it prints is a JSON object."""


def steps() -> tuple[Step, ...]:
    """Everything, cheapest evidence first."""
    return (
        _pytest("long_tests", "-m", "long"),
        _pytest(
            "properties",
            "--hypothesis-profile=long",
            "--timeout=3600",
            "--ignore=tests/tidy",
            "--ignore=tests/end_to_end",
        ),
        Step(name="mutants", key="mutants", arguments=("-m", "tests.simulation", "--mutants", "--json"), summary=True),
        *_twins("three_views", "--rounds", "3"),
        *_twins("two_views", "--rounds", "2", "--leaders"),
        *_campaign("consensus", seeds=5_000, at_once=250),
        *_campaign("network", seeds=500, at_once=10),
        *(
            Step(name=name, key=name, arguments=("-m", "benchmarks", name, "--json"), summary=True)
            for name in BENCHMARKS
        ),
    )


def _pytest(name: str, *options: str) -> Step:
    return Step(name=name, key=name, arguments=("-m", "pytest", "-q", *options), summary=False)


def _twins(name: str, *options: str) -> list[Step]:
    command = ("-m", "tests.simulation.twins", *options, "--json")
    return [Step(name=f"twins_{name}", key=f"twins_{name}", arguments=command, summary=True)]


def _campaign(profile: str, *, seeds: int, at_once: int) -> list[Step]:
    name = f"simulation_{profile}"
    fixed = ("-m", "tests.simulation", "--profile", profile, "--seeds", str(at_once), "--json", "--seed")
    return [
        Step(name=name, key=f"{name}/{first}", arguments=(*fixed, str(first)), summary=True)
        for first in range(0, seeds, at_once)
    ]


def last_object(output: str) -> dict[str, Any]:
    """The JSON object that a benchmark or a campaign prints as its last line.

    Raises:
        ValueError: the last line is no JSON object.
    """
    value = json.loads((output.strip().splitlines() or [""])[-1])
    if not isinstance(value, dict):
        raise ValueError("the last line is no JSON object")  # noqa: TRY004 - as json.loads would say it
    return value


def merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One summary for the parts of a campaign: counts add up, lists join, hashes are hashed in order."""
    if len(parts) == 1:
        return dict(parts[0])
    keys = sorted(set(chain.from_iterable(parts)))
    return {key: _joined(key, [part[key] for part in parts if key in part]) for key in keys}


def _joined(key: str, values: list[Any]) -> Any:
    if key == "hash":
        return hashlib.sha256("\n".join(str(value) for value in values).encode()).hexdigest()
    if all(isinstance(value, dict) for value in values):
        return merged(values) if len(values) > 1 else values[0]
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and key != "schema":
        return sum(values)
    return values[0]
