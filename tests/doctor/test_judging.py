"""What is wrong is found, by name, and its consequences are not called causes."""

from typing import Any

import msgspec
import pytest

from cccnode.doctor.diagnosis import Verdict
from cccnode.doctor.facts import Finding, undecided
from cccnode.doctor.judging import diagnose, diagnose_network
from cccnode.doctor.observation import Said
from cccnode.types import errors
from cccnode.types.report import Report
from tests.doctor.support import BAD, HEIGHT, WORSE, World, brief, follower

HOUR_MS = 3_600_000
KEY_2 = (b"\x03" * 32,)


def causes(*named: tuple[str, list[int]]) -> list[tuple[str, list[int]]]:
    return list(named)


# Nothing is wrong


def test_healthy() -> None:
    """Blocks come and nothing is wrong: no cause, from every place."""
    world = World()
    for me in range(4):
        assert ("healthy", []) == brief(world.ask(me))
    assert ("healthy", []) == brief(world.ask_all())


def test_idle() -> None:
    """Nothing to do is no fault: the verdict says so, with the time of the next heartbeat."""
    diagnosis = World(armed=False, block_age_ms=9_000).ask(0)

    assert ("idle", [("doctor/IDLE", [])]) == brief(diagnosis)
    assert {"height": HEIGHT, "last_block_ms": 9_000, "heartbeat_ms": 30_000} == diagnosis.causes[0].evidence
    assert "healthy" == World(armed=False, block_age_ms=500).ask(0).verdict, "a block came just now"
    assert "healthy" == World(armed=False, block_age_ms=9_000, waiting=1).ask(0).verdict, "something waits"


def test_a_follower_says_the_same() -> None:
    """A node that only follows diagnoses as well; that it does not vote is no cause."""
    assert ("healthy", []) == brief(diagnose(follower(World().observe(0))))
    two_dead = World().change(2, 3, runs=False).observe(0)
    assert ("stalled", [("doctor/OFFLINE", [2, 3])]) == brief(diagnose(follower(two_dead)))


def test_a_follower_whose_clock_is_wrong() -> None:
    """A machine that is no validator is named in words."""
    observation = follower(World().observe(0))
    ahead = tuple(msgspec.structs.replace(seen, ahead_ms=-9_000) for seen in observation.validators)
    (cause,) = diagnose(msgspec.structs.replace(observation, validators=ahead)).causes

    assert ("doctor/WRONG_CLOCK", ()) == (cause.spec.name, cause.members)
    assert [{"index": "org0 (not a validator)", "ahead_ms": 9_000}] == cause.evidence["clocks"]


def test_a_single_validator() -> None:
    """A network of one reaches everybody it needs."""
    assert ("healthy", []) == brief(World(1).ask(0))


# ruff: noqa: E501 - one case a line reads best as a table
# One table: what is done to a network of four, and what every observer must say


