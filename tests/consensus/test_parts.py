"""The parts by themselves: guard, votes, certificates, evidence, timers, leaders, header rules, peers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header, block_id
from cccnode.types.certificate import claims_of, make_certificate, signer_indices, well_formed
from cccnode.types.validators import Timers, faults, quorum
from cccnode.types.vote import Kind, Proposal, Vote, nullified, vote_bytes
from consensus import rules
from consensus.catchup import ASK_AT_ONCE, REPLIES_PER_SECOND_MAX, WANTED_MAX, Peers, Wanted
from consensus.certificates import VERIFIED_PER_VALIDATOR, CertificateBook, Verifier
from consensus.evidence import contradict
from consensus.guard import Guard
from consensus.leaders import Leaders, leader_order
from consensus.timers import ViewTimers, factor
from consensus.votes import VoteBook
from consensus.watching import Watch
from tests.simulation.fakes import (
    CHAIN,
    Signatures,
    config_of,
    epoch_record,
    genesis_header,
    key_of,
    make_header,
    record_of,
)

BLOCK = Proposal(5, 4, 3, b"b" * 32)
OTHER = Proposal(5, 3, 3, b"c" * 32)


def guard(**options: object) -> Guard:
    """A guard that may sign."""
    return Guard(**{"chain": CHAIN, "epoch": 0, "me": 0, "sign": lambda _: bytes(64), "silent": None, **options})


# ----- guard


def test_the_guard_notarizes_once_per_view() -> None:
    """One notarize vote in a view, the current one, before giving it up."""
    mine = guard()

    assert mine.notarize(BLOCK, view=4) is None
    assert mine.notarize(BLOCK, view=5) is not None
    assert mine.notarize(OTHER, view=5) is None
    assert mine.notarize(BLOCK, view=5) is None


def test_the_guard_leaves_a_view_by_one_of_two_ways() -> None:
    """After nullify no notarize and no finalize; after finalize no nullify."""
    mine = guard()
    assert mine.nullify(5, view=5) is not None
    assert mine.nullify(5, view=5) is None
    assert mine.notarize(BLOCK, view=5) is None
    assert mine.finalize(BLOCK, view=5, notarized=BLOCK) is None

    other = guard()
    assert other.finalize(BLOCK, view=5, notarized=OTHER) is None
    assert other.finalize(BLOCK, view=6, notarized=BLOCK) is None
    assert other.finalize(BLOCK, view=5, notarized=BLOCK) is not None
    assert other.nullify(5, view=5) is None


@pytest.mark.parametrize("options", [{"silent": "consensus/JOURNAL_LOST"}, {"sign": None}, {"me": None}])
def test_a_silent_guard_signs_nothing(options: dict[str, object]) -> None:
    """An observer, a node without a key, a node that lost its journal."""
    assert guard(**options).nullify(5, view=5) is None


def test_nothing_is_signed_at_or_below_the_final_view() -> None:
    """What is final needs no vote, so what was signed there may be forgotten."""
    mine = guard()
    mine.notarize(BLOCK, view=5)
    mine.raise_floor(5)

    assert {} == mine.own
    assert mine.nullify(5, view=5) is None
    assert mine.signed(Vote(Kind.NOTARIZE, OTHER, 0, bytes(64)))


@given(
    st.lists(st.tuples(st.sampled_from(["n", "0", "f", "enter"]), st.integers(1, 4), st.integers(0, 2)), max_size=60)
)
def test_no_sequence_of_wishes_makes_the_guard_contradict_itself(wishes: list[tuple[str, int, int]]) -> None:
    """Whatever is asked in whatever order, no two votes of a view are evidence against the signer."""
    mine, view, made = guard(), 1, []
    for kind, target, block in wishes:
        proposal = Proposal(target, 0, 1, bytes([block]) * 32)
        match kind:
            case "enter":
                view = max(view, target)
            case "n":
                made.append(mine.notarize(proposal, view=view))
            case "0":
                made.append(mine.nullify(target, view=view))
            case _:
                made.append(mine.finalize(proposal, view=view, notarized=proposal))
                view = max(view, target + 1) if made[-1] is not None else view
    votes = [vote for vote in made if vote is not None]

    assert not any(contradict(first, second) for first in votes for second in votes)


# ----- evidence


@pytest.mark.parametrize(
    ("first", "second", "proof"),
    [
        ((Kind.NOTARIZE, BLOCK), (Kind.NOTARIZE, OTHER), True),
        ((Kind.FINALIZE, BLOCK), (Kind.FINALIZE, OTHER), True),
        ((Kind.NULLIFY, nullified(5)), (Kind.FINALIZE, BLOCK), True),
        ((Kind.NOTARIZE, BLOCK), (Kind.NOTARIZE, BLOCK), False),
        ((Kind.NOTARIZE, BLOCK), (Kind.NULLIFY, nullified(5)), False),
        ((Kind.NOTARIZE, BLOCK), (Kind.FINALIZE, OTHER), False),
        ((Kind.NULLIFY, nullified(4)), (Kind.FINALIZE, BLOCK), False),
    ],
)
def test_what_is_evidence(first: tuple[Kind, Proposal], second: tuple[Kind, Proposal], proof: bool) -> None:
    """Two blocks notarized or finalized in one view, or nullify and finalize; nothing else, and one signer only."""
    one, two = Vote(*first, 1, bytes(64)), Vote(*second, 1, bytes(64))

    assert proof == contradict(one, two) == contradict(two, one)
    assert not contradict(one, Vote(*second, 2, bytes(64)))


# ----- votes and certificates


def votes_of(signatures: Signatures, kind: Kind, proposal: Proposal, *signers: int) -> list[Vote]:
    """Good votes."""
    message = vote_bytes(kind, CHAIN, 0, proposal)
    return [Vote(kind, proposal, signer, signatures.signer(key_of(signer))(message)) for signer in signers]


def book(signatures: Signatures, count: int = 4) -> VoteBook:
    """An empty book."""
    keys = [key_of(index) for index in range(count)]
    verifier = Verifier(chain=CHAIN, epoch=0, keys=keys, verify_many=signatures.verify_many)
    return VoteBook(verifier=verifier, quorum=quorum(count))


def test_signers_are_counted_and_not_votes() -> None:
    """The same vote again is no news; a quorum needs as many signers; a third block from one signer is dropped."""
    signatures = Signatures()
    held = book(signatures)
    first, second = votes_of(signatures, Kind.NOTARIZE, BLOCK, 0, 1)
    assert [] == held.add(first)
    assert held.add(first) is None
    assert [] == held.add(second)
    assert (None, []) == held.certify((Kind.NOTARIZE, BLOCK))

    (third,) = votes_of(signatures, Kind.NOTARIZE, BLOCK, 2)
    held.add(third)
    assert {0, 1, 2} == set(held.certify((Kind.NOTARIZE, BLOCK))[0] or ())
    (another,) = votes_of(signatures, Kind.NOTARIZE, OTHER, 0)
    assert [first] == held.add(another)
    (more,) = votes_of(signatures, Kind.NOTARIZE, Proposal(5, 2, 3, b"d" * 32), 0)
    assert held.add(more) is None
    assert (0, 1, 2) == held.signers(5, Kind.NOTARIZE)


def test_a_bad_signature_is_dropped_when_the_quorum_is_verified() -> None:
    """Only when a quorum is there are signatures checked; the bad one goes, and a good one may take its place."""
    signatures = Signatures()
    held = book(signatures)
    good = votes_of(signatures, Kind.NULLIFY, nullified(5), 0, 1, 2)
    bad = Vote(Kind.NULLIFY, nullified(5), 2, bytes(64))
    for vote in (*good[:2], bad):
        held.add(vote)

    assert (None, [bad]) == held.certify((Kind.NULLIFY, nullified(5)))
    held.add(good[2])
    assert held.certify((Kind.NULLIFY, nullified(5)))[0] is not None
    held.prune(6)
    assert () == held.signers(5, Kind.NULLIFY)


def test_signatures_are_verified_once_and_forgotten_in_time() -> None:
    """A known signature costs no call; what is remembered is bounded."""
    signatures = Signatures()
    calls: list[int] = []

    def counting(messages: list[bytes], made: list[bytes], keys: list[bytes]) -> list[bool]:
        calls.append(len(messages))
        return signatures.verify_many(messages, made, keys)

    verifier = Verifier(chain=CHAIN, epoch=0, keys=[key_of(0)], verify_many=counting)
    (vote,) = votes_of(signatures, Kind.NULLIFY, nullified(1), 0)
    claim = (vote.kind, vote.proposal, 0, vote.signature)

    assert [True, True] == verifier.check([claim, claim])
    assert [True] == verifier.check([claim])
    assert [1] == calls
    for view in range(2, 2 * VERIFIED_PER_VALIDATOR):
        verifier.trust((Kind.NULLIFY, nullified(view), 0, bytes(64)))
    assert not verifier.known(claim)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 100, 128])
def test_certificates_of_every_size(count: int) -> None:
    """A quorum of signers in a bitmap of exact length; one signer less, or a stray bit, is no certificate."""
    need = quorum(count)
    full = make_certificate(Kind.NOTARIZE, BLOCK, {i: bytes(64) for i in range(count - need, count)}, count)

    claims = claims_of(full, count)

    assert claims is not None
    assert list(range(count - need, count)) == [signer for _, _, signer, _ in claims]
    less = make_certificate(Kind.NOTARIZE, BLOCK, {i: bytes(64) for i in range(need - 1)} or {0: bytes(64)}, count)
    assert need == 1 or claims_of(less, count) is None
    assert claims_of(full, count + 8) is None
    if count % 8:
        stray = bytearray(full.bitmap)
        stray[-1] |= 0x80
        assert claims_of(msgspec.structs.replace(full, bitmap=bytes(stray)), count) is None


@given(st.binary(min_size=1, max_size=3), st.integers(1, 24), st.integers(1, 24))
def test_any_bitmap_is_judged_without_error(bitmap: bytes, signatures: int, count: int) -> None:
    """No combination of bitmap, number of signatures and validators raises; what passes has a quorum of signers."""
    certificate = make_certificate(Kind.NULLIFY, nullified(1), {0: bytes(64)}, 1)
    changed = msgspec.structs.replace(certificate, bitmap=bitmap, signatures=(bytes(64),) * signatures)

    claims = claims_of(changed, count)

    if claims is not None:
        assert quorum(count) <= len(claims) == len(signer_indices(bitmap)) == signatures <= count


@pytest.mark.parametrize(
    ("kind", "proposal"),
    [
        (Kind.NULLIFY, Proposal(0, 0, 0, bytes(32))),
        (Kind.NULLIFY, Proposal(1, 0, 0, b"x" * 32)),
        (Kind.NULLIFY, Proposal(1, 0, 1, bytes(32))),
        (Kind.NOTARIZE, Proposal(1, 1, 1, b"x" * 32)),
        (Kind.NOTARIZE, Proposal(1, 0, 0, b"x" * 32)),
        (Kind.FINALIZE, Proposal(0, 0, 1, b"x" * 32)),
    ],
)
def test_invalid_votes_name_what_cannot_be(kind: Kind, proposal: Proposal) -> None:
    """View 0, a parent not below, height 0, a nullify vote that names a block."""
    assert not well_formed(kind, proposal)


@given(st.sets(st.integers(1, 40)), st.integers(1, 41))
def test_reach_is_the_run_of_nullified_views(views: set[int], view: int) -> None:
    """The walk down equals the plain loop, in whatever order the certificates came."""
    held = CertificateBook(None)
    for nullified_view in views:
        held.add(make_certificate(Kind.NULLIFY, nullified(nullified_view), {0: bytes(64)}, 1))
        held.reach(nullified_view)
    lowest = view
    while lowest - 1 in views:
        lowest -= 1

    assert lowest == held.reach(view)
    held.prune(20)
    assert max(lowest, 21) == held.reach(view) or view <= 21


# ----- timers and leaders


def test_timers_grow_with_views_without_finality_and_are_capped() -> None:
    """1.25 per view from the fourth on, at most eightfold; a final block resets them."""
    assert [1000, 1000, 1000, 1000, 1250, 1562] == [factor(view, 0) for view in range(6)]
    assert 8000 == factor(10**15, 0) == factor(14, 0)
    assert 1000 == factor(10**15, 10**15 - 2)


def test_a_view_gives_up_after_t_leader_or_t_view() -> None:
    """min_interval + 2Δ without a proposal, min_interval + 4Δ with one, counted from being armed; unarmed: never."""
    timers = ViewTimers(Timers(delta_ms=100, min_interval_ms=50), 0)
    assert timers.nullify_ms is None
    timers.arm(1_000)
    timers.arm(2_000)
    assert 1_250 == timers.nullify_ms
    timers.proposal_seen = True
    assert 1_450 == timers.nullify_ms
    timers.gave_up(1_450)
    assert timers.nullify_ms is None
    assert 1_750 == timers.retry_ms
    timers.enter(now_ms=5_000, view=4 + 3, final_view=0)
    timers.arm(5_000)
    assert 5_000 + 250 * 1250**4 // 1000**4 == timers.nullify_ms


def test_leaders_take_turns_in_an_order_that_the_boundary_block_decides() -> None:
    """Each leads once in n views; another boundary block gives another order."""
    keys = [key_of(index) for index in range(7)]
    leaders = Leaders(b"boundary", keys)

    assert set(range(7)) == {leaders.of(view) for view in range(1, 8)}
    assert leaders.of(3) == leaders.of(10) == leader_order(b"boundary", keys)[3]
    assert leader_order(b"boundary", keys) != leader_order(b"boundarz", keys)
    assert all(faults(7) + 1 == sum(leaders.relays(i, view) for i in range(7)) for view in range(20))


# ----- header rules


def test_a_valid_header_has_no_fault() -> None:
    """The builder of the tests makes valid blocks."""
    record = epoch_record(4, Timers())
    genesis = genesis_header(record)
    body = (b"a" * 32, b"b" * 32)
    header = make_header(genesis, view=3, parent_view=0, proposer=1, body=body)

    assert rules.header_fault(config_of(record, 0), header, body) is None
    assert rules.child_fault(header, genesis) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": 2}, "header version"),
        ({"chain": bytes(32)}, "chain or epoch"),
        ({"epoch": 1}, "chain or epoch"),
        ({"epoch_record_hash": bytes(32)}, "epoch record"),
        ({"extra_hash": b"x" * 32}, "extra hash"),
        ({"parent_view": 3}, "view or height order"),
        ({"exec_height": 1}, "view or height order"),
        ({"body_root": bytes(32)}, "body root"),
        ({"tx_count": 0}, "batches without a transaction"),
    ],
)
def test_invalid_header(change: dict[str, object], fault: str) -> None:
    """Every field that a header must have right by itself."""
    record = epoch_record(4, Timers())
    header = make_header(genesis_header(record), view=3, parent_view=0, proposer=1, body=(b"a" * 32,))

    assert fault == rules.header_fault(config_of(record, 0), msgspec.structs.replace(header, **change), (b"a" * 32,))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"height": 3}, "height"),
        ({"time_ms": 1_000}, "time does not increase"),
        ({"exec_height": 0}, "executed height falls"),
    ],
)
def test_invalid_child(change: dict[str, object], fault: str) -> None:
    """Every field that must fit the parent."""
    genesis = genesis_header(epoch_record(4, Timers()))
    parent = msgspec.structs.replace(genesis, height=30, time_ms=1_000, exec_height=10)
    header = make_header(parent, view=40, parent_view=39, proposer=1, exec_height=15)

    assert rules.child_fault(header, parent) is None
    assert fault == rules.child_fault(msgspec.structs.replace(header, **change), parent)


def test_invalid_back_pressure_and_bodies() -> None:
    """More than 16 heights above E a block is empty; a batch is listed once; transactions need a batch."""
    parent = msgspec.structs.replace(genesis_header(epoch_record(4, Timers())), height=16)
    body = (b"a" * 32,)
    header = make_header(parent, view=20, parent_view=19, proposer=1, body=body)

    assert "not empty although execution is too far behind" == rules.child_fault(header, parent)
    assert rules.child_fault(make_header(parent, view=20, parent_view=19, proposer=1), parent) is None
    assert "a batch listed twice" == rules.body_fault(header, body + body)
    assert "transactions without a batch" == rules.body_fault(header, ())


# ----- the last block of an epoch (R12)


def last_block(view: int = 3) -> Header:
    """A block that ends the first epoch."""
    genesis = genesis_header(epoch_record(4, Timers()))
    return make_header(genesis, view=view, parent_view=0, proposer=1, next_record_hash=b"n" * 32)


def test_a_block_that_names_the_next_record_ends_its_epoch() -> None:
    """By itself it is a valid header: whether it may end the epoch is the driver's to check."""
    header = last_block()
    record = epoch_record(4, Timers())

    assert rules.header_fault(config_of(record, 0), header, ()) is None
    assert rules.ends_epoch(header)
    assert not rules.ends_epoch(genesis_header(record))


