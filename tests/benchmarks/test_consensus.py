"""The protocol's own cost, in network delays and messages, is what the paper says."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.__main__ import main
from benchmarks.consensus import fitted, measure


@pytest.mark.parametrize(("validators", "messages"), [(4, 60), (7, 200), (10, 410), (16, 1_060)])
def test_a_block_every_two_delays_and_final_after_three(validators: int, messages: int) -> None:
    """With constant delay δ and no minimum interval: exactly 2δ and 3δ, whatever the size; messages are bounded."""
    measured = measure(validators, 6)

    assert measured.exact
    assert (2.0, 2.0) == measured.interval
    assert (3.0, 3.0) == measured.finality
    assert measured.messages_per_block < messages


def test_figures_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command reports every size as JSON and draws the figures against the number of validators."""
    picture = tmp_path / "consensus.svg"
    code = main(["consensus", "--json", "--validators", "4", "5", "--blocks", "3", "--svg", str(picture)])

    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    drawn = ET.fromstring(picture.read_text(encoding="utf-8"))
    assert code == 0
    assert result["sound"]
    assert [4, 5] == [size["validators"] for size in result["sizes"]]
    assert 3 == len(drawn.findall("{http://www.w3.org/2000/svg}polyline"))


def test_one_size_alone_is_drawn(tmp_path: Path) -> None:
    """A single point is a picture as well."""
    picture = tmp_path / "one.svg"
    main(["consensus", "--validators", "4", "--blocks", "2", "--svg", str(picture)])

    assert "between two blocks" in picture.read_text(encoding="utf-8")


def test_cost_is_fitted_against_the_square() -> None:
    """Exact squares are found; one size alone says nothing."""
    fit = fitted([4, 7, 10], [100 + 5 * n * n for n in (4, 7, 10)])

    assert fit is not None
    assert (round(fit.base_us), round(fit.square_us), round(fit.r_squared, 6)) == (100, 5, 1.0)
    assert fitted([4], [1.0]) is None