@pytest.mark.parametrize(
    ("world", "me", "verdict", "expected"),
    [
        (World().change(3, runs=False), 0, "degraded", causes(("doctor/OFFLINE", [3]))),
        (World().change(2, 3, runs=False), 0, "stalled", causes(("doctor/OFFLINE", [2, 3]))),
        (World().change(1, 2, 3, runs=False), 0, "stalled", causes(("doctor/OFFLINE", [1, 2, 3]))),
        (World(7).change(5, 6, runs=False), 0, "degraded", causes(("doctor/OFFLINE", [5, 6]))),
        (World(7).change(4, 5, 6, runs=False, closed=False), 0, "stalled", causes(("doctor/PARTITION", [4, 5, 6]))),
        (World().change(3, root=BAD), 0, "degraded", causes(("doctor/OTHER_ROOT", [3]))),
        (World().change(3, root=BAD), 3, "degraded", causes(("doctor/OTHER_ROOT", [3]))),
        (World().change(3, state="diverged", reasons=("storage/DIVERGED",)), 3, "degraded", causes(("doctor/OTHER_ROOT", [3]))),
        (World().change(2, 3, root=BAD), 0, "stalled", causes(("doctor/OTHER_ROOT", [0, 1, 2, 3]))),
        (World().change(3, clock_ms=HOUR_MS), 0, "degraded", causes(("doctor/WRONG_CLOCK", [3]))),
        (World().change(3, clock_ms=HOUR_MS), 3, "degraded", causes(("doctor/WRONG_CLOCK", [3]))),
        (World().change(3, clock_ms=-HOUR_MS), 1, "degraded", causes(("doctor/WRONG_CLOCK", [3]))),
        (World().change(2, 3, clock_ms=-HOUR_MS), 0, "degraded", causes(("doctor/WRONG_CLOCK", [0, 1, 2, 3]))),
        (World().change(3, clock_ms=900), 0, "healthy", []),
        (World().change(3, rtt_ms=900), 0, "degraded", causes(("doctor/SLOW", [3]))),
        (World().change(3, rtt_ms=900), 3, "degraded", causes(("doctor/SLOW", [3]))),
        (World().change(2, lag_ms=4_000), 0, "degraded", causes(("doctor/SLOW", [2]))),
        (World().change(2, gap_ms=9_000), 0, "degraded", causes(("doctor/SLOW", [2]))),
        (World().change(2, height=HEIGHT - 40), 0, "degraded", causes(("doctor/SLOW", [2]))),
        (World().change(2, height=40, state="catching_up", reasons=("consensus/BEHIND",)), 0, "degraded", causes(("doctor/BEHIND", [2]))),
        (World().change(2, version="0.9"), 0, "degraded", causes(("doctor/OTHER_VERSION", [2]))),
        (World().change(2, version="0.9"), 2, "degraded", causes(("doctor/OTHER_VERSION", [2]))),
        (World().change(1, state="observing", reasons=("consensus/JOURNAL_LOST",)), 0, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, state="outdated", reasons=("node/OUTDATED",)), 0, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, state="observing", reasons=("storage/JOURNAL_CORRUPT",)), 1, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, 2, reasons=("consensus/SAFETY_ALARM",)), 0, "stalled", causes(("doctor/NOT_SIGNING", [1, 2]))),
        (World().change(1, reasons=("consensus/NOT_A_VALIDATOR",)), 0, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, reasons=("consensus/WATCHING",)), 0, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, quiet_views=8), 0, "degraded", causes(("doctor/NOT_SIGNING", [1]))),
        (World().change(1, quiet_views=7), 0, "healthy", []),
        (World().change(1, 2, quiet_views=8), 0, "healthy", []),
        (World().change(1, reasons=("net/DUPLICATE_IDENTITY",)), 0, "degraded", causes(("net/DUPLICATE_IDENTITY", [1]))),
        (World().change(1, free_disk_mb=300), 0, "degraded", causes(("doctor/DISK_LOW", [1]))),
        (World().change(1, free_disk_mb=10), 0, "degraded", causes(("home/DISK_FULL", [1]))),
        (World().change(3, runs=False, words=errors.DISK_FULL), 0, "degraded", causes(("home/DISK_FULL", [3]))),
        (World().change(3, runs=False, last_free_mb=5), 0, "degraded", causes(("home/DISK_FULL", [3]))),
        (World().change(3, runs=False, words=errors.NET_CLOSED), 0, "degraded", causes(("doctor/OFFLINE", [3]))),
        (World().split([0, 1], [2, 3]).stand(), 0, "stalled", causes(("doctor/PARTITION", [2, 3]))),
        (World().split([3], [0, 1, 2]), 0, "degraded", causes(("doctor/OFFLINE", [3]))),
        (World().split([3], [0, 1, 2]), 3, "isolated", causes(("net/NO_PEERS", [3]))),
        (World().split([0], [3]), 0, "degraded", causes(("doctor/LINK_DOWN", [0, 3]))),
        (World(index_behind=900), 0, "degraded", causes(("storage/INDEX_BEHIND", [0]))),
        (World(accused=("org2",)), 0, "degraded", causes(("doctor/DOUBLE_VOTE", [2]))),
        (World(boundary=True).stand(notarize=(0,)), 0, "stalled", causes(("doctor/EPOCH_PENDING", [1, 2, 3]))),
        (World().stand(notarize=(0, 1)), 0, "stalled", causes(("consensus/NO_QUORUM", [2, 3]))),
        (World(block_age_ms=200_000, armed=False), 0, "stalled", causes(("consensus/NO_QUORUM", []))),
    ],
)  # fmt: skip
def test_one_cause(world: World, me: int, verdict: str, expected: list[tuple[str, list[int]]]) -> None:
    """One thing is wrong, one node is asked, one cause is named."""
    assert (verdict, expected) == brief(world.ask(me))


