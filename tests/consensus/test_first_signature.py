"""When an engine may sign for the first time: what it hears, what it is shown, and where its journal is unsure."""

import dataclasses
from collections.abc import Sequence

import pytest

from cccnode.crypto.hashing import ZERO
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST, SAFETY_ALARM, WATCHING
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, Vote, nullified, vote_bytes
from consensus.effects import Alarm, Blame, Build, Effect, Persist
from consensus.engine import Engine
from consensus.events import Pending, Received, Tick
from consensus.messages import CertificatesMessage, Message, StatusMessage, VotesMessage
from consensus.records import Record, SilenceRecord, VoteRecord
from tests.simulation.fakes import CHAIN, Signatures, config_of, epoch_record, key_of, node_of

TIMERS = Timers(delta_ms=100, min_interval_ms=50)
QUIET_MS = 350
NOWHERE = Proposal(0, 0, 0, ZERO)
LOST, LOOKING = NOT_SIGNING_JOURNAL_LOST.name, WATCHING.name
ME = 0


class Bench:
    """One engine; the test is everybody else."""

    def __init__(
        self,
        *,
        count: int = 4,
        watch: bool = True,
        records: Sequence[Record] = (),
        observe: str | None = None,
        unsure_view: int = 0,
    ) -> None:
        self.signatures, self.count, self.now = Signatures(), count, 1_000
        record = epoch_record(count, TIMERS)
        config = dataclasses.replace(config_of(record, ME, watch=watch), unsure_view=unsure_view)
        self.engine, self.effects = Engine.restore(
            config,
            sign=self.signatures.signer(key_of(ME)),
            verify_many=self.signatures.verify_many,
            records=records,
            now_ms=self.now,
            observe=observe,
        )

    def vote(self, signer: int, kind: Kind, proposal: Proposal) -> Vote:
        sign = self.signatures.signer(key_of(signer))
        return Vote(kind, proposal, signer, sign(vote_bytes(kind, CHAIN, 0, proposal)))

    def hear(self, validator: int, message: Message, after_ms: int = 0) -> list[Effect]:
        self.now += after_ms
        event = Received(peer=node_of(validator), validator=validator, message=message)
        self.effects = self.engine.handle(event, self.now)
        return self.effects

    def status(self, validator: int, view: int = 1) -> None:
        self.hear(validator, StatusMessage(0, view, NOWHERE, 0))

    def show(self, *votes: Vote, by: int = 1, after_ms: int = 1_000) -> list[Effect]:
        """A node shows what this one's key signed."""
        return self.hear(by, VotesMessage(0, 0, votes), after_ms)

    def wait(self, milliseconds: int) -> list[Effect]:
        self.now += milliseconds
        self.effects = self.engine.handle(Tick(), self.now)
        return self.effects

    def give_up(self, view: int) -> None:
        """The others end a view without a block."""
        votes = {signer: self.vote(signer, Kind.NULLIFY, nullified(view)).signature for signer in range(1, self.count)}
        certificate = make_certificate(Kind.NULLIFY, nullified(view), votes, self.count)
        self.hear(1, CertificatesMessage(0, (certificate,)))


def signed(effects: list[Effect]) -> list[Vote]:
    return [
        effect.record.vote
        for effect in effects
        if isinstance(effect, Persist) and isinstance(effect.record, VoteRecord)
    ]


# Listening


@pytest.mark.parametrize(("count", "others"), [(2, 1), (4, 2), (5, 3), (7, 4)])
def test_a_quorum_and_then_the_quiet_time(count: int, others: int) -> None:
    """Itself included a quorum must be heard, and then nothing may move for as long as a leader has."""
    bench = Bench(count=count)
    for validator in range(1, others):
        bench.status(validator)
    bench.wait(60_000)
    assert LOOKING == bench.engine.observing
    bench.status(others)
    bench.wait(QUIET_MS - 1)
    assert LOOKING == bench.engine.observing
    bench.wait(1)

    assert bench.engine.observing is None


def test_another_machine_that_signs_with_the_key_goes_first() -> None:
    """While this one looks, another one of its organisation says that it votes: this one keeps silent in this epoch."""
    bench = Bench()
    for validator in (1, 2):
        bench.status(validator)
    bench.hear(ME, StatusMessage(0, 1, NOWHERE, 0, signs=False))
    assert LOOKING == bench.engine.observing, "two that look decide nothing between them"
    effects = bench.hear(ME, StatusMessage(0, 1, NOWHERE, 0, signs=True))

    assert [SAFETY_ALARM.name] == [
        effect.record.error
        for effect in effects
        if isinstance(effect, Persist) and isinstance(effect.record, SilenceRecord)
    ]
    bench.wait(60_000)
    assert SAFETY_ALARM.name == bench.engine.observing
    assert not bench.engine.status_message().signs


