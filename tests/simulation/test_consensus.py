"""Profile `consensus` on a fixed sample of seeds; the mutants that it must catch; the same seed, the same run."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation import mutants
from tests.simulation.consensus import COVERAGE, Simulation, run_seed

SAMPLE = 150


def test_a_sample_of_seeds_is_safe_and_live() -> None:
    """No seed of the sample violates a rule, and together they met everything they are meant to meet."""
    results = [run_seed(seed) for seed in range(SAMPLE)]
    coverage = sum((result.coverage for result in results), Counter[str]())

    assert {} == {seed: result.violations for seed, result in enumerate(results) if result.violations}
    assert [] == [name for name in COVERAGE if not coverage[name]]


@pytest.mark.parametrize(
    ("mutation", "options", "seeds"),
    [
        (mutants.finalize_after_nullify, {}, range(8, 10)),
        (mutants.nullify_after_finalize, {}, range(2)),
        (mutants.skip_justification, {"mode": "liar"}, range(8, 12)),
        (mutants.notarize_twice, {}, range(3)),
        (mutants.send_before_persist, {"crash": 0.02}, range(12)),
        (mutants.forget_own_votes, {}, range(5, 10)),
        (mutants.neither_repeat_nor_help, {}, range(3)),
        (mutants.vote_without_body, {}, range(3)),
        (mutants.lose_persists, {}, range(4)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_rule_is_caught(
    monkeypatch: pytest.MonkeyPatch, mutation: mutants.Mutation, options: dict[str, object], seeds: range
) -> None:
    """Every rule is needed: without it, few seeds suffice to see a contradiction, a fork or a halt."""
    mutation(monkeypatch)

    assert any(Simulation(seed, **options).run().violations for seed in seeds)


def test_a_lost_journal_is_caught() -> None:
    """A validator that forgets its votes and signs on is noticed: by itself, or by the audit."""
    assert any(Simulation(seed, amnesia=True).run().violations for seed in range(4))


@pytest.mark.parametrize("mode", ["liar", "twins"])
def test_one_byzantine_validator_too_many_is_caught(mode: str) -> None:
    """Control: with f + 1 Byzantine validators the simulation shows forks, so it can see them."""
    assert any(Simulation(seed, count=4, byzantine=2, mode=mode).run().violations for seed in range(4))


def test_the_same_seed_gives_the_same_run() -> None:
    """A run depends on its seed only, not on the order in which Python happens to hash."""
    options = ["--profile", "consensus", "--seeds", "4", "--seed", "20", "--json"]
    command = [sys.executable, "-m", "tests.simulation", *options]
    summaries = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        summaries.append(json.loads(done.stdout))

    assert summaries[0] == summaries[1]
    assert summaries[0]["hash"]


def test_a_seed_is_not_another() -> None:
    """Different seeds give different runs."""
    assert run_seed(20).hash != run_seed(21).hash
