"""Transactions on their way from a node that is no validator to one that is (J8).

To a validator link if there is one, else hop by hop to the neighbour nearest to one; transactions of this node's own
clients go to another after two seconds without finality, up to f + 1 in all: one of them is honest.  Then the mempool
alone keeps them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cccnode.types.validators import faults
from p2p.events import Effect, Item, Send
from p2p.frames import Channel
from p2p.messages import FORWARD_BYTES_MAX, FORWARD_TXS_MAX, HOPS_MAX, NO_ROUTE, Forward
from p2p.overlay import Chance, GossipConfig, Neighbour

KEPT_MAX: Final = 16_384
"""Own transactions that wait for finality; further ones are sent once."""


@dataclass(slots=True)
class _Pending:
    item: Item
    due_ms: int
    tried: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Forwarding:
    """Own transactions that are not final yet, the next due first."""

    config: GossipConfig
    chance: Chance
    neighbours: Mapping[bytes, Neighbour]
    _pending: dict[bytes, _Pending] = field(default_factory=dict)
    """In the order of `due_ms`: all wait equally long, whom `hurry` calls stand first."""
    tries: int = 1
    """f + 1."""

    def submit(self, items: Iterable[Item], hops: int | None, *, distance: int, now_ms: int) -> list[Effect]:
        """Pass transactions on: own ones (`hops` None) until they are final, others once."""
        if hops is not None:
            return self._once(list(items), hops - 1, distance)
        fresh = [item for item in items if item.tx_id not in self._pending]
        room = KEPT_MAX - len(self._pending)
        kept = [_Pending(item, now_ms) for item in fresh[:room]]
        return self._send(kept, distance, now_ms) + self._once(fresh[room:], HOPS_MAX, distance)

    def forget(self, tx_ids: Iterable[bytes]) -> None:
        """Final or expired."""
        for tx_id in tx_ids:
            self._pending.pop(tx_id, None)

    def tick(self, now_ms: int, *, distance: int) -> list[Effect]:
        """Send what is due to someone else."""
        due = []
        for pending in self._pending.values():
            if pending.due_ms > now_ms:
                break
            due.append(pending)
        return self._send(due, distance, now_ms)

    def set_validators(self, validators: int) -> None:
        """There are so many validators."""
        self.tries = faults(validators) + 1

    def hurry(self, lost: bytes | None, now_ms: int) -> None:
        """A way to a validator came up, or `lost` went: what had no way, or went that way, is due now."""
        due = {
            tx_id: pending
            for tx_id, pending in self._pending.items()
            if not pending.tried or (lost is not None and pending.tried[-1] == lost)
        }
        for pending in due.values():
            pending.due_ms = now_ms
            pending.tried = tuple(key for key in pending.tried if key != lost)
        self._pending = due | {tx_id: pending for tx_id, pending in self._pending.items() if tx_id not in due}

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` has something to do."""
        return next(iter(self._pending.values())).due_ms if self._pending else None

    def _send(self, due: list[_Pending], distance: int, now_ms: int) -> list[Effect]:
        """Send each to its next target; what reached as many as there may be liars, and one, is done here."""
        by_target: dict[bytes, list[bytes]] = {}
        targets: dict[tuple[bytes, ...], bytes | None] = {}
        for pending in due:
            self._pending.pop(pending.item.tx_id, None)
            if len(pending.tried) >= self.tries:
                continue
            if pending.tried not in targets:  # one choice for all that have the same past: one frame
                targets[pending.tried] = self._target(pending.tried, distance)
            target = targets[pending.tried]
            if target is not None:
                by_target.setdefault(target, []).append(pending.item.raw)
                pending.tried = (*pending.tried, target)
            pending.due_ms = now_ms + self.config.forward_retry_ms
            self._pending[pending.item.tx_id] = pending
        return [effect for target, raws in by_target.items() for effect in _pack(target, raws, HOPS_MAX)]

    def _once(self, items: list[Item], hops: int, distance: int) -> list[Effect]:
        target = self._target((), distance) if items and hops >= 0 else None
        return _pack(target, [item.raw for item in items], hops) if target is not None else []

    def _target(self, tried: tuple[bytes, ...], distance: int) -> bytes | None:
        """A validator that was not tried, else the neighbour nearest to one; never away from them."""
        able = [
            (0 if neighbour.validator else neighbour.distance, neighbour.node_key)
            for neighbour in self.neighbours.values()
            if neighbour.node_key not in tried and (neighbour.validator or neighbour.distance < min(distance, NO_ROUTE))
        ]
        if not able:
            return tried[0] if tried and tried[0] in self.neighbours else None
        nearest = min(able)[0]
        return self.chance.choice(sorted(key for far, key in able if far == nearest))


def _pack(target: bytes, raws: Iterable[bytes], hops: int) -> list[Effect]:
    """As few frames as the limits allow."""
    effects: list[Effect] = []
    part: list[bytes] = []
    size = 0
    for raw in raws:
        if part and (len(part) == FORWARD_TXS_MAX or size + len(raw) > FORWARD_BYTES_MAX):
            effects.append(Send(peer=target, channel=Channel.TX, message=Forward(hops, tuple(part))))
            part, size = [], 0
        part.append(raw)
        size += len(raw)
    if part:
        effects.append(Send(peer=target, channel=Channel.TX, message=Forward(hops, tuple(part))))
    return effects