@pytest.mark.parametrize(
    ("world", "verdict", "expected"),
    [
        (World().change(2, 3, runs=False), "stalled", causes(("doctor/OFFLINE", [2, 3]))),
        (World().change(3, root=BAD), "degraded", causes(("doctor/OTHER_ROOT", [3]))),
        (World().change(3, clock_ms=HOUR_MS), "degraded", causes(("doctor/WRONG_CLOCK", [3]))),
        (World().change(3, rtt_ms=900), "degraded", causes(("doctor/SLOW", [3]))),
        (World(7).change(2, 3, rtt_ms=900), "degraded", causes(("doctor/SLOW", [2, 3]))),
        (World().split([0, 1], [2, 3]).stand(), "stalled", causes(("doctor/PARTITION", [0, 1, 2, 3]))),
        (World().split([3], [0, 1, 2]), "degraded", causes(("doctor/PARTITION", [3]))),
        (World(7).split([0, 1, 2, 3, 4], [5, 6]), "degraded", causes(("doctor/PARTITION", [5, 6]))),
        (World().split([0], [3]), "degraded", causes(("doctor/LINK_DOWN", [0, 3]))),
        (World(7).split([0], [4, 5, 6]), "degraded", causes(("doctor/LINK_DOWN", [0]))),
        (World().change(3, runs=False, words=errors.DISK_FULL), "degraded", causes(("home/DISK_FULL", [3]))),
        (World().change(2, version="0.9"), "degraded", causes(("doctor/OTHER_VERSION", [2]))),
    ],
)
def test_asking_everybody(world: World, verdict: str, expected: list[tuple[str, list[int]]]) -> None:
    """All nodes that run are asked together: the same cause, and the sides of a cut by name."""
    assert (verdict, expected) == brief(world.ask_all())


@pytest.mark.parametrize(
    ("world", "verdict", "expected"),
    [
        (
            World().change(2, runs=False).change(3, root=BAD),
            "stalled",
            causes(("doctor/OTHER_ROOT", [3]), ("doctor/OFFLINE", [2])),
        ),
        (
            World().change(2, runs=False, words=errors.DISK_FULL).change(3, runs=False),
            "stalled",
            causes(("home/DISK_FULL", [2]), ("doctor/OFFLINE", [3])),
        ),
        (
            World().change(2, clock_ms=HOUR_MS).change(3, rtt_ms=900),
            "degraded",
            causes(("doctor/WRONG_CLOCK", [2]), ("doctor/SLOW", [3])),
        ),
        (
            World().change(2, runs=False).change(3, state="observing", reasons=("consensus/JOURNAL_LOST",)),
            "stalled",
            causes(("doctor/OFFLINE", [2]), ("doctor/NOT_SIGNING", [3])),
        ),
        (
            World().change(3, clock_ms=HOUR_MS, rtt_ms=900, height=HEIGHT - 50),
            "degraded",
            causes(("doctor/WRONG_CLOCK", [3])),
        ),
        (
            World().change(1, version="0.9", free_disk_mb=200),
            "degraded",
            causes(("doctor/OTHER_VERSION", [1]), ("doctor/DISK_LOW", [1])),
        ),
    ],
)
def test_several_causes(world: World, verdict: str, expected: list[tuple[str, list[int]]]) -> None:
    """Several things are wrong: each is named, what takes votes away first; a consequence is not."""
    assert (verdict, expected) == brief(world.ask(0))


