"""Batches made, received, fetched and served; every hostile case names the offence."""

from cccnode.driver.dissemination import (
    BACKLOG_MAX,
    HAVES_PER_SECOND_MAX,
    SERVED_PER_SECOND_MAX,
    STORED_PER_SECOND_MAX,
)
from cccnode.driver.fetching import ADOPT_MS, ADOPTIONS_MAX
from cccnode.driver.messages import BatchPush, BatchReply
from cccnode.driver.quotas import OWN, adopted_from
from cccnode.types.batch import batch_id
from cccnode.types.errors import POOL_FULL, TX_BAD_SIGNATURE, TX_EXPIRED, Fault, fault
from cccnode.types.limits import BATCH_BYTES_MAX, BATCHES_PER_CREATOR_BYTES_MAX
from p2p.frames import Channel
from p2p.scores import Offence
from tests.driver.support import ALICE, BOB, CAROL, ME, PEER, Bench, epoch_of, raw, raws, unsigned

BATCH = raws(1, 3)
ID = batch_id(BATCH)
HALF_SECOND = 500


def submit(bench: Bench, *found: bytes) -> list[tuple[bytes, Fault | None]]:
    """Hand in; the list fills when the answer comes."""
    answers: list[tuple[bytes, Fault | None]] = []
    bench.dissemination.submit(found, answers.extend)
    return answers


# Own batches


def test_answered_after_the_batch_is_durable() -> None:
    """A submission is acknowledged once its batch is synced here, not when it is admitted (J7)."""
    bench = Bench(disk_ms=(100, 100))
    answers = submit(bench, *BATCH)

    bench.run(50)
    assert [ALICE, BOB, CAROL] == [peer for peer, _ in bench.links.batches(BatchPush)], "content may travel earlier"
    assert [] == answers
    assert set() == bench.links.announced(), "Have promises that it is durable (J9)"

    bench.run(100)
    assert [None, None, None] == [refusal for _, refusal in answers]
    assert {ID} == bench.links.announced()
    assert [ID] == bench.store.ids()


def test_each_transaction_gets_its_own_answer() -> None:
    """A bad signature refuses one transaction and leaves its neighbours alone."""
    bench = Bench()
    answers = submit(bench, BATCH[0], unsigned(BATCH[1]), BATCH[2])
    bench.run()

    assert [None, TX_BAD_SIGNATURE, None] == [refusal and refusal.spec for _, refusal in answers]
    assert b"" == answers[1][0], "an id is only given to what is well-formed and signed"


def test_what_the_mempool_refuses_is_answered_at_once() -> None:
    """A refused transaction waits for no disk."""
    bench = Bench()
    bench.room.refusal = fault(TX_EXPIRED)
    answers = submit(bench, BATCH[0])
    bench.run(1)

    assert TX_EXPIRED is answers[0][1].spec


def test_submitted_again_while_it_waits() -> None:
    """The same bytes twice are one transaction, and both callers hear when it is durable."""
    bench = Bench(disk_ms=(50, 50))
    first = submit(bench, *BATCH)
    second = submit(bench, BATCH[0])
    bench.run(20)
    assert [] == first == second

    third = submit(bench, BATCH[1])
    bench.run(100)

    assert [3, 1, 1] == [len(answers) for answers in (first, second, third)]
    assert 1 == len(bench.pool)


def test_held_in_another_s_batch_is_not_acknowledged_before_it_is_durable() -> None:
    """A transaction that came in a validator's push is acknowledged only when that batch is on disk here."""
    bench = Bench(disk_ms=(80, 80))
    bench.push(ALICE, BATCH)
    bench.run(20)
    answers = submit(bench, BATCH[0])
    bench.run(20)
    assert [] == answers

    bench.run(100)
    assert [(None, True)] == [(refusal, ID in bench.store.ids()) for _, refusal in answers]


def test_the_same_batch_made_twice_is_one_batch() -> None:
    """A client hands one transaction to two validators: the batches are equal, and nobody is charged twice."""
    bench = Bench(disk_ms=(30, 30))
    one = raws(77, 1)
    answers = submit(bench, *one)
    bench.run(1)  # Admitted, not yet batched.
    bench.push(ALICE, one)
    bench.run(1)
    assert 1 == len(bench.pool)
    bench.run(100)

    assert [None] == [refusal for _, refusal in answers]
    assert len(one[0]) == bench.pool.quotas.used(1)
    assert 0 == bench.pool.quotas.used(0)
    bench.dissemination.clear([batch_id(one)], 5)
    assert not bench.pool.waiting, "or an idle network would make blocks for ever"
    assert 0 == bench.pool.quotas.used(1)


