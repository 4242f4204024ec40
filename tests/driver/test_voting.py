"""The engine's hands: nothing is sent before it is durable, and every block is checked."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import Frontier
from cccnode.driver.chain import Chain, Roots
from cccnode.driver.stages import Stages
from cccnode.driver.voting import CHECKS_MAX, CROWDED_TXS, GROW_MS, PRUNE_EVERY, Voting
from cccnode.types.batch import batch_id
from cccnode.types.block import Header, block_id, body_root
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import DISK_FAILED, Fault, fault
from cccnode.types.limits import CLOCK_AHEAD_MS_MAX
from cccnode.types.validators import Limits
from cccnode.types.vote import Kind, Proposal, Vote, nullified
from consensus.effects import Alarm, Blame, Build, CheckBody, EvidenceFound, Finalized, Persist, Send
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Executed, Pending
from consensus.messages import StatusMessage, VotesMessage, decode_message
from consensus.records import VoteRecord
from p2p.frames import Channel
from p2p.scores import Offence
from tests.driver.support import ALICE, BOB, CHAIN, PEER, VALIDATORS, Bench, epoch_of, raws, unsigned
from tests.simulation.world import WALL_START_MS

BATCH, OTHER = raws(1, 3), raws(50, 2)
GENESIS_ID = b"g" * 32
NOWHERE = Proposal(1, 0, 1, ZERO)


class FakeEngine:
    """Remembers events, and answers the next ones with prepared effects."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.answers: deque[list[Any]] = deque()
        self.deadline_ms: int | None = None
        self.observing = None
        self.seen: dict[int, Vote] = {}

    def handle(self, event: Any, now_ms: int) -> list[Any]:
        self.events.append(event)
        return self.answers.popleft() if self.answers else []

    def status_message(self) -> StatusMessage:
        return StatusMessage(0, 1, NOWHERE, 0)

    def votes_of(self, validator: int) -> VotesMessage | None:
        return VotesMessage(0, 0, (self.seen[validator],)) if validator in self.seen else None