def test_who_signs_already_is_not_disturbed() -> None:
    """By a word of the other machine, nor by other validators' words."""
    bench = Bench()
    for validator in (1, 2):
        bench.hear(validator, StatusMessage(0, 1, NOWHERE, 0, signs=True))
    bench.wait(QUIET_MS)
    assert bench.engine.status_message().signs
    bench.hear(ME, StatusMessage(0, 1, NOWHERE, 0, signs=True))

    assert bench.engine.observing is None


def test_certificates_are_nobody_s_own_words() -> None:
    """Whoever hands on what others made may be in another epoch: it does not count as heard."""
    bench = Bench()
    bench.give_up(1)
    bench.wait(60_000)

    assert LOOKING == bench.engine.observing
    assert not bench.engine.lived


def test_a_node_that_is_behind_of_more_than_can_lie_waits() -> None:
    """One may say anything; two of four cannot both lie, so there are views that are over and unknown here."""
    bench = Bench()
    bench.status(1, view=9)
    bench.status(2)
    bench.wait(QUIET_MS)
    assert bench.engine.observing is None, "a liar cannot silence it"

    bench = Bench()
    for validator in (1, 2):
        bench.status(validator, view=2)
    bench.wait(60_000)
    assert LOOKING == bench.engine.observing
    bench.give_up(1)
    bench.wait(QUIET_MS)
    assert bench.engine.observing is None


@pytest.mark.parametrize(
    ("count", "lived", "certain"), [(1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 2, 3), (5, 3, 4), (7, 4, 5), (10, 6, 7)]
)
def test_who_is_certain_of_the_next_epoch(count: int, lived: int, certain: int) -> None:
    """So many others must have spoken in this one: for R13 a quorum with this node, after a loss without it (J22)."""
    bench = Bench(count=count, observe=LOST)
    for heard in range(count):
        assert (heard >= lived, heard >= certain) == (bench.engine.lived, bench.engine.certain)
        if heard + 1 < count:
            bench.status(heard + 1)


# What is shown


def test_an_own_vote_that_it_does_not_remember_silences_it() -> None:
    """Its journal is older than that vote: it observes until the next epoch, whether it watches or signs already."""
    for watch in (True, False):
        bench = Bench(watch=watch)
        (alarm,) = [
            effect for effect in bench.show(bench.vote(ME, Kind.NULLIFY, nullified(1))) if isinstance(effect, Alarm)
        ]

        assert LOST == bench.engine.observing
        assert "does not remember" in alarm.reason
        for validator in (1, 2, 3):
            bench.status(validator)
        bench.wait(60_000)
        assert LOST == bench.engine.observing


def test_own_votes_that_it_remembers_change_nothing() -> None:
    """As after every broken link."""
    bench = Bench()
    mine = bench.vote(ME, Kind.NULLIFY, nullified(1))
    bench = Bench(records=[VoteRecord(mine)])
    bench.signatures._made.add(mine.signature)

    assert not any(isinstance(effect, Alarm) for effect in bench.show(mine))
    assert LOOKING == bench.engine.observing


def test_a_bad_signature_on_an_own_vote_says_nothing() -> None:
    """Whoever shows it cannot know whether it is good: neither an alarm nor an offence."""
    bench = Bench()
    effects = bench.show(Vote(Kind.NULLIFY, nullified(1), ME, bytes(64)))

    assert not any(isinstance(effect, Alarm | Blame) for effect in effects)
    assert LOOKING == bench.engine.observing


def test_who_knows_that_its_journal_is_lost_is_not_alarmed() -> None:
    """It expects to be shown what it signed."""
    bench = Bench(observe=LOST)

    assert not any(isinstance(effect, Alarm) for effect in bench.show(bench.vote(ME, Kind.NULLIFY, nullified(1))))


def test_own_votes_are_looked_at_now_and_then() -> None:
    """However often a liar shows some, the signatures that are checked are few."""
    bench, calls = Bench(), []
    verify = bench.engine._core.verifier.check
    bench.engine._core.verifier.check = lambda claims: calls.append(len(claims)) or verify(claims)
    for _ in range(100):
        bench.show(Vote(Kind.NULLIFY, nullified(1), ME, bytes(64)), after_ms=10)

    assert sum(calls) <= 1_000 // 200 + 1


def test_votes_over_an_own_connection_are_a_twin_s() -> None:
    """Another process speaks with this node's transport key: that is an alarm, not an old journal."""
    bench = Bench(watch=False)
    bench.hear(ME, VotesMessage(0, 0, (bench.vote(ME, Kind.NULLIFY, nullified(1)),)))

    assert SAFETY_ALARM.name == bench.engine.observing