def test_own_quota_full() -> None:
    """A node whose own batches wait up to the limit refuses more: pool/FULL."""
    bench = Bench()
    bench.pool.quotas.charge(0, BATCHES_PER_CREATOR_BYTES_MAX + 1)
    answers = submit(bench, *BATCH)

    assert [POOL_FULL] * 3 == [refusal.spec for _, refusal in answers]


def test_backlog_full() -> None:
    """Submissions are refused while verification is two seconds behind: pool/FULL."""
    bench = Bench()
    bench.dissemination.verification.backlog = BACKLOG_MAX + 1

    assert POOL_FULL is submit(bench, BATCH[0])[0][1].spec


def test_a_node_that_does_not_validate_keeps_and_does_not_push() -> None:
    """Its batches are its memory of what it acknowledged; `stored` passes them on."""
    bench = Bench(me=None)
    stored = []
    bench.dissemination.stored = stored.append
    answers = submit(bench, *BATCH)
    bench.run()

    assert [None] * 3 == [refusal for _, refusal in answers]
    assert [] == bench.links.sent
    assert [ID] == [entry.id for entry in stored]
    assert sum(map(len, BATCH)) == bench.pool.quotas.used(OWN)


def test_durable_batches_survive_a_restart() -> None:
    """What was acknowledged is found again after the power failed, and waits again."""
    bench = Bench()
    submit(bench, *BATCH)
    bench.run()
    bench.runtime.die(bench.disk, _NoEngine())

    again = Bench()
    again.disk = bench.disk
    store = type(bench.store).open(bench.disk, "batches")

    assert [ID] == store.ids()


class _NoEngine:
    refuse = None

    def crash(self, rng: object) -> None:
        pass


# Pushed batches


def test_a_pushed_batch_is_announced_when_durable() -> None:
    """Received, verified, synced, then Have (J9)."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.run()

    assert [ID] == [entry.id for entry in bench.ready]
    assert {ID} == bench.links.announced()
    assert 1 == bench.pool.get(ID).creator


def test_garbage_is_malformed() -> None:
    """Bytes that decode to nothing: malformed, on both channels."""
    bench = Bench()
    bench.dissemination.on_batch_frame(ALICE, b"\xc1garbage")
    bench.dissemination.on_have_frame(BOB, b"\x93")

    assert [(ALICE, Offence.MALFORMED), (BOB, Offence.MALFORMED)] == bench.links.punished


def test_only_validators_exchange_batches() -> None:
    """A batch or a request from another node: it is read no further; its announcements are ignored (J8)."""
    bench = Bench()
    bench.push(PEER, BATCH)
    bench.ask(PEER, [ID])
    bench.have(PEER, [ID])
    bench.run(2 * ADOPT_MS)

    assert {(PEER, Channel.BATCH): True} == bench.links.paused
    assert [] == bench.links.sent
    assert 0 == len(bench.pool)
    bench.dissemination.farewell(PEER)
    bench.push(PEER, BATCH)
    assert 0 == len(bench.pool), "a new link changes nothing"


def test_nothing_is_pushed_to_a_node_that_does_not_validate() -> None:
    """It has no use for batches: nobody's are read."""
    bench = Bench(me=None)
    bench.push(ALICE, BATCH)
    bench.ask(ALICE, [ID])
    bench.run()

    assert {(ALICE, Channel.BATCH): True} == bench.links.paused
    assert 0 == len(bench.pool)


def test_a_batch_of_a_validator_of_another_epoch() -> None:
    """No offence: one of the two nodes is behind.  Its batches are read again as soon as this node is there too."""
    bench = Bench()
    bench.push(PEER, BATCH)
    bench.run()
    assert {(PEER, Channel.BATCH): True} == bench.links.paused
    bench.dissemination.begin_epoch(epoch_of((ME, ALICE, BOB, PEER), number=1), {0: 0, 1: 1, 2: 2})
    assert {(PEER, Channel.BATCH): False} == bench.links.paused
    bench.push(PEER, BATCH)
    bench.run()

    assert ID in bench.pool
    assert [] == bench.links.punished


