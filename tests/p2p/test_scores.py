"""Offences add up, fade, and lead to bans that grow but never cost the quorum."""

from p2p.scores import (
    BAN_MAX_MS,
    BAN_MIN_MS,
    BAN_VALIDATOR_MS,
    FADE_MS,
    FORGET_MS,
    LIMIT,
    METER_MS,
    Meter,
    Offence,
    Scores,
)

PEER = bytes(32)


def test_small_offences_add_up():
    """Five unsolicited answers in a row are too many; four are not."""
    scores = Scores()
    assert [scores.offence(PEER, Offence.UNSOLICITED, validator=False, now_ms=0) for _ in range(5)] == [False] * 4 + [
        True
    ]
    assert scores.banned_ms(PEER, 0) == BAN_MIN_MS
    assert scores.banned_ms(PEER, BAN_MIN_MS) == 0
    assert scores.offences(PEER) == {"unsolicited": 5}


def test_offences_fade():
    """A slow peer that times out now and then is never dropped."""
    scores = Scores()
    pause_ms = Offence.TIMEOUT.weight * FADE_MS
    assert not any(scores.offence(PEER, Offence.TIMEOUT, validator=False, now_ms=n * pause_ms) for n in range(500))


def test_bans_double_and_are_forgotten():
    """Each ban within a day is twice as long, up to an hour; after a quiet day it is short again."""
    scores, now, spans = Scores(), 0, []
    for _ in range(12):
        assert scores.offence(PEER, Offence.MALFORMED, validator=False, now_ms=now)
        spans.append(scores.banned_ms(PEER, now))
        now += spans[-1]
    assert spans[:3] == [BAN_MIN_MS, 2 * BAN_MIN_MS, 4 * BAN_MIN_MS]
    assert spans[-1] == BAN_MAX_MS
    now += FORGET_MS + 1
    scores.offence(PEER, Offence.MALFORMED, validator=False, now_ms=now)
    assert scores.banned_ms(PEER, now) == BAN_MIN_MS


def test_validators_are_never_kept_out_for_long():
    """However often accused, a validator is back after ten seconds."""
    scores = Scores()
    for now in range(0, 1_000_000, 100_000):
        scores.offence(PEER, Offence.MALFORMED, validator=True, now_ms=now)
        assert scores.banned_ms(PEER, now) == BAN_VALIDATOR_MS


def test_unregistered_nodes_are_forgotten():
    """Records are kept for registered nodes only."""
    scores = Scores()
    scores.offence(PEER, Offence.MALFORMED, validator=False, now_ms=0)
    scores.forget(frozenset({b"x" * 32}))
    assert scores.banned_ms(PEER, 0) == 0
    assert scores.offences(PEER) == {}


def test_weights_are_within_the_limit():
    """No offence weighs more than a ban; the heavy ones are bans by themselves."""
    assert {offence for offence in Offence if offence.weight >= LIMIT} == {
        Offence.MALFORMED, Offence.OVERSIZE, Offence.INVALID_BLOCK,
    }  # fmt: skip


def test_a_meter_counts_by_the_second():
    """So many times in a second are fine, the next is too often, and the next second begins anew."""
    meter = Meter(2)
    assert [meter.exceeded(now_ms) for now_ms in (0, 10, METER_MS - 1, METER_MS)] == [False, False, True, False]
    assert Meter(1).exceeded(0) is False