# What stands beside a cause


def test_numbers_of_a_quorum() -> None:
    """A cause that takes votes away says how many are left and how many are needed."""
    (cause,) = World().change(2, 3, runs=False).ask(0).causes

    assert {"available": 2, "needed": 3, "validators": 4} == {
        key: cause.evidence[key] for key in ("available", "needed", "validators")
    }
    rows: Any = cause.evidence["seen"]
    assert [2, 3] == [row["index"] for row in rows]
    assert all("Connection refused" in row["error"] and not row["connected"] for row in rows)


def test_two_languages() -> None:
    """Every cause speaks English and Thai, with a remedy in both; a more exact reason is added and gives the remedy."""
    (cause,) = World().change(1, reasons=("consensus/JOURNAL_LOST",)).ask(0).causes

    assert errors.NOT_SIGNING.en in cause.text()
    assert errors.NOT_SIGNING_JOURNAL_LOST.en in cause.text("en")
    assert errors.NOT_SIGNING_JOURNAL_LOST.th in cause.text("th")
    assert errors.NOT_SIGNING_JOURNAL_LOST.remedy == cause.remedy()
    assert errors.NOT_SIGNING_JOURNAL_LOST.remedy_th == cause.remedy("th")
    assert "consensus/JOURNAL_LOST" == cause.evidence["reason"]


def test_a_wrong_clock_says_by_how_much() -> None:
    """The offset against the majority, and whether it is the machine that was asked."""
    for me, mine in ((0, False), (3, True)):
        (cause,) = World().change(3, clock_ms=HOUR_MS).ask(me).causes
        assert [{"index": 3, "ahead_ms": HOUR_MS}] == cause.evidence["clocks"]
        assert cause.evidence["this_machine"] is mine


def test_two_clocks_that_differ() -> None:
    """Of two machines nobody can say whose clock is wrong: both are named, and that it is not certain."""
    (cause,) = World(2).change(1, clock_ms=HOUR_MS).ask(0).causes

    assert [0, 1] == [member.index for member in cause.members]
    assert cause.evidence["certain"] is False


def test_clocks_that_are_behind_take_votes_away() -> None:
    """A clock far behind waits for every block's time: with three such of seven nothing comes."""
    world = World(7).change(4, 5, 6, clock_ms=-HOUR_MS)

    assert ("stalled", [("doctor/WRONG_CLOCK", [4, 5, 6])]) == brief(world.ask(0))


def test_roots_of_two_and_two() -> None:
    """Without a majority both groups are named."""
    (cause,) = World().change(2, 3, root=BAD).ask(0).causes

    assert cause.evidence["certain"] is False
    assert [[0, 1], [2, 3]] == cause.evidence["groups"]


@pytest.mark.parametrize(("count", "certain"), [(4, False), (7, True)])
def test_roots_of_two_that_also_differ_from_each_other(count: int, certain: bool) -> None:
    """Those whom the others contradict are named; only a majority makes it certain."""
    (cause,) = World(count).change(2, root=BAD).change(3, root=WORSE).ask_all().causes

    assert [2, 3] == [member.index for member in cause.members]
    assert certain is cause.evidence.get("certain", True)


def test_roots_at_other_heights() -> None:
    """The odd one out is found though the others' reports stand at different heights."""
    world = World().change(0, root=BAD).change(1, height=80).change(2, height=96)

    assert [("doctor/OTHER_ROOT", [0])] == brief(world.ask(0))[1]