def test_too_large() -> None:
    """More bytes than a batch may have: oversize, before anything is verified."""
    bench = Bench()
    bench.push(ALICE, [bytes(16_000)] * (BATCH_BYTES_MAX // 16_000 + 1))

    assert [(ALICE, Offence.OVERSIZE)] == bench.links.punished
    assert 0 == bench.dissemination.verification.backlog


def test_one_bad_signature_spoils_a_batch() -> None:
    """Whoever makes batches checks signatures first: invalid batch, nothing kept, nothing charged."""
    bench = Bench()
    bench.push(ALICE, [BATCH[0], unsigned(BATCH[1])])
    bench.run()

    assert [(ALICE, Offence.INVALID_BATCH)] == bench.links.punished
    assert 0 == len(bench.pool)
    assert 0 == bench.pool.quotas.used(1)
    assert [] == bench.store.ids()


def test_a_batch_of_nothing_but_garbage() -> None:
    """No transaction of it decodes: invalid batch."""
    bench = Bench()
    bench.push(BOB, [b"\x01", b"\x02"])
    bench.run()

    assert [(BOB, Offence.INVALID_BATCH)] == bench.links.punished


def test_too_heavy_for_any_block() -> None:
    """A batch above the weight of a block would stand in front of all others for ever: invalid batch (J2)."""
    bench = Bench()
    bench.dissemination.verification._verify = lambda found: [
        _heavier(verdict) for verdict in type(bench)().dissemination.verification._verify(found)
    ]
    bench.push(ALICE, BATCH)
    bench.run()

    assert [(ALICE, Offence.INVALID_BATCH)] == bench.links.punished
    assert not bench.pool.waiting


def _heavier(verdict: object) -> object:
    return type(verdict)(verdict.id, verdict.transaction, verdict.raw, 50_000)


def test_a_push_slower_than_the_chain_is_dropped() -> None:
    """A batch that is final already is not stored a second time."""
    bench = Bench()
    bench.pool.remove([ID], 4)
    bench.push(ALICE, BATCH)
    bench.run()

    assert 0 == len(bench.pool)
    assert [] == bench.links.punished


def test_the_same_push_twice_counts_once() -> None:
    """Repeats cost a hash and nothing else, also while the first is in verification."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.push(ALICE, BATCH)
    bench.push(BOB, BATCH)
    bench.run()
    bench.push(ALICE, BATCH)
    bench.run()

    assert sum(map(len, BATCH)) == bench.pool.quotas.used(1)
    assert 0 == bench.pool.quotas.used(2)


# Quotas


def test_a_creator_above_its_quota_is_not_read_until_there_is_room() -> None:
    """Pushes count from their arrival, not from their verification; reading resumes at half (J8)."""
    bench = Bench()
    bench.pool.quotas.charge(1, BATCHES_PER_CREATOR_BYTES_MAX - 100)
    bench.push(ALICE, BATCH)
    assert bench.links.paused[ALICE, Channel.BATCH], "before a single signature was checked"

    bench.run()
    bench.dissemination.clear([ID], 3)
    assert bench.links.paused[ALICE, Channel.BATCH], "less than half of the limit must be free"

    bench.pool.quotas.release(1, BATCHES_PER_CREATOR_BYTES_MAX - 100)
    bench.dissemination.clear([])
    assert not bench.links.paused[ALICE, Channel.BATCH]


def test_a_flood_of_garbage_does_not_keep_its_creator_paused() -> None:
    """What turns out invalid is given back, so the link is dropped for the offence and not stuck."""
    bench = Bench()
    bench.pool.quotas.charge(1, BATCHES_PER_CREATOR_BYTES_MAX)
    bench.push(ALICE, [unsigned(BATCH[0])])
    assert bench.links.paused[ALICE, Channel.BATCH]
    bench.pool.quotas.release(1, BATCHES_PER_CREATOR_BYTES_MAX)
    bench.run()

    assert not bench.links.paused[ALICE, Channel.BATCH]
    assert 0 == bench.pool.quotas.used(1)


def test_a_new_link_of_a_full_creator_is_paused_too() -> None:
    """Reconnecting is no way around the quota; the old link's pause is forgotten."""
    bench = Bench()
    bench.pool.quotas.charge(1, BATCHES_PER_CREATOR_BYTES_MAX + 1)
    bench.dissemination.greet(ALICE)
    assert bench.links.paused[ALICE, Channel.BATCH]

    bench.links.paused.clear()
    bench.dissemination.farewell(ALICE)
    bench.pool.quotas.release(1, BATCHES_PER_CREATOR_BYTES_MAX + 1)
    bench.dissemination.clear([])
    assert {} == bench.links.paused


def test_announcing_is_no_way_around_the_quota() -> None:
    """What is fetched on a validator's word is charged to that validator, and no more is adopted above the limit."""
    bench = Bench()
    bench.have(ALICE, [ID])
    bench.run(2 * ADOPT_MS)
    bench.reply(ALICE, BATCH)
    bench.run()
    assert sum(map(len, BATCH)) == bench.pool.quotas.used(adopted_from(1))
    assert 0 == bench.pool.quotas.used(1)

    bench.pool.quotas.charge(adopted_from(1), BATCHES_PER_CREATOR_BYTES_MAX)
    other = raws(50, 2)
    bench.have(ALICE, [batch_id(other)])
    bench.run(2 * ADOPT_MS)
    assert batch_id(other) not in {identity for _, ids in bench.links.asked() for identity in ids}


# Announcements and fetching


def test_an_announced_batch_is_fetched_if_it_does_not_come() -> None:
    """After a while, from those who announced it, once in one message for several."""
    bench = Bench()
    other = raws(50, 2)
    bench.have(BOB, [ID, batch_id(other)])
    bench.run(ADOPT_MS - 10)
    assert [] == bench.links.asked()
    bench.run(20)
    assert [(BOB, (ID, batch_id(other)))] == bench.links.asked()

    bench.reply(BOB, BATCH)
    bench.reply(BOB, other)
    bench.run()
    assert 2 == len(bench.ready)
    assert {0, 2} == bench.pool.get(ID).holders
    assert 0 == len(bench.dissemination._fetches)


def test_announcements_of_what_does_not_exist_cost_little() -> None:
    """A flood of unknown ids fills a bounded list, is asked for twice, and is gone."""
    bench = Bench()
    for first in range(0, 4_096, 1_024):
        bench.have(CAROL, [number.to_bytes(32, "big") for number in range(first, first + 1_024)])
    assert ADOPTIONS_MAX == len(bench.dissemination._fetches)
    bench.run(5_000)

    assert 0 == len(bench.dissemination._fetches)
    assert 2 * ADOPTIONS_MAX == sum(len(ids) for _, ids in bench.links.asked())
    bench.have(BOB, [ID])
    bench.run(2 * ADOPT_MS)
    assert (BOB, (ID,)) == bench.links.asked()[-1]


def test_too_many_announcements_are_a_flood() -> None:
    """Several times what J9 allows in a second: flood."""
    bench = Bench()
    for _ in range(HAVES_PER_SECOND_MAX + 1):
        bench.have(CAROL, [ID])
    assert [(CAROL, Offence.FLOOD)] == bench.links.punished

    bench.run(1_000)
    bench.have(CAROL, [ID])
    assert 1 == len(bench.links.punished)


def test_a_batch_that_a_block_needs_is_asked_at_once_until_it_comes() -> None:
    """Of one source after the other; who serves half is asked again only for the rest."""
    bench = Bench()
    other = raws(50, 2)
    for identity in (ID, batch_id(other)):
        bench.dissemination.want(identity, [ALICE, BOB])
    bench.run(10)
    assert [(ALICE, (ID, batch_id(other)))] == bench.links.asked()

    bench.reply(ALICE, BATCH)
    bench.run(300)
    assert (BOB, (batch_id(other),)) == bench.links.asked()[1]
    bench.reply(BOB, other)
    bench.run()

    assert [ID, batch_id(other)] == [entry.id for entry in bench.ready]
    assert bench.pool.get(ID).creator is None, "the block bounds it, nobody is charged"


def test_a_needed_batch_that_nobody_has_is_given_up() -> None:
    """A leader that lists what nobody has costs a bounded number of requests."""
    bench = Bench()
    bench.dissemination.want(ID, [ALICE])
    bench.run(60_000)

    assert 8 == len(bench.links.asked())
    assert 0 == len(bench.dissemination._fetches)


def test_an_invalid_batch_that_a_block_needs_is_reported() -> None:
    """The id commits to its bytes: no other copy can be valid, so the block can never be (J2)."""
    bench = Bench()
    bad = [BATCH[0], unsigned(BATCH[1])]
    bench.dissemination.want(batch_id(bad), [ALICE])
    bench.reply(ALICE, bad)
    bench.run(HALF_SECOND)

    assert [(ALICE, Offence.INVALID_BATCH)] == bench.links.punished
    assert [batch_id(bad)] == bench.spoiled
    assert batch_id(bad) in bench.dissemination.invalid
    assert 0 == len(bench.dissemination._fetches)


def test_an_answer_to_no_question_is_dropped() -> None:
    """It may be late; it is not worth an offence, and not worth a verification."""
    bench = Bench()
    bench.reply(ALICE, BATCH)

    assert 0 == bench.dissemination.verification.backlog
    assert [] == bench.links.punished


def test_an_executed_batch_is_taken_from_the_stored_block() -> None:
    """A block that lists a batch again after it was executed and deleted must not stall (seed 145)."""
    bench = Bench()
    bench.stored[ID] = BATCH
    bench.pool.remove([ID], 4)
    bench.dissemination.want(ID, [ALICE])

    assert [ID] == [entry.id for entry in bench.ready]
    assert bench.pool.get(ID).executed
    assert not bench.pool.waiting
    assert set() == bench.links.announced()
    bench.dissemination.clear([ID], 6)
    assert [] == bench.store.ids()


def test_an_expired_batch_can_be_fetched_again() -> None:
    """Validity never reads expiry: a block may list what was dropped here as expired."""
    bench = Bench()
    bench.pool.remove([ID])
    bench.dissemination.want(ID, [BOB])
    bench.run()
    bench.reply(BOB, BATCH)
    bench.run()

    assert bench.pool.ready(ID) is not None


def test_cleared_while_it_is_being_synced() -> None:
    """A batch whose block is final before the own disk is done is answered for, and leaves nothing behind."""
    bench = Bench(disk_ms=(50, 50))
    answers = submit(bench, *BATCH)
    bench.run(20)
    bench.dissemination.clear([ID], 3)
    bench.run(100)

    assert [None] * 3 == [refusal for _, refusal in answers]
    assert [] == bench.store.ids()
    assert [] == bench.ready


# Serving


def test_served_from_the_pool() -> None:
    """One message for each batch asked for; unknown ones are passed over."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.run()
    bench.ask(BOB, [bytes(32), ID])

    assert [(BOB, BATCH)] == [(peer, message.batch) for peer, message in bench.links.batches(BatchReply)]


def test_nothing_is_served_that_is_not_durable() -> None:
    """A batch in verification, or not synced, is not here."""
    bench = Bench(disk_ms=(100, 100))
    bench.push(ALICE, BATCH)
    bench.run(20)
    bench.ask(BOB, [ID])

    assert [] == bench.links.batches(BatchReply)


def test_a_full_queue_ends_the_answer() -> None:
    """Who takes nothing is not encoded for."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.run()
    bench.links.full.add(BOB)
    sends = []
    bench.links.send = lambda peer, channel, payload: sends.append(peer) or False
    bench.ask(BOB, [ID] * 1_000)

    assert [BOB] == sends


def test_thousands_of_requests_are_answered_up_to_a_share() -> None:
    """What one validator gets in a second is bounded, and so are the blocks read for it."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.run()
    old = [number.to_bytes(32, "big") for number in range(1_000)]
    bench.pool.remove(old, 1)
    for _ in range(6):
        bench.ask(BOB, [ID] * 1_024)
        bench.ask(BOB, old)

    assert SERVED_PER_SECOND_MAX == len(bench.links.batches(BatchReply))
    assert STORED_PER_SECOND_MAX == bench.reads
    bench.run(1_000)
    bench.ask(BOB, [ID])
    assert SERVED_PER_SECOND_MAX + 1 == len(bench.links.batches(BatchReply))


def test_who_connects_hears_what_waits() -> None:
    """A validator that was away learns of every durable batch, and can fetch what it lacks."""
    bench = Bench()
    bench.push(ALICE, BATCH)
    bench.run()
    bench.links.sent.clear()
    bench.dissemination.greet(CAROL)

    assert {ID} == bench.links.announced()
    bench.links.sent.clear()
    bench.dissemination.greet(PEER)
    assert [] == bench.links.sent


def test_a_large_submission_is_verified_in_slices() -> None:
    """A thousand transactions take several turns of the loop, and all of them are answered."""
    bench = Bench()
    calls: list[int] = []
    verify = bench.dissemination.verification._verify
    bench.dissemination.verification._verify = lambda found: calls.append(len(found)) or verify(found)
    many = [raw(1_000 + number) for number in range(600)]
    answers = submit(bench, *many)
    bench.run(100)

    assert 600 == len(answers)
    assert max(calls) <= 64
    assert 2 == len(bench.pool), "512 transactions fill a batch"
    assert 0 == bench.dissemination.verification.backlog