@dataclass
class FakeJournal:
    """Remembers its calls; `fault` makes a sync fail."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    sequence: int = 0
    fault: Fault | None = None

    def append(self, body: bytes) -> int:
        self.sequence += 1
        self.calls.append(("append", self.sequence))
        return self.sequence

    def sync(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.calls.append(("sync", self.sequence))

    def prune(self, keep_from_sequence: int) -> None:
        self.calls.append(("prune", keep_from_sequence))


class VotingBench(Bench):
    """Voting over a fake engine, with real batches."""

    def __init__(self, *, journaled: tuple[tuple[int, int], ...] = (), limits: Limits | None = None) -> None:
        super().__init__(disk_ms=(10, 10))
        self.engine, self.journal = FakeEngine(), FakeJournal()
        self.chain = Chain(
            height=0,
            block_id=GENESIS_ID,
            history=Frontier().append(GENESIS_ID),
            roots={0: Roots(0, b"s" * 32, b"r" * 32)},
            window=deque(),
        )
        self.final: list[Finalized] = []
        self.elsewhere: list[tuple[bytes, int, bytes]] = []
        self.accused: list[tuple[int, Vote, Vote]] = []
        self.epoch = epoch_of(limits=limits)
        self.voting = Voting(
            runtime=self.runtime,
            links=self.links,
            engine=self.engine,
            journal=self.journal,
            journaled=journaled,
            epoch=self.epoch,
            chain_id=CHAIN,
            chain=self.chain,
            pool=self.pool,
            dissemination=self.dissemination,
            stages=Stages(),
            finalized=self.final.append,
            elsewhere=lambda *arguments: self.elsewhere.append(arguments),
            accused=lambda *arguments: self.accused.append(arguments),
        )
        self.dissemination._ready = self.voting.batch_ready
        self.dissemination._spoiled = self.voting.batch_spoiled

    def do(self, *effects: Any) -> None:
        self.voting.start(effects)

    def header(self, *batches: tuple[bytes, ...], **changes: Any) -> Header:
        fields = {
            "version": 1,
            "chain": CHAIN,
            "epoch": 0,
            "view": 1,
            "height": 1,
            "parent": GENESIS_ID,
            "parent_view": 0,
            "time_ms": WALL_START_MS,
            "proposer": 1,
            "body_root": body_root(tuple(batch_id(batch) for batch in batches)),
            "tx_count": sum(map(len, batches)),
            "body_bytes": sum(len(raw) for batch in batches for raw in batch),
            "exec_height": 0,
            "state_root": b"s" * 32,
            "results_root": b"r" * 32,
            "history_root": self.chain.history_root([]),
            "epoch_record_hash": self.epoch.record_hash,
            "next_epoch_record_hash": ZERO,
            "extra_hash": ZERO,
        }
        return Header(**(fields | changes))

    def check(self, *batches: tuple[bytes, ...], **changes: Any) -> bytes:
        """Ask for a block of these batches to be checked; returns its id."""
        header = self.header(*batches, **changes)
        body = tuple(batch_id(batch) for batch in batches)
        effect = CheckBody(block_id=block_id(header), header=header, body=body, proposer=1, ancestors=())
        self.do(effect)
        return effect.block_id

    def verdicts(self) -> list[Any]:
        return [event for event in self.engine.events if isinstance(event, BodyReady | BodyInvalid)]

    def said(self) -> list[bytes]:
        return [peer for peer, channel, _ in self.links.sent if channel is Channel.CONSENSUS]


def vote(view: int) -> Vote:
    return Vote(Kind.NULLIFY, nullified(view), 0, bytes(64))


def persist(view: int = 1, *, sync: bool = True) -> Persist:
    return Persist(record=VoteRecord(vote(view)), sync=sync)


def send(to: bytes | None = ALICE) -> Send:
    return Send(to=to, message=VotesMessage(0, 0, (vote(1),)))


def final() -> Finalized:
    proposal = Proposal(1, 0, 1, b"f" * 32)
    certificate = make_certificate(Kind.FINALIZE, proposal, {0: bytes(64)}, 4)
    return Finalized(proposal=proposal, certificate=certificate, blocks=(), complete=True)


# The ordering contract


def test_nothing_leaves_before_its_record_is_durable() -> None:
    """A send waits for the sync of every record before it, and then goes at once (consensus.md 3.1)."""
    bench = VotingBench()
    bench.do(persist(), send())
    bench.run(9)
    assert [] == bench.said()
    bench.run(2)
    assert [ALICE] == bench.said()
    assert [("append", 1), ("sync", 1)] == bench.journal.calls


def test_what_precedes_a_record_does_not_wait_for_it() -> None:
    """Order is as given: a send before a record leaves at once."""
    bench = VotingBench()
    bench.do(send(BOB), persist(), send(ALICE))

    assert [BOB] == bench.said()


def test_records_that_come_during_a_sync_share_the_next_one() -> None:
    """Group commit: one sync for all that waited; each send waits for its own records, in order."""
    bench = VotingBench()
    bench.do(persist(1), send(ALICE))
    bench.do(persist(2), send(BOB))
    bench.do(persist(3))
    bench.do(send(ALICE))
    bench.run(11)
    assert [ALICE] == bench.said()
    bench.run(11)
    assert [ALICE, BOB, ALICE] == bench.said()
    assert 2 == sum(name == "sync" for name, _ in bench.journal.calls)


def test_an_unsynced_record_rides_along() -> None:
    """A certificate holds nothing up and is written before the next vote."""
    bench = VotingBench()
    bench.do(persist(1, sync=False), send(ALICE))
    assert [ALICE] == bench.said()
    assert [] == bench.journal.calls

    bench.do(persist(2))
    bench.run(20)
    assert [("append", 1), ("append", 2), ("sync", 2)] == bench.journal.calls


def test_a_final_block_is_not_executed_before_own_votes_are_durable() -> None:
    """Its certificate may hold an own vote: stored with the block it must not outlive the journal's memory of it."""
    bench = VotingBench()
    bench.do(persist(), final())
    bench.run(5)
    assert [] == bench.final
    bench.run(10)
    assert 1 == len(bench.final)


def test_to_all_means_all_connected_validators() -> None:
    """A send without a node goes to every validator that is there."""
    bench = VotingBench()
    bench.links.up.discard(BOB)
    bench.do(send(None))

    assert {ALICE} < set(bench.said()) <= set(VALIDATORS) - {BOB}


