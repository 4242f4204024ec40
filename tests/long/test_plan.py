"""The long run covers what it promises, and adds its parts up."""

import pytest

from tests.long.plan import BENCHMARKS, last_object, merged, steps


def test_full_counts() -> None:
    """5,000 consensus seeds and 500 network seeds, each seed once; all mutants, all twins, and every benchmark."""
    keys = [step.key for step in steps()]
    seeds = {name: sum(int(step.arguments[5]) for step in steps() if step.name == name) for name in _CAMPAIGNS}

    assert len(set(keys)) == len(keys)
    assert {"simulation_consensus": 5_000, "simulation_network": 500} == seeds
    assert {*BENCHMARKS, "mutants", "twins_three_views", "twins_two_views"} <= set(keys)


def test_merged_counts_add_up() -> None:
    """Counts add up, also inside coverage; lists join; names stay; the hash depends on order."""
    first = {"profile": "network", "seeds": 10, "violations": [], "coverage": {"crash": 2}, "hash": "a"}
    second = {"profile": "network", "seeds": 5, "violations": [7], "coverage": {"crash": 1, "wipe": 4}, "hash": "b"}

    result = merged([first, second])

    assert ("network", 15, [7]) == (result["profile"], result["seeds"], result["violations"])
    assert {"crash": 3, "wipe": 4} == result["coverage"]
    assert merged([second, first])["hash"] != result["hash"]


def test_last_object() -> None:
    """Only the last line counts."""
    assert {"seeds": 3} == last_object('a table\n{"seeds": 1}\n{"seeds": 3}\n')


@pytest.mark.parametrize("output", ["", "no json", "[1]", '{"a": 1}\ntrailing'])
def test_invalid_output(output: str) -> None:
    """A step that prints no summary is a failure."""
    with pytest.raises(ValueError, match=r".+"):
        last_object(output)


_CAMPAIGNS = ("simulation_consensus", "simulation_network")