def test_the_odd_one_out_sees_nothing_move() -> None:
    """A node that is out of it stands still; that the chain does too is not said while the others make blocks."""
    world = World().change(3, root=BAD, own={"stuck_ms": 60_000, "block_age_ms": 200_000})
    observation = world.observe(3)
    moving = tuple(
        msgspec.structs.replace(seen, told=msgspec.structs.replace(seen.told, rate=60)) if seen.told else seen
        for seen in observation.validators
    )

    assert "degraded" == diagnose(msgspec.structs.replace(observation, validators=moving)).verdict
    assert "stalled" == diagnose(observation).verdict, "nobody moves"


def test_other_rules() -> None:
    """A node whose record of the same epoch is another follows other rules: its results are not ours either."""
    observation = World().observe(0)
    last = observation.validators[3]
    report = msgspec.structs.replace(last.told.report, epoch_record_hash=BAD, root_height=0, height=3)
    told = msgspec.structs.replace(last.told, report=report, same=None)
    changed = msgspec.structs.replace(
        observation, validators=(*observation.validators[:3], msgspec.structs.replace(last, told=told))
    )

    assert ("doctor/OTHER_ROOT", [3]) in brief(diagnose(changed))[1]


def test_partition_from_one_side() -> None:
    """From one side a cut is a guess, and says so; the sides are who is reached and who is not."""
    (cause,) = World().split([0, 1], [2, 3]).ask(0).causes

    assert "one side only" == cause.evidence["seen_from"]
    assert [[0, 1], [2, 3]] == cause.evidence["sides"]
    assert (2, 3) == (cause.evidence["available"], cause.evidence["needed"])


def test_partition_from_both_sides() -> None:
    """Observers on both sides settle it."""
    (cause,) = World().split([0, 1], [2, 3]).stand().ask_all(0, 2).causes

    assert [[0, 1], [2, 3]] == cause.evidence["sides"]
    assert "seen_from" not in cause.evidence


def test_machines_that_are_off_on_the_other_side() -> None:
    """A machine that refuses connections is down, not cut off."""
    world = World().change(2, 3, runs=False, closed=True)

    assert [("doctor/OFFLINE", [2, 3])] == brief(world.ask(0))[1]


def test_silent_links() -> None:
    """A validator that hangs is offline before its link ends."""
    assert [("doctor/OFFLINE", [2])] == brief(World().change(2, quiet_ms=7_000).ask(0))[1]
    asleep = World().change(1, 2, 3, quiet_ms=7_000).change(0, lag_ms=3_000)
    assert [("doctor/SLOW", [0])] == brief(asleep.ask(0))[1], "we were asleep, not they"


def test_progress_of_a_node_that_is_behind() -> None:
    """Blocks behind, blocks in a minute, seconds to go."""
    world = World().change(0, height=40, state="catching_up", own={"behind": 60, "rate": 600})
    (cause,) = world.ask(0).causes

    assert [{"index": 0, "height": 40, "blocks": 60, "blocks_per_minute": 600, "ready_in_s": 6}] == cause.evidence[
        "progress"
    ]


def test_last_words_of_an_earlier_life() -> None:
    """Words that a node said before it came back do not explain why it is gone now."""
    observation = World().change(3, runs=False, words=errors.DISK_FULL).observe(0)
    gone = observation.validators[3]
    old = msgspec.structs.replace(gone, left=Said(name="home/DISK_FULL", age_ms=gone.silent_ms + 60_000))
    changed = msgspec.structs.replace(observation, validators=(*observation.validators[:3], old))

    assert [("doctor/OFFLINE", [3])] == brief(diagnose(changed))[1]