def test_who_links_is_shown_what_it_signed() -> None:
    """After the status come its own votes that are not final, for its journal may be older; nobody else gets them."""
    bench = VotingBench()
    bench.engine.seen[1] = vote(4)
    for peer in (ALICE, BOB, PEER):
        bench.voting.greet(peer)

    said = [
        (peer, type(decode_message(raw))) for peer, channel, raw in bench.links.sent if channel is Channel.CONSENSUS
    ]
    assert [(ALICE, StatusMessage), (ALICE, VotesMessage), (BOB, StatusMessage)] == said
    bench.voting.stop()
    bench.voting.greet(ALICE)
    assert 3 == len(bench.said())


def test_a_journal_that_fails_stops_the_node() -> None:
    """A failed sync is never retried: the error escapes to whoever stops the node, and nothing is sent."""
    bench = VotingBench()
    bench.journal.fault = fault(DISK_FAILED, path="journal")
    bench.do(persist(), send())

    with pytest.raises(Fault, match="home/DISK_FAILED"):
        bench.run(20)
    assert [] == bench.said()


# Journal files


def test_pruning_never_drops_what_was_signed_above_the_final_block() -> None:
    """Records of the run before this one count too: a vote above the final view must survive the pruning."""
    bench = VotingBench(journaled=((290, 1), (310, 2), (320, 3)))
    bench.journal.sequence = 3
    bench.do(persist(330))
    bench.run(20)
    bench.voting.executed(bench.header(view=PRUNE_EVERY + 44), 0, due=False)
    bench.run(20)

    assert ("prune", 2) == bench.journal.calls[-1]


def test_pruning_is_rare() -> None:
    """Not with every block."""
    bench = VotingBench(journaled=((1, 1),))
    for view in (1, 2, PRUNE_EVERY - 1):
        bench.voting.executed(bench.header(view=view), 0, due=False)
    bench.run(20)

    assert [] == bench.journal.calls


# Messages in


def test_garbage_is_malformed() -> None:
    """Bytes that decode to no consensus message: malformed, and the engine never sees them."""
    bench = VotingBench()
    bench.voting.on_frame(ALICE, b"\x93\x01")

    assert [(ALICE, Offence.MALFORMED)] == bench.links.punished
    assert [] == bench.engine.events


def test_more_ids_than_a_block_may_list_is_malformed() -> None:
    """A proposal with too many batch ids does not decode."""
    from consensus.messages import BlockMessage  # noqa: PLC0415 - beside its only use

    bench = VotingBench()
    body = tuple(number.to_bytes(32, "big") for number in range(4_097))
    bench.voting.on_frame(ALICE, encode(BlockMessage(0, bench.header(), body)))

    assert [(ALICE, Offence.MALFORMED)] == bench.links.punished


def test_blame_becomes_an_offence() -> None:
    """What the engine blames a node for counts against its link; evidence, with its epoch, and alarms are handed on."""
    bench = VotingBench()
    bench.do(Blame(peer=BOB, validator=2, reason="bad"), Alarm(reason="two chains"))
    bench.do(EvidenceFound(first=vote(1), second=vote(2)))

    assert [(BOB, Offence.INVALID_VOTE)] == bench.links.punished
    assert "two chains" == bench.voting.alarm
    assert [(0, vote(1), vote(2))] == bench.accused


def test_stopped_means_silent() -> None:
    """A node that diverged hears and says nothing more, and its timers are off."""
    bench = VotingBench()
    waiting = bench.check(BATCH)
    bench.voting.stop()
    bench.voting.on_frame(ALICE, b"garbage")
    bench.voting.handle(Pending(waiting=True))
    bench.push(ALICE, BATCH)
    bench.run(500)

    assert [] == bench.engine.events
    assert waiting in bench.chain.bodies, "its batches stay"


# Building


def build(bench: VotingBench, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "view": 3,
        "parent": bench.header(height=0, time_ms=WALL_START_MS + 500),
        "parent_id": GENESIS_ID,
        "parent_view": 0,
        "exec_height": 0,
        "empty": False,
        "ancestors": (),
    }
    bench.do(Build(**(fields | changes)))
    bench.run(1)