def test_invalid_child_of_the_last_block() -> None:
    """Nothing is built on it in its own epoch; the next epoch's first block is."""
    parent = last_block()
    same = make_header(parent, view=4, parent_view=3, proposer=2)
    later = make_header(parent, view=1, parent_view=0, proposer=2, record=record_of(1, [(0, 0)], Timers()))

    assert "its parent ends the epoch" == rules.child_fault(same, parent)
    assert rules.child_fault(later, parent) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"view": 9, "parent_view": 8}, None),
        ({"parent_view": 2}, "repeated without its own certificate"),
        ({"parent_view": 5}, "repeated without its own certificate"),
        ({"height": 2}, "proposal does not name its header"),
        ({"block_id": b"y" * 32}, "proposal does not name its header"),
    ],
)
def test_invalid_repetitions(change: dict[str, int | bytes], fault: str | None) -> None:
    """The same block in a later view, by whoever leads it, standing on a certificate of its own."""
    header = last_block(view=3)
    proposal = msgspec.structs.replace(Proposal(5, 3, 1, block_id(header)), **change)

    assert fault == rules.proposal_fault(proposal, header, 2)


def test_invalid_repetition_of_another_block() -> None:
    """Only the last block of an epoch is proposed twice; in its own view it is its leader's alone."""
    header = msgspec.structs.replace(last_block(view=3), next_epoch_record_hash=ZERO)
    repeated, first = Proposal(5, 3, 1, block_id(header)), Proposal(3, 0, 1, block_id(header))

    assert "a block of an earlier view that does not end the epoch" == rules.proposal_fault(repeated, header, 2)
    assert "proposer" == rules.proposal_fault(first, header, 2)
    assert rules.proposal_fault(first, header, 1) is None
    assert "proposal does not name its header" == rules.proposal_fault(
        msgspec.structs.replace(first, view=2), header, 1
    )