def test_a_slow_link_between_two_of_many() -> None:
    """One slow connection among fast ones blames the node that was not asked."""
    observation = World(7).observe(0)
    slow = msgspec.structs.replace(observation.validators[4], rtt_ms=2_000)
    validators = (*observation.validators[:4], slow, *observation.validators[5:])

    assert [("doctor/SLOW", [4])] == brief(diagnose(msgspec.structs.replace(observation, validators=validators)))[1]


def test_a_slow_machine_shows_its_round_trips() -> None:
    """Also when it was asked itself, and not those of another slow machine; between two slow ones it is all there is."""
    for asked in ((0,), (3,), (0, 1, 2, 3)):
        (cause,) = World().change(3, rtt_ms=900).ask_all(*asked).causes
        assert [(3, 900)] == [(row["index"], row["rtt_ms"]) for row in cause.evidence["seen"]]
    (cause,) = World().change(3, rtt_ms=900).change(2, lag_ms=4_000).ask_all().causes
    assert [(2, 2), (3, 900)] == [(row["index"], row["rtt_ms"]) for row in cause.evidence["seen"]]
    (cause,) = World(2).change(0, 1, rtt_ms=900).ask_all().causes
    assert [(0, 900), (1, 900)] == [(row["index"], row["rtt_ms"]) for row in cause.evidence["seen"]]


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (World(), False),
        (World().change(2, quiet_ms=3_000), True),
        (World().change(2, quiet_ms=7_000), False),
        (World().change(2, quiet_ms=7_000).change(0, lag_ms=2_000), True),
        (World().change(2, runs=False), False),
    ],
)
def test_undecided(world: World, expected: bool) -> None:
    """A moment later more is known of a connected validator that is late; not of one that is silent, or gone."""
    assert expected is undecided(world.observe(0))


# Isolation


@pytest.mark.parametrize("spec", [errors.NODE_UNREGISTERED, errors.NET_WRONG_CHAIN, errors.NET_DUPLICATE])
def test_isolated_for_a_reason(spec: Any) -> None:
    """What all others have against a node is the cause; they are not called offline."""
    world = World().split([0], [1, 2, 3])
    diagnosis = world.ask(0, refusal=Said(name=spec.name, text="told"))

    assert ("isolated", [(spec.name, [0])]) == brief(diagnosis)
    assert "told" == diagnosis.causes[0].evidence["told"]


def test_isolated_follower() -> None:
    """A node that is not registered yet, and so no validator, says so."""
    observation = follower(World().split([0], [1, 2, 3]).observe(0))
    first = msgspec.structs.replace(observation.validators[0], linked=False, silent_ms=None, told=None)
    alone = msgspec.structs.replace(
        observation,
        links=0,
        validators=(first, *observation.validators[1:]),
        refusal=Said(name="net/NOT_REGISTERED", text=""),
    )

    assert ("isolated", [("net/NOT_REGISTERED", [])]) == brief(diagnose(alone))


def test_kept_out_of_the_network() -> None:
    """With several views, one node that is kept out for a reason of its own is no partition."""
    world = World().split([3], [0, 1, 2])
    world.nodes[3].own["refusal"] = Said(name="net/VERSION", text="own=1..1, its=2..2")

    assert ("degraded", [("doctor/OTHER_VERSION", [3])]) == brief(world.ask_all())


# Nodes that do not answer the doctor


def test_findings_explain_who_is_offline() -> None:
    """What was found on a machine is the cause; that its node merely does not run is doctor/OFFLINE."""
    world = World().change(2, runs=False)
    port = Finding(spec=errors.PORT_IN_USE, values={"address": "a:1"}, ended=True, consensus_keys=KEY_2)
    open_key = Finding(spec=errors.KEY_PERMISSIONS, consensus_keys=KEY_2)
    resting = Finding(spec=errors.NOT_RUNNING, consensus_keys=KEY_2)

    diagnosis = world.ask_all(findings=(open_key, port))
    assert [("home/PORT_IN_USE", [2])] == brief(diagnosis)[1], "the node said so when it ended"
    assert "a:1" == diagnosis.causes[0].evidence["seen"][0]["address"]
    assert [("keys/PERMISSIONS", [2])] == brief(world.ask_all(findings=(open_key,)))[1]
    assert [("doctor/OFFLINE", [2])] == brief(world.ask_all(findings=(resting,)))[1]
    guess = Finding(spec=errors.PORT_IN_USE, consensus_keys=KEY_2)
    assert [("doctor/OFFLINE", [2])] == brief(world.ask_all(findings=(guess,)))[1]