def test_a_built_block_passes_its_own_check() -> None:
    """Builder and checker use the same functions: what is built is found valid."""
    bench = VotingBench()
    bench.push(ALICE, BATCH)
    bench.run(50)
    build(bench)
    built = next(event for event in bench.engine.events if isinstance(event, Built))
    assert (batch_id(BATCH),) == built.body
    assert WALL_START_MS + 501 == built.header.time_ms, "strictly after its parent (J6)"

    effect = CheckBody(block_id=b"b" * 32, header=built.header, body=built.body, proposer=0, ancestors=())
    bench.do(effect)
    assert [BodyReady(block_id=b"b" * 32)] == bench.verdicts()


def test_an_empty_block_lists_nothing() -> None:
    """Back-pressure: while execution is far behind, blocks are empty."""
    bench = VotingBench()
    bench.push(ALICE, BATCH)
    bench.run(50)
    build(bench, empty=True)

    assert () == bench.engine.events[-1].body


def test_a_leader_that_cannot_build_declines() -> None:
    """Results that it does not have, or ancestors that do not stand on its executed block: the view is skipped."""
    bench = VotingBench()
    build(bench, exec_height=9)

    assert [BuildDeclined(view=3)] == bench.engine.events


def test_the_duplicate_window_bounds_a_block() -> None:
    """No more batches than the window still takes (J5)."""
    bench = VotingBench(limits=Limits(window_tx_max=4))
    for batch in (BATCH, OTHER):
        bench.push(ALICE, batch)
    bench.run(50)
    build(bench)

    assert (batch_id(BATCH),) == bench.engine.events[-1].body


def test_a_crowded_leader_lets_its_block_grow() -> None:
    """With many transactions waiting it takes in what comes within a moment, never longer than voters wait."""
    bench = VotingBench()
    bench.push(ALICE, raws(100, CROWDED_TXS))
    bench.run(50)
    build(bench)
    bench.push(ALICE, BATCH)
    assert not any(isinstance(event, Built) for event in bench.engine.events)
    bench.run(GROW_MS)

    built = next(event for event in bench.engine.events if isinstance(event, Built))
    assert 2 == len(built.body)


# Checking


def test_valid_when_all_batches_are_durable() -> None:
    """A block whose batches are here, with our own roots, may be voted for."""
    bench = VotingBench()
    bench.push(ALICE, BATCH)
    bench.run(50)
    checked = bench.check(BATCH)

    assert [BodyReady(block_id=checked)] == bench.verdicts()


def test_missing_batches_are_fetched_from_the_proposer() -> None:
    """Missing is not invalid: asked of who lists them, then of who announced them; then the vote may follow."""
    bench = VotingBench()
    bench.have(BOB, [batch_id(OTHER)])
    checked = bench.check(BATCH, OTHER)
    bench.run(5)
    ((peer, ids),) = bench.links.asked()
    assert (ALICE, {batch_id(BATCH), batch_id(OTHER)}) == (peer, set(ids))
    bench.reply(ALICE, BATCH)
    bench.run(300)
    assert [] == bench.verdicts()
    assert (BOB, (batch_id(OTHER),)) in bench.links.asked()

    bench.reply(BOB, OTHER)
    bench.run(50)
    assert [BodyReady(block_id=checked)] == bench.verdicts()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"history_root": ZERO}, "history_root"),
        ({"state_root": ZERO}, "results at height 0 differ"),
        ({"results_root": ZERO}, "results at height 0 differ"),
        ({"tx_count": 4}, "tx_count"),
        ({"body_bytes": 4_000}, "body_bytes"),
        ({"tx_count": 1}, "no such number of transactions"),
        ({"tx_count": 2_000}, "no such number of transactions"),
        ({"body_bytes": 1}, "more bytes than the header announces"),
    ],
)
def test_permanently_invalid(changes: dict[str, Any], reason: str) -> None:
    """What can never become valid is refused with its reason, so that the view ends at once (J2)."""
    bench = VotingBench()
    for batch in (BATCH, OTHER):
        bench.push(ALICE, batch)
    bench.run(50)
    if "more bytes" in reason:  # Found out while its batches come in.
        bench.dissemination.clear([batch_id(BATCH)])
        bench.pool._removed.clear()
    bench.check(BATCH, OTHER, **changes)
    bench.reply(ALICE, BATCH)
    bench.run(50)

    (verdict,) = bench.verdicts()
    assert reason in verdict.reason
    assert 0 == len(bench.dissemination._fetches)