def test_a_validator_is_shown_its_votes_above_the_final_view() -> None:
    """All that is known of it and not final, of whatever view and kind; nothing where there is nothing."""
    bench = Bench()
    assert bench.engine.votes_of(2) is None
    votes = [bench.vote(2, Kind.NULLIFY, nullified(1)), bench.vote(2, Kind.NULLIFY, nullified(2))]
    bench.hear(2, VotesMessage(0, 0, tuple(votes)))
    bench.hear(3, VotesMessage(0, 0, (bench.vote(3, Kind.NULLIFY, nullified(1)),)))

    assert tuple(votes) == bench.engine.votes_of(2).votes
    assert 1 == len(bench.engine.votes_of(3).votes)


def test_invalid_mixture_of_own_and_other_votes() -> None:
    """Only what is all this node's own is looked at; anything else is votes that are not the sender's."""
    bench = Bench()
    mixed = (bench.vote(ME, Kind.NULLIFY, nullified(1)), bench.vote(2, Kind.NULLIFY, nullified(1)))
    effects = bench.show(*mixed)

    assert [Blame(peer=node_of(1), validator=1, reason="votes that are not the sender's own")] == [
        effect for effect in effects if isinstance(effect, Blame)
    ]
    assert LOOKING == bench.engine.observing


def test_after_a_standstill_two_views_are_only_given_up() -> None:
    """Perhaps a vote that this node forgot is missing; in the view after the standing one it may have voted too."""
    bench = Bench()
    for validator in (1, 2):
        bench.status(validator)
    bench.engine.handle(Pending(waiting=True), bench.now)
    effects = [effect for _ in range(100) for effect in bench.wait(20)]
    assert bench.engine.observing is None
    assert [(Kind.NULLIFY, 1)] == [(vote.kind, vote.proposal.view) for vote in signed(effects)]

    bench.give_up(1)
    assert 2 == bench.engine.status().view
    guard = bench.engine._core.guard
    assert guard.careful == 2, "whoever was in view 2 may have voted there; view 3 is as any other"


# Where the journal is unsure


class _Mine:
    """An order of leaders in which this node always leads."""

    def of(self, _view: int) -> int:
        return ME

    def relays(self, *_: int) -> bool:
        return False


@pytest.mark.parametrize(("unsure_view", "builds"), [(0, True), (1, False)])
def test_an_unsure_view_is_only_given_up(unsure_view: int, builds: bool) -> None:
    """It may have voted there before it forgot: it makes no block and notarizes none, and lets the others go on."""
    bench = Bench(watch=False, unsure_view=unsure_view)
    bench.engine._core.leaders = _Mine()
    effects = bench.engine.handle(Pending(waiting=True), bench.now)
    effects += [effect for _ in range(100) for effect in bench.wait(20)]

    assert builds is any(isinstance(effect, Build) for effect in effects)
    assert {Kind.NULLIFY} == {vote.kind for vote in signed(effects)}


def test_it_signs_as_usual_from_the_next_view_on() -> None:
    """The others end the unsure view; in the next one it leads and builds."""
    bench = Bench(watch=False, unsure_view=1)
    bench.engine.handle(Pending(waiting=True), bench.now)
    bench.wait(60_000)
    bench.give_up(1)
    bench.engine._core.leaders = _Mine()
    effects = [effect for _ in range(10) for effect in bench.wait(20)]

    assert [2] == [effect.view for effect in effects if isinstance(effect, Build)]


def test_own_votes_of_an_unsure_view_are_no_surprise() -> None:
    """Whether shown by others or in a certificate: that is what it is unsure of."""
    bench = Bench(watch=False, unsure_view=1)
    mine = bench.vote(ME, Kind.NULLIFY, nullified(1))
    assert not any(isinstance(effect, Alarm) for effect in bench.show(mine))
    votes = {signer: bench.vote(signer, Kind.NULLIFY, nullified(1)).signature for signer in range(3)}
    certificate = make_certificate(Kind.NULLIFY, nullified(1), votes, 4)
    effects = bench.hear(1, CertificatesMessage(0, (certificate,)))

    assert not any(isinstance(effect, Alarm) for effect in effects)
    assert bench.engine.observing is None
    assert 2 == bench.engine.status().view


def test_own_votes_beyond_the_unsure_view_silence_it() -> None:
    """There it is sure that it never voted: somebody else did, or the journal is older than it thinks."""
    bench = Bench(watch=False, unsure_view=1)
    effects = bench.show(bench.vote(ME, Kind.NULLIFY, nullified(2)))

    assert any(isinstance(effect, Alarm) for effect in effects)
    assert LOST == bench.engine.observing
