"""Whatever is observed, the doctor answers, and the same every time."""

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cccnode.codec import decode, encode
from cccnode.doctor.diagnosis import Diagnosis, Verdict
from cccnode.doctor.facts import Finding
from cccnode.doctor.judging import diagnose, diagnose_network
from cccnode.doctor.observation import SPAN_MAX, Observation, Said, Seen, Told, offset, span
from cccnode.rpc.envelopes import diagnosis_object
from cccnode.rpc.values import reader, writer
from cccnode.types import errors
from cccnode.types.report import Report
from tests.doctor.support import BAD, GOOD, RECORD, World

spans = st.one_of(st.integers(0, 40_000), st.just(SPAN_MAX))
maybe = st.one_of(st.none(), spans)
hashes = st.sampled_from([GOOD, BAD, RECORD])
names = st.sampled_from([spec.name for spec in errors.CORE_ERRORS] + ["", "nobody/KNOWS"])
said = st.builds(Said, name=names, text=st.text(max_size=9), age_ms=spans)
reports = st.builds(
    Report,
    version=st.sampled_from(["1", "2"]),
    wall_ms=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 2),
    view=st.integers(0, 9),
    height=st.integers(0, 99),
    state_root=hashes,
    state=st.sampled_from(["validating", "observing", "catching_up", "diverged", ""]),
    reasons=st.lists(names, max_size=8).map(tuple),
    free_disk_mb=st.sampled_from([0, 100, 9_999]),
    epoch_record_hash=hashes,
    root_height=st.sampled_from([0, 16, 32]),
    root=hashes,
    linked=st.binary(max_size=2),
    lag_ms=st.sampled_from([0, 2_000, 2**32 - 1]),
)
told = st.builds(
    Told, report=reports, age_ms=spans, gap_ms=spans, same=st.sampled_from([None, False, True]), rate=maybe
)
seen = st.builds(
    Seen,
    index=st.integers(0, 9),
    organisation=st.sampled_from(["a", "b", "c", "d"]),
    consensus_key=hashes,
    linked=st.booleans(),
    silent_ms=maybe,
    rtt_ms=maybe,
    ahead_ms=st.one_of(st.none(), st.integers(-SPAN_MAX, SPAN_MAX), st.integers(-9, 9)),
    executed=maybe,
    told=st.one_of(st.none(), told),
    left=st.one_of(st.none(), said),
    failed=st.one_of(st.none(), said),
    closed=st.booleans(),
    unreadable=st.booleans(),
    quiet_views=maybe,
)
indices = st.lists(st.integers(0, 9), max_size=4).map(tuple)
observations = st.builds(
    Observation,
    me=st.one_of(st.none(), st.integers(0, 9)),
    organisation=st.just("a"),
    own=reports,
    validators=st.lists(seen, max_size=7).map(tuple),
    links=spans,
    delta_ms=spans,
    heartbeat_ms=spans,
    armed=st.booleans(),
    stuck_ms=spans,
    view_ms=spans,
    leader=st.one_of(st.none(), st.integers(0, 9)),
    notarize=indices,
    nullify=indices,
    finalize=indices,
    waiting_for=st.just("x"),
    block_age_ms=spans,
    behind=spans,
    rate=maybe,
    waiting=spans,
    index_behind=spans,
    boundary=st.booleans(),
    accused=st.lists(st.sampled_from(["a", "e"]), max_size=2).map(tuple),
    refusal=st.one_of(st.none(), said),
    detail=st.just("d"),
)
findings = st.builds(
    Finding,
    spec=st.sampled_from(errors.CORE_ERRORS),
    values=st.just({"node": "n"}),
    consensus_keys=st.lists(hashes, max_size=1).map(tuple),
)


def plain(value: Any) -> bool:
    """Whether a value is what JSON holds."""
    match value:
        case None | bool() | int() | str():
            return True
        case Mapping():
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        case list() | tuple():
            return all(map(plain, value))
        case _:
            return False


def well_formed(diagnosis: Diagnosis) -> None:
    assert diagnosis.verdict in Verdict
    assert bool(diagnosis.causes) or diagnosis.verdict in {Verdict.HEALTHY, Verdict.NOT_RUNNING}
    for cause in diagnosis.causes:
        assert cause.text("en")
        assert cause.text("th")
        assert cause.remedy("en")
        assert cause.remedy("th")
        assert plain(cause.evidence)
        assert len({member.index for member in cause.members}) == len(cause.members)
    shown = diagnosis_object(diagnosis)
    assert {"verdict", "causes"} == set(shown)
    for cause in shown["causes"]:
        assert {"code", "text", "validators", "evidence", "remedy"} == set(cause)
    msgspec.json.encode(shown)


@given(observations)
@settings(max_examples=200)
def test_one_observation(observation: Observation) -> None:
    """Any observation gives a well-formed diagnosis, the same when asked again."""
    diagnosis = diagnose(observation)

    well_formed(diagnosis)
    assert diagnosis == diagnose(observation)


@given(st.lists(observations, max_size=4), st.lists(findings, max_size=3))
@settings(max_examples=200)
def test_many_observations(given_: list[Observation], found: list[Finding]) -> None:
    """So do any observations and findings together."""
    diagnosis = diagnose_network(given_, found)

    well_formed(diagnosis)
    assert diagnosis == diagnose_network(given_, found)


@given(observations)
@settings(max_examples=50)
def test_an_observation_travels(observation: Observation) -> None:
    """As canonical bytes and as JSON it comes out as it went in."""
    assert observation == decode(Observation, encode(observation))
    sent = msgspec.json.decode(msgspec.json.encode(writer(Observation)(observation)))
    assert observation == reader(Observation)(sent, "observation")


@given(st.integers(1, 10), st.data())
@settings(max_examples=60)
def test_the_names_of_the_dead(count: int, data: st.DataObject) -> None:
    """Whoever is asked of those that run names exactly the others as offline, and says whether enough are left."""
    dead = data.draw(st.sets(st.integers(1, count), max_size=count)) - {count}
    world = World(count).change(*dead, runs=False)
    diagnosis = world.ask(0)

    assert sorted(dead) == [member.index for cause in diagnosis.causes for member in cause.members]
    enough = count - len(dead) >= count - (count - 1) // 3
    assert enough == (diagnosis.verdict is not Verdict.STALLED)


def test_spans_and_offsets_are_cut() -> None:
    """Numbers of any size become such as every reader of JSON keeps."""
    assert (0, 5, SPAN_MAX) == (span(-3), span(5), span(2**63))
    assert (-SPAN_MAX, -3, SPAN_MAX) == (offset(-(2**70)), offset(-3), offset(2**60))
