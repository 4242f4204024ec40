"""Who is a validator when: the epochs of one seed, planned beforehand and known to nobody in the network.

Nodes learn of an epoch only by executing the last block of the one before, as in the product: there the next record is
computed from state, here it is read from the plan.  One member joins, leaves, is replaced or changes its key at a time.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header, block_id
from cccnode.types.validators import EpochRecord, Timers, epoch_record_hash
from consensus.config import Config, Root
from consensus.leaders import leader_order
from tests.simulation.fakes import CHAIN, genesis_header, key_of, record_of, same_key

ENDLESS = 2**62
CHANGES = ("join", "leave", "rotate", "rotate", "replace", "none")


def faults_of(members: int) -> int:
    """f."""
    return (members - 1) // 3


@dataclass(slots=True)
class Plan:
    """The records of all epochs, made as far as anybody asks."""

    rng: random.Random
    count: int
    """Validators of the first epoch: identities 0..count-1."""
    spare: int
    """Identities above that may join."""
    byzantine: frozenset[int]
    timers: Timers
    blocks: int = ENDLESS
    """Heights of an epoch."""
    rotate_only: bool = False
    """Keys change and members do not."""
    public: Callable[[bytes], bytes] = same_key
    """What stands in the record for a key."""
    script: Mapping[int, Sequence[tuple[int, int]]] | None = None
    """By epoch: who its members are, where somebody says so; the epochs between have those of the one before."""
    records: list[EpochRecord] = field(default_factory=list)
    members: list[tuple[tuple[int, int], ...]] = field(default_factory=list)
    """By epoch: (identity, key generation) in the order of the record."""
    early: list[int | None] = field(default_factory=list)
    """By epoch: so many heights after its start a change is due, which ends it."""
    order: Sequence[int] = ()
    """Leaders of views 1, 2, ... of the first epoch, each validator once, where somebody says so."""
    boundaries: dict[int, bytes] = field(default_factory=dict)
    """By epoch: the block that it starts from, as soon as one is known."""
    starts: dict[int, int] = field(default_factory=dict)
    """By epoch: the height of that block."""
    seed: bytes = ZERO
    """What the order of leaders of the first epoch is drawn from."""
    joined: int = 0
    left: int = 0
    rotated: int = 0

    def __post_init__(self) -> None:
        """The first epoch is genesis."""
        self._add(tuple((identity, 0) for identity in range(self.count)))
        self.boundaries[0] = block_id(self.genesis)
        self.starts[0] = 0
        self.seed = self._seed_of(self.order) if self.order else self.boundaries[0]

    @property
    def genesis(self) -> Header:
        """Height 0."""
        return genesis_header(self.record(0))

    def _add(self, members: tuple[tuple[int, int], ...]) -> None:
        self.records.append(record_of(len(self.records), members, self.timers, self.public))
        self.members.append(members)
        soon = self.blocks < ENDLESS and self.script is None and self.rng.random() < 0.3
        self.early.append(self.rng.randint(1, max(1, self.blocks // 2)) if soon else None)

    def record(self, epoch: int) -> EpochRecord:
        """The record of an epoch."""
        while epoch >= len(self.records):
            self._add(self._changed(self.members[-1]))
        return self.records[epoch]

    def _changed(self, members: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The next members: at most one differs, and never more than f are Byzantine."""
        if self.script is not None:
            return tuple(self.script.get(len(self.records), members))
        change = "rotate" if self.rotate_only else self.rng.choice(CHANGES)
        outside = sorted(set(range(self.count + self.spare)) - dict(members).keys())
        place = self.rng.randrange(len(members))
        rest = [*members[:place], *members[place + 1 :]]
        if change == "join" and outside:
            changed = [*members, self._newcomer(outside)]
        elif change == "leave" and len(members) > 4:
            changed = rest
        elif change == "replace" and outside:
            changed = [*rest, self._newcomer(outside)]
        elif change == "rotate":
            identity, generation = members[place]
            changed = [*members[:place], (identity, generation + 1), *members[place + 1 :]]
        else:
            return members
        if sum(identity in self.byzantine for identity, _ in changed) > faults_of(len(changed)):
            return members
        self.joined += len(dict(changed).keys() - dict(members).keys())
        self.left += len(dict(members).keys() - dict(changed).keys())
        self.rotated += change == "rotate"
        return tuple(changed)

    def _newcomer(self, outside: list[int]) -> tuple[int, int]:
        identity = self.rng.choice(outside)
        used = [generation for members in self.members for held, generation in members if held == identity]
        return (identity, max(used, default=-1) + 1)

    def _seed_of(self, order: Sequence[int]) -> bytes:
        """Something that gives this order of leaders: found by trying."""
        keys = [validator.consensus_key for validator in self.record(0).validators]
        wanted = (order[-1], *order[:-1])
        seeds = (number.to_bytes(32, "big") for number in count())
        return next(seed for seed in seeds if leader_order(seed, keys) == wanted)

    # ----- questions

    def index(self, epoch: int, identity: int) -> int | None:
        """The place of an identity in an epoch's record; None: not a validator of it."""
        self.record(epoch)
        return next((place for place, (held, _) in enumerate(self.members[epoch]) if held == identity), None)

    def identity(self, epoch: int, index: int) -> int:
        """Who stands at this place of an epoch's record."""
        self.record(epoch)
        return self.members[epoch][index][0]

    def size(self, epoch: int) -> int:
        """How many validators an epoch has."""
        return len(self.record(epoch).validators)

    def key(self, epoch: int, identity: int) -> bytes | None:
        """The consensus key of an identity in an epoch."""
        place = self.index(epoch, identity)
        return None if place is None else key_of(*self.members[epoch][place])

    def leader(self, epoch: int, view: int) -> int:
        """The identity that leads a view."""
        keys = [validator.consensus_key for validator in self.record(epoch).validators]
        return self.identity(epoch, leader_order(self._drawn_from(epoch), keys)[view % len(keys)])

    def _drawn_from(self, epoch: int) -> bytes:
        return self.boundaries[epoch] if epoch else self.seed

    def due(self, epoch: int, height: int) -> bool:
        """Whether the state after `height` holds a change for the next epoch."""
        early = self.early[epoch] if epoch < len(self.early) else None
        return early is not None and height >= self.starts[epoch] + early

    def next_hash(self, epoch: int, height: int, exec_height: int) -> bytes:
        """What a header of this height must say of the next epoch: its record's hash in the last block, else zero."""
        start = self.starts[epoch]
        over = height - start >= self.blocks or self.due(epoch, exec_height)
        return epoch_record_hash(self.record(epoch + 1)) if exec_height >= start and over else ZERO

    def begin(self, epoch: int, boundary: bytes, height: int) -> None:
        """Somebody executed the block that `epoch` starts from; that all agree is the audit's business."""
        self.record(epoch)
        self.boundaries.setdefault(epoch, boundary)
        self.starts.setdefault(epoch, height)

    def config(self, epoch: int, identity: int, root: Root, *, watch: bool, unsure_view: int = 0) -> Config:
        """How the engine of an identity starts an epoch, or goes on with it."""
        record = self.record(epoch)
        return Config(
            chain=CHAIN,
            epoch=epoch,
            record=record,
            record_hash=epoch_record_hash(record),
            boundary_id=self._drawn_from(epoch),
            me=self.index(epoch, identity),
            root=root,
            watch=watch,
            unsure_view=unsure_view,
        )

    def changes(self) -> Mapping[str, int]:
        """What changed, for the coverage."""
        return {"joined": self.joined, "left": self.left, "keys_rotated": self.rotated}
