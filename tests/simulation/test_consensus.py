"""Profile `consensus` on a fixed sample of seeds; the mutants that it must catch; the same seed, the same run."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.consensus import COVERAGE, MODES, Simulation, run_seed
from tests.simulation.table import TABLE, Row, judge, line_of
from tests.tidy.source import ROOT

SAMPLE = 100
FOUND_ONCE = (1529,)
"""Seeds that once found something: validators lost the certificate of a block that only they had executed (1529)."""


def test_a_sample_of_seeds_is_safe_and_live() -> None:
    """No seed of the sample violates a rule, and together they met everything they are meant to meet."""
    results = {seed: run_seed(seed) for seed in (*range(SAMPLE), *FOUND_ONCE)}
    coverage = sum((result.coverage for result in results.values()), Counter[str]())

    assert {} == {seed: result.violations for seed, result in results.items() if result.violations}
    assert [] == [name for name in COVERAGE if not coverage[name]]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_mutant_meets_its_fate(row: Row) -> None:
    """A rule that is needed is missed by somebody when it is broken; one that has a stand-in is missed by nobody."""
    outcome = judge(row, search=False)

    assert outcome.right, line_of(outcome)


def test_every_rule_has_a_mutant() -> None:
    """No numbered rule is left out of the table."""
    rules = {number for row in TABLE for number in row.rule.split()}
    numbered = set(
        re.findall(r"^- \*\*(R\d+)\b", (ROOT / "consensus/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert numbered
    assert numbered <= rules


@pytest.mark.parametrize("mode", sorted(set(MODES)))
def test_each_kind_of_liar_alone(mode: str) -> None:
    """Whatever kind the Byzantine validators are of, also where only a quorum heals."""
    assert [] == Simulation(2, count=7, mode=mode, quorum_only=False).run().violations
    assert [] == Simulation(3, count=4, mode=mode, quorum_only=True).run().violations


def test_real_keys_make_no_difference() -> None:
    """With Ed25519 in place of the stand-in a network is as safe, and as live."""
    assert [] == Simulation(1, count=4, real_keys=True).run().violations


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_twenty_seeds_with_real_keys() -> None:
    """The same for twenty networks of all sizes."""
    assert {} == {s: found for s in range(20) if (found := Simulation(s, real_keys=True).run().violations)}


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
