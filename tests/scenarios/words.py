"""How a story is read: lines, their words, and what it says before anything happens."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from cccnode.types.validators import Timers
from cccnode.types.vote import Kind
from tests.consensus.cluster import Cluster
from tests.simulation.auditor import Auditor
from tests.simulation.epochs import ENDLESS, Plan

T = TypeVar("T")

KINDS = {"notarize": Kind.NOTARIZE, "nullify": Kind.NULLIFY, "finalize": Kind.FINALIZE}
TIMERS = {"delta": "delta_ms", "interval": "min_interval_ms", "heartbeat": "heartbeat_ms"}


class Unreadable(ValueError):
    """A line of a story that means nothing."""


@dataclass(slots=True)
class Words:
    """The words of one line, taken from the left."""

    left: list[str]

    def take(self) -> str:
        """The next word."""
        if not self.left:
            raise Unreadable("the line ends too early")
        return self.left.pop(0)

    def number(self) -> int:
        """The next word, a number."""
        word = self.take()
        if not re.fullmatch(r"[+-]?\d+", word):
            raise Unreadable(f"{word!r} is no number")
        return int(word)

    def one_of(self, table: Mapping[str, T]) -> T:
        """What a table says of the next word."""
        word = self.take()
        if word not in table:
            raise Unreadable(f"{word!r} is none of {', '.join(table)}")
        return table[word]

    def numbers(self) -> list[int]:
        """As many numbers as follow."""
        found = []
        while self.left and self.left[0].isdigit():
            found.append(int(self.left.pop(0)))
        return found

    def has(self, *words: str) -> bool:
        """Whether these words follow; then they are taken."""
        if self.left[: len(words)] != list(words):
            return False
        del self.left[: len(words)]
        return True

    def expect(self, word: str) -> None:
        """The next word must be this."""
        if not self.has(word):
            raise Unreadable(f"{word!r} expected, not {' '.join(self.left[:1]) or 'the end of the line'!r}")

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise Unreadable(f"nobody knows what {' '.join(self.left)!r} means here")


@dataclass(slots=True)
class Line:
    """One line of a story."""

    number: int
    text: str

    @property
    def words(self) -> Words:
        """Its words."""
        return Words(self.text.split())


def lines_of(text: str) -> Iterator[Line]:
    """The lines that say something."""
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.partition("#")[0].strip()
        if said:
            yield Line(number, said)


@dataclass(slots=True)
class Setting:
    """What the story says before anything happens."""

    validators: int = 4
    spare: int = 0
    liars: list[int] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    leaders: list[int] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)
    delay_ms: int = 10
    epoch_blocks: int = ENDLESS
    epochs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def read(self, verb: str, words: Words) -> bool:
        """Take one line; False if it is none of the setting."""
        match verb:
            case "validators":
                self.validators = words.number()
            case "leaders":
                self.leaders = words.numbers()
            case "liars":
                self.liars = words.numbers()
            case "silent":
                self.silent = words.numbers()
            case "delay":
                self.delay_ms = words.number()
            case "timers":
                while words.left:
                    name = words.one_of(TIMERS)
                    self.timers[name] = words.number()
            case "epochs":
                self.epoch_blocks = words.number()
            case "epoch":
                epoch = words.number()
                words.expect("of")
                self.epochs[epoch] = [(int(word.rstrip("'")), word.count("'")) for word in words.left]
                words.left.clear()
            case _:
                return False
        words.end()
        return True

    def cluster(self) -> Cluster:
        """The network."""
        joining = {identity for members in self.epochs.values() for identity, _ in members}
        timers = Timers(**{"delta_ms": 250, "min_interval_ms": 0, "heartbeat_ms": 10**9} | self.timers)
        plan = Plan(
            rng=random.Random(0),
            count=self.validators,
            spare=len(joining - set(range(self.validators))),
            byzantine=frozenset(self.liars),
            timers=timers,
            blocks=self.epoch_blocks,
            script=self.epochs,
            order=self.leaders,
        )
        cluster = Cluster(
            self.validators,
            delay_ms=self.delay_ms,
            plan=plan,
            silent=(*self.liars, *self.silent),
        )
        honest = partial(_is_not_in, frozenset(self.liars))
        cluster.audit = Auditor(honest=honest, members=plan.size)
        return cluster


def _is_not_in(liars: frozenset[int], identity: int) -> bool:
    return identity not in liars
