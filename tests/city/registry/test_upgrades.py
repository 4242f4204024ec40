"""Features: scheduled by a vote, in force in the epoch after their height once a quorum of validators is ready."""

from cccnode.city.gov.messages import Choice, Kind
from cccnode.city.registry.messages import RegistryPause, RegistryReady, RegistrySchedule, RegistryUnschedule
from cccnode.city.registry.queries import FeaturesAnswer, NoParams, PlannedAnswer, registry_features
from cccnode.city.registry.record import epoch_record
from cccnode.city.registry.state import ready_for
from cccnode.city.registry.upgrades import PLANNED_MAX
from cccnode.ledger.state import Overlay
from cccnode.week.people import VALIDATORS
from tests.city.gov.council import BODY, ORGANISATIONS, PERSONS, Council

FEATURE = "milestones"
OUTSIDER = next(name for name in ORGANISATIONS if name not in VALIDATORS)


def decided(city: Council, *messages: RegistrySchedule | RegistryUnschedule) -> int:
    """Let the city vote for it, and let the time pass that it takes; the proposal's number."""
    number = city.propose("depa", *messages, kind=Kind.UPGRADE)
    city.vote(number, Choice.YES, *ORGANISATIONS, *PERSONS)
    city.pass_time(24)
    city.pass_time(48)
    return number


def shown(city: Council) -> FeaturesAnswer:
    return registry_features(Overlay(city.state), NoParams())


def active(city: Council) -> bool:
    """Whether the next epoch has it."""
    return FEATURE in epoch_record(city.state, 1).features


def test_a_feature_begins_when_a_quorum_is_ready() -> None:
    """Three of four validators suffice, not two and an outsider; then it is scheduled no more."""
    city = Council()
    assert city.send("depa", RegistryReady(FEATURE)) == "registry/FEATURE_UNPLANNED"
    assert city.status(decided(city, RegistrySchedule(FEATURE, 5, BODY))) == "EXECUTED"
    assert shown(city).planned == (PlannedAnswer(FEATURE, 5, BODY, (), 3),)
    assert city.send(OUTSIDER, RegistryReady(FEATURE)) == "registry/NOT_VALIDATOR"
    assert city.send("farmer-1", RegistryReady(FEATURE)) == "registry/NOT_ORGANISATION"
    for name in VALIDATORS[:2]:
        city.good(name, RegistryReady(FEATURE))
        city.good(name, RegistryReady(FEATURE))  # Said twice it counts once.
    assert shown(city).planned[0].ready == tuple(sorted(VALIDATORS[:2]))
    assert not active(city)
    city.good(VALIDATORS[2], RegistryReady(FEATURE))
    assert ("registry", "feature_activated", FEATURE, city.header.height) in city.events
    assert active(city)
    assert shown(city) == FeaturesAnswer(("demo", FEATURE), ())
    assert ready_for(Overlay(city.state), FEATURE) == ()
    assert city.send(VALIDATORS[3], RegistryReady(FEATURE)) == "registry/FEATURE_UNPLANNED"
    again = city.proposal(RegistrySchedule(FEATURE, 5, BODY), kind=Kind.UPGRADE)
    assert city.send("depa", again) == "registry/FEATURE_ACTIVE"


def test_a_feature_waits_for_its_height() -> None:
    """All validators are ready; the block of that height hands it over, not the one before."""
    city = Council()
    height = city.header.height + 60
    decided(city, RegistrySchedule(FEATURE, height, BODY))
    for name in VALIDATORS:
        city.good(name, RegistryReady(FEATURE))
    while city.header.height < height - 1:
        city.pass_time(0.01)
    assert not active(city)
    city.pass_time(0.01)
    assert active(city)


def test_a_feature_is_called_off_or_moved() -> None:
    """Who was ready must say it again for a new schedule; another height alone keeps what was said."""
    city = Council()
    decided(city, RegistrySchedule(FEATURE, 10**9, BODY))
    for name in VALIDATORS[:2]:
        city.good(name, RegistryReady(FEATURE))
    decided(city, RegistrySchedule(FEATURE, 10**9 + 1, BODY))
    assert [(row.height, len(row.ready)) for row in shown(city).planned] == [(10**9 + 1, 2)]
    decided(city, RegistryUnschedule(FEATURE))
    assert shown(city).planned == ()
    gone = city.proposal(RegistryUnschedule(FEATURE), kind=Kind.UPGRADE)
    assert city.send("depa", gone) == "registry/FEATURE_UNPLANNED"
    decided(city, RegistrySchedule(FEATURE, 1, BODY))
    city.good(VALIDATORS[2], RegistryReady(FEATURE))
    assert shown(city).planned[0].ready == (VALIDATORS[2],)
    assert not active(city)


def test_those_who_stay_count() -> None:
    """Three are ready; one of them is leaving, and the two that stay are no quorum of the next epoch's three."""
    city = Council()
    decided(city, RegistrySchedule(FEATURE, 10**3, BODY))
    for name in VALIDATORS[:3]:
        city.good(name, RegistryReady(FEATURE))
    city.good(VALIDATORS[0], RegistryPause())
    decided(city, RegistrySchedule(FEATURE, 1, BODY))
    assert (shown(city).planned[0].ready, shown(city).planned[0].needed) == (tuple(sorted(VALIDATORS[1:3])), 3)
    assert not active(city)
    city.good(VALIDATORS[3], RegistryReady(FEATURE))
    assert active(city)


def test_few_wait_at_a_time() -> None:
    """One more than may wait is refused when it is proposed."""
    city = Council()
    names = [f"feature-{number}" for number in range(PLANNED_MAX)]
    decided(city, *(RegistrySchedule(name, 10**9, BODY) for name in names))
    assert [row.feature for row in shown(city).planned] == names
    more = city.proposal(RegistrySchedule("one-more", 10**9, BODY), kind=Kind.UPGRADE)
    assert city.send("depa", more) == "registry/FULL"
    same = city.proposal(RegistrySchedule(names[0], 5, BODY), kind=Kind.UPGRADE)
    assert city.send("depa", same) == "ok"