def test_hanging_nodes() -> None:
    """Two that hang: silent to the others, their processes there, no answer; doctor/OFFLINE, and no partition."""
    world = World().change(2, 3, runs=False, closed=False).stand()
    findings = tuple(
        Finding(spec=errors.NOT_ANSWERING, values={"process": "7"}, consensus_keys=(bytes([index + 1]) * 32,))
        for index in (2, 3)
    )
    diagnosis = world.ask_all(findings=findings)

    assert ("stalled", [("doctor/OFFLINE", [2, 3])]) == brief(diagnosis)
    assert ["doctor/NOT_ANSWERING"] * 2 == [row["found"] for row in diagnosis.causes[0].evidence["seen"]]


def test_only_the_rpc_hangs() -> None:
    """A validator whom the others hear and that does not answer the doctor votes: a warning."""
    finding = Finding(spec=errors.NOT_ANSWERING, consensus_keys=KEY_2)

    for world in (World(), World().change(2, height=HEIGHT - 40, rtt_ms=900)):
        diagnosis = world.ask_all(0, 1, 3, findings=(finding,))
        assert ("degraded", [("doctor/NOT_ANSWERING", [2])]) == brief(diagnosis), "and is not called slow beside that"


def test_strangers() -> None:
    """An address that does not answer is a cause of its own only when nobody is missing."""
    stranger = Finding(spec=errors.UNREACHABLE, values={"node": "10.0.0.9:1"})

    assert [("client/UNREACHABLE", [])] == brief(World().ask_all(findings=(stranger,)))[1]
    world = World().change(3, runs=False)
    assert [("doctor/OFFLINE", [3])] == brief(world.ask_all(findings=(stranger,)))[1]


def test_nobody_answers() -> None:
    """Without any observation the findings are the causes; a process that hangs is a standstill, not absence."""
    full = Finding(spec=errors.DISK_FULL, values={"path": "x"})
    assert ("not_running", [("home/DISK_FULL", [])]) == brief(diagnose_network([], [full]))
    assert ("stalled", [("doctor/NOT_ANSWERING", [])]) == brief(
        diagnose_network([], [Finding(spec=errors.NOT_ANSWERING)])
    )
    assert Verdict.NOT_RUNNING == diagnose_network([]).verdict


def test_one_node_asked_twice() -> None:
    """The same node given twice counts once."""
    observation = World().observe(0)

    assert ("healthy", []) == brief(diagnose_network([observation, observation]))


def test_observers_in_different_epochs() -> None:
    """Validators are told apart by name and key when the epochs of two observers differ."""
    world = World().change(3, runs=False)
    old, new = world.observe(0), world.observe(1)
    order = [1, 2, 3, 0]
    moved = tuple(msgspec.structs.replace(new.validators[place], index=index) for index, place in enumerate(order))
    own: Report = msgspec.structs.replace(new.own, epoch=1, epoch_record_hash=BAD, linked=b"\x03")
    later = msgspec.structs.replace(new, own=own, me=0, validators=moved)
    old = msgspec.structs.replace(
        old, validators=tuple(msgspec.structs.replace(seen, told=None) for seen in old.validators)
    )
    diagnosis = diagnose_network([old, later])

    (cause,) = diagnosis.causes
    assert errors.OFFLINE is cause.spec
    assert [(2, "org3")] == [(member.index, member.organisation) for member in cause.members]