# ----- looking before signing (R13)


def watch(view: int = 5) -> Watch:
    """After a start in view 5, with two others to be heard, four views to pass, 100 ms of quiet."""
    return Watch(others=2, quiet_ms=100, view=view, views_left=4)


def test_a_watch_waits_for_a_quorum() -> None:
    """However long: what others would show is not there yet."""
    mine = watch()

    assert not any(mine.over(heard=1, behind=False, view=5 + now, now_ms=1_000 * now) for now in range(100))
    assert mine.until_ms is None


def test_a_watch_waits_until_it_is_where_the_others_are() -> None:
    """While it is behind of more than can lie it might sign in views that are over; then the quiet time begins."""
    mine = watch()
    assert not mine.over(heard=2, behind=False, view=5, now_ms=1_000)
    assert not any(mine.over(heard=2, behind=True, view=5, now_ms=now) for now in range(1_050, 5_000, 50))

    assert [False, False, True] == [
        mine.over(heard=2, behind=False, view=9, now_ms=now) for now in (5_000, 5_099, 5_100)
    ]


def test_a_watch_ends_when_nothing_moves() -> None:
    """The network may stand still because this node is missing: counted from when the quorum was heard."""
    mine = watch()

    assert [False, False, True] == [
        mine.over(heard=2, behind=False, view=5, now_ms=now) for now in (1_000, 1_099, 1_100)
    ]


