"""Every story comes out as it says, and a story that says something wrong is found out."""

import pytest

from tests.scenarios.runner import Failed, names, play, play_file
from tests.scenarios.words import Unreadable

PASSES = """
validators 4
work all
run 1000
expect final >= 3
"""


@pytest.mark.parametrize("name", names())
def test_story(name: str) -> None:
    """What the first lines of the file say."""
    play_file(name)


def test_the_scenarios_of_the_design_are_told() -> None:
    """Every kind of trap that consensus.md 5.6 names is among the stories."""
    wanted = {
        "split_views", "split_views_reversed", "late_notarization", "all_crash_after_nullify",
        "all_crash_after_notarize", "leader_crash_before_send", "crash_between_persist_and_send",
        "equivocating_leader", "withheld_body",
        "future_votes", "last_block_of_an_epoch", "joiner_at_a_boundary", "removed_leader", "idle_until_work",
        "another_root_at_one", "another_root_at_two", "lying_about_the_root", "slow_execution", "own_key_elsewhere",
        "clock_ahead", "clock_behind",
    }  # fmt: skip

    assert wanted <= set(names())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("expect final >= 1000", "final"),
        ("expect no chain with view 1", "final"),
        ("expect view < 2", "view"),
        ("expect alarm at 0", "final"),
        ("expect evidence against 3", "final"),
        ("expect votes nullify >= 1", "final"),
    ],
)
def test_invalid_expectations_fail(line: str, said: str) -> None:
    """What is not true is named with its line and where everybody stands."""
    with pytest.raises(Failed, match=r"line 6, `expect") as failed:
        play(PASSES + line)
    assert said in str(failed.value)


@pytest.mark.parametrize(
    "line",
    [
        "dance",
        "expect",
        "expect luck",
        "run fast",
        "lose hope",
        "propose y to 0",
        "crash",
        "run 10 20",
        "expect final 3",
        "withhold judgement from 1",
    ],
)
def test_invalid_lines_are_refused(line: str) -> None:
    """A line that means nothing is refused with its number, instead of being passed over."""
    with pytest.raises((Unreadable, Failed), match="line 6"):
        play(PASSES + line)


def test_an_unexpected_alarm_fails_a_story() -> None:
    """An alarm that no line expects is never passed over."""
    with pytest.raises(Failed, match="alarm at 0"):
        play("validators 4\nrun 10\nvote 0 nullify 1 to 0\ndeliver\n")


def test_a_story_without_events_is_refused() -> None:
    """An empty file proves nothing."""
    with pytest.raises(Unreadable, match="nothing happens"):
        play("validators 4  # and that is all\n")
