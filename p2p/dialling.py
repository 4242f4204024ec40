"""Whom to dial and when: for ever, with doubling, capped and jittered waits.  Pure: time and chance are arguments.

Of a pair that both want the link, the lower key dials at once and the higher one only after a while, so that normally
exactly one connection is made, and one is still made where a firewall lets only one direction through.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cccnode.types.errors import Fault
from p2p.peers import Settings


class Chance(Protocol):
    """The part of random.Random that is needed here."""

    def random(self) -> float:
        """A number in [0, 1)."""


@dataclass(slots=True)
class Target:
    """One node that must stay linked."""

    node_key: bytes
    patient: bool
    """The other side dials first."""
    next_ms: int | None
    """When to dial; None while linked or while a dial is under way."""
    attempts: int = 0
    """Since the last success."""
    last_fault: Fault | None = None


class Dialling:
    """The targets and their timetable."""

    __slots__ = ("_chance", "_own_key", "_settings", "targets")

    def __init__(self, *, own_key: bytes, settings: Settings, chance: Chance) -> None:
        self._own_key = own_key
        self._settings = settings
        self._chance = chance
        self.targets: dict[bytes, Target] = {}
        """By node key, ascending."""

    def aim(self, *, mesh: Iterable[bytes], wanted: Iterable[bytes], linked: Iterable[bytes], now_ms: int) -> None:
        """Set the complete set of targets.  Both sides of a mesh link want it; a wanted node may not want us."""
        patience = dict.fromkeys(wanted, False) | {key: self._own_key > key for key in mesh}
        patience.pop(self._own_key, None)
        live = frozenset(linked)
        targets = {}
        for key in sorted(patience):
            target = self.targets.get(key)
            if target is None:
                target = Target(node_key=key, patient=patience[key], next_ms=None)
                if key not in live:
                    target.next_ms = now_ms + self._first_wait(patient=target.patient)
            target.patient = patience[key]
            targets[key] = target
        self.targets = targets

    def due(self, now_ms: int) -> list[bytes]:
        """Whom to dial now; each is under way from here on, until `failed` or `linked` is called."""
        keys = [key for key, target in self.targets.items() if target.next_ms is not None and target.next_ms <= now_ms]
        for key in keys:
            self.targets[key].next_ms = None
        return keys

    @property
    def next_ms(self) -> int | None:
        """When the next dial is due."""
        return min((target.next_ms for target in self.targets.values() if target.next_ms is not None), default=None)

    def failed(self, node_key: bytes, reason: Fault, now_ms: int) -> None:
        """A dial did not lead to a link."""
        target = self.targets.get(node_key)
        if target is None:
            return
        target.last_fault = reason
        target.next_ms = now_ms + self._wait(target.attempts)
        target.attempts += 1

    def linked(self, node_key: bytes) -> None:
        """A link is up, whoever dialled."""
        target = self.targets.get(node_key)
        if target is not None:
            target.attempts, target.next_ms, target.last_fault = 0, None, None

    def lost(self, node_key: bytes, reason: Fault, now_ms: int) -> None:
        """The link is gone: dial again soon."""
        target = self.targets.get(node_key)
        if target is not None:
            target.last_fault = reason
            target.next_ms = now_ms + self._first_wait(patient=target.patient)

    def _first_wait(self, *, patient: bool) -> int:
        return (
            self._jitter(self._settings.second_dial_ms)
            if patient
            else int(self._chance.random() * self._settings.backoff_min_ms)
        )

    def _wait(self, attempts: int) -> int:
        settings = self._settings
        return self._jitter(min(settings.backoff_max_ms, settings.backoff_min_ms << min(attempts, 16)))

    def _jitter(self, span_ms: int) -> int:
        """Between half of it and all of it, so that nodes that fell together do not rise together."""
        return span_ms // 2 + int(self._chance.random() * (span_ms - span_ms // 2))