def test_a_watch_ends_after_so_many_views() -> None:
    """While views pass without this node it is not needed; each starts the quiet time anew."""
    mine = watch()
    assert not mine.over(heard=2, behind=False, view=7, now_ms=0)
    steps = [(8, 90), (8, 180), (9, 185), (10, 280)]
    assert not any(mine.over(heard=2, behind=False, view=view, now_ms=now) for view, now in steps)

    assert mine.over(heard=2, behind=False, view=11, now_ms=281)


# ----- peers and wanted blocks


def test_e_is_the_height_that_a_quorum_reports() -> None:
    """The q-th highest report."""
    peers = Peers(epoch_record(4, Timers()), 0, view=1)
    peers.executed = [9, 1, 7, 5]

    assert 5 == peers.executed_by(3)


def test_a_node_gets_so_many_answers_and_no_more() -> None:
    """Requests beyond the budget of a second are dropped; help and questions keep their distance."""
    peers = Peers(epoch_record(4, Timers()), 0, view=1)

    assert REPLIES_PER_SECOND_MAX == sum(peers.may_reply(b"p", 10) for _ in range(100))
    assert peers.may_reply(b"p", 1_010)
    assert [True, False, True] == [peers.may_help(b"h", now) for now in (0, 199, 200)]
    assert [True, False, True] == [peers.may_ask(b"a", now) for now in (0, 199, 200)]
    for number in range(3_000):
        peers.may_help(number.to_bytes(4, "big"), 0)
    assert len(peers._rates) <= 1_024


def test_wanted_blocks_are_asked_of_their_voters_and_then_of_all() -> None:
    """Two at a time, another two next time; bounded; what is final below is dropped."""
    wanted = Wanted(validators=7, me=0, interval_ms=100)
    wanted.want(b"x", view=3, voters=(0, 1, 2), at_ms=50)

    assert [] == wanted.due(49)
    assert [(b"x", [1, 2])] == wanted.due(50)
    assert [] == wanted.due(149)
    wanted.due(150)
    asked = {voter for now in range(250, 2_000, 100) for _, voters in wanted.due(now) for voter in voters}
    assert {1, 2, 3, 4, 5, 6} == asked
    wanted.prune(3)
    assert b"x" not in wanted
    for number in range(500):
        wanted.want(number.to_bytes(4, "big"), view=9, voters=(), at_ms=0)
    assert WANTED_MAX == len(wanted.due(0))
    assert ASK_AT_ONCE == 2