def test_a_block_with_an_invalid_batch_is_invalid() -> None:
    """The id commits to a transaction with a false signature: refused, and again when another block lists it."""
    bench = VotingBench()
    bad = (BATCH[0], unsigned(BATCH[1]))
    first = bench.check(bad)
    bench.reply(ALICE, bad)
    bench.run(50)
    second = bench.check(bad, OTHER)

    assert [first, second] == [verdict.block_id for verdict in bench.verdicts()]
    assert all("invalid transaction" in verdict.reason for verdict in bench.verdicts())
    assert [(ALICE, Offence.INVALID_BATCH)] == bench.links.punished


def test_a_clock_ahead_is_waited_for() -> None:
    """A header more than two seconds ahead is held until it is due, not refused (consensus.md 3.7)."""
    bench = VotingBench()
    checked = bench.check(time_ms=WALL_START_MS + CLOCK_AHEAD_MS_MAX + 700)
    bench.run(600)
    assert [] == bench.verdicts()
    bench.run(200)
    assert [BodyReady(block_id=checked)] == bench.verdicts()


def test_a_clock_that_jumps_is_looked_at_again() -> None:
    """A header days ahead is held, and answered at once when a demo city's clock has jumped there."""
    bench = VotingBench()
    day_ms = 86_400_000
    checked = bench.check(time_ms=WALL_START_MS + day_ms)
    bench.voting.clock_moved()
    assert [] == bench.verdicts()
    bench.runtime._skew_ms = day_ms
    bench.voting.clock_moved()
    assert [BodyReady(block_id=checked)] == bench.verdicts()
    bench.run(day_ms)
    assert [BodyReady(block_id=checked)] == bench.verdicts()


def test_results_that_are_not_here_yet_are_waited_for() -> None:
    """E above the executed height: wait for the execution, then judge."""
    bench = VotingBench()
    parent = bench.header()
    bench.chain.remember(block_id(parent), 1, ())
    checked = bench.check(
        height=2,
        parent=block_id(parent),
        exec_height=1,
        state_root=b"1" * 32,
        history_root=Frontier().append(GENESIS_ID).append(block_id(parent)).root(),
    )
    assert [] == bench.verdicts()
    bench.chain.executed(block_id(parent), parent, Roots(1, b"1" * 32, b"r" * 32), 60_000)
    bench.voting.executed(parent, 0, due=False)

    assert [BodyReady(block_id=checked)] == bench.verdicts()
    assert isinstance(bench.engine.events[0], Executed)


def test_two_blocks_may_list_the_same_batch() -> None:
    """A parent and its child: both are valid, execution decides each transaction once (J2, J3)."""
    bench = VotingBench()
    bench.push(ALICE, BATCH)
    bench.run(50)
    first, second = bench.check(BATCH), bench.check(BATCH, view=2)

    assert [BodyReady(block_id=first), BodyReady(block_id=second)] == bench.verdicts()


def test_checks_are_bounded() -> None:
    """A liar's proposals displace the oldest check, and what only that one needed is not fetched for ever."""
    bench = VotingBench()
    for view in range(1, CHECKS_MAX + 10):
        bench.check(BATCH, view=view)

    assert CHECKS_MAX == len(bench.voting._checks)
    bench.run(60_000)
    assert 0 == len(bench.dissemination._fetches)


def test_a_check_below_the_executed_height_is_moot() -> None:
    """The chain moved on by other means."""
    bench = VotingBench()
    bench.check(BATCH)
    header = bench.header()
    bench.chain.executed(block_id(header), header, Roots(1, ZERO, ZERO), 60_000)
    bench.voting.executed(header, 0, due=False)

    assert {} == bench.voting._checks
    assert [] == bench.verdicts()


def test_pending_is_told_when_it_changes() -> None:
    """The engine hears once that batches wait, and once that none does (J13)."""
    bench = VotingBench()
    for batch in (BATCH, OTHER):
        bench.push(ALICE, batch)
    bench.run(50)
    bench.dissemination.clear([batch_id(BATCH)], 1)
    bench.voting.pending_changed()
    bench.dissemination.clear([batch_id(OTHER)], 1)
    bench.voting.pending_changed()

    assert [Pending(waiting=True), Pending(waiting=False)] == bench.engine.events
