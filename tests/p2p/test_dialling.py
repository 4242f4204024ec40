"""Whom to dial and when, without sockets or clock."""

import random

from cccnode.types.errors import NET_CLOSED, NET_UNREACHABLE, fault
from p2p.dialling import Dialling
from p2p.peers import Settings

LOW, OWN, HIGH = bytes(32), b"\x05" * 32, b"\x09" * 32
SETTINGS = Settings()
NO_WAY = fault(NET_UNREACHABLE)


def dialling(*, mesh=(), wanted=(), linked=()):
    made = Dialling(own_key=OWN, settings=SETTINGS, chance=random.Random(1))
    made.aim(mesh=mesh, wanted=wanted, linked=linked, now_ms=0)
    return made


def test_lower_key_dials_first():
    """In the mesh the higher key is dialled at once, the lower one is left to dial us for a while."""
    made = dialling(mesh=[LOW, HIGH])
    assert made.due(SETTINGS.backoff_min_ms) == [HIGH]
    assert made.due(SETTINGS.second_dial_ms // 2 - 1) == []
    assert made.due(SETTINGS.second_dial_ms) == [LOW]


def test_wanted_nodes_are_dialled_at_once():
    """Nobody else dials for us where only we want the link."""
    assert dialling(wanted=[LOW]).due(SETTINGS.backoff_min_ms) == [LOW]


def test_backoff_doubles_with_jitter_up_to_the_cap():
    """Waits grow from a tenth of a second to ten seconds, each between half of it and all of it, for ever."""
    made = dialling(wanted=[HIGH])
    now, waits = 0, []
    for _ in range(20):
        now = made.next_ms
        assert made.due(now) == [HIGH]
        assert made.next_ms is None
        made.failed(HIGH, NO_WAY, now)
        waits.append(made.next_ms - now)
    caps = [min(SETTINGS.backoff_max_ms, SETTINGS.backoff_min_ms << n) for n in range(20)]
    assert all(cap // 2 <= wait <= cap for wait, cap in zip(waits, caps, strict=True))
    assert made.targets[HIGH].last_fault is NO_WAY
    assert made.targets[HIGH].attempts == 20
    assert len(set(waits[8:])) > 8


def test_a_link_ends_the_dialling_until_it_is_lost():
    """Linked nodes are not dialled; lost ones soon are, with the count started anew."""
    made = dialling(wanted=[HIGH])
    made.due(100)
    made.failed(HIGH, NO_WAY, 100)
    made.linked(HIGH)
    assert made.next_ms is None
    made.lost(HIGH, fault(NET_CLOSED), 5_000)
    assert made.targets[HIGH].attempts == 0
    assert 5_000 <= made.next_ms <= 5_000 + SETTINGS.backoff_min_ms


def test_aim_keeps_what_is_known_and_drops_the_rest():
    """A new aim keeps the timetable of targets that stay, forgets others, and never includes ourselves."""
    made = dialling(wanted=[HIGH, OWN], linked=[LOW])
    made.due(100)
    made.failed(HIGH, NO_WAY, 100)
    kept = made.next_ms
    made.aim(mesh=[LOW], wanted=[HIGH], linked=[LOW], now_ms=200)
    assert made.next_ms == kept
    assert list(made.targets) == [LOW, HIGH]
    made.aim(mesh=[], wanted=[], linked=[], now_ms=300)
    made.failed(HIGH, NO_WAY, 300)
    made.lost(HIGH, NO_WAY, 300)
    made.linked(HIGH)
    assert made.next_ms is None
