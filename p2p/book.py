"""The address book: the newest signed record of every registered node, checked before it is believed.

Clock and signature are injected.  Whoever reads a serial number can later ask what is new since then, so that news go
to every neighbour once, however they came.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from cccnode.crypto.verifying import verify_many
from cccnode.types.errors import (
    CONFIG_INVALID,
    NET_ADDRESS_AHEAD,
    NET_ADDRESS_FORGED,
    NET_ADDRESS_STALE,
    NODE_UNREGISTERED,
    Fault,
    fault,
)
from cccnode.types.limits import NODE_ADDRESSES_MAX, NODES_REMEMBERED_MAX
from cccnode.types.validators import node_id
from p2p.addresses import ADDRESS_CHARS_MAX, AddressRecord, is_somewhere, record_bytes

AHEAD_MS_MAX: Final = 600_000
"""A record dated further ahead than this is refused: else one wrong clock could lock a node's address for ever."""


@dataclass(slots=True)
class _Entry:
    record: AddressRecord
    serial: int
    """Rises with every record that is taken up."""
    source: bytes | None
    """Who told us, so that it is not told back; None for own and imported ones."""


class News(NamedTuple):
    """Records taken up after some serial number, and the number to ask with next time."""

    records: tuple[AddressRecord, ...]
    serial: int


class AddressBook:
    """The newest record of every registered node."""

    __slots__ = ("_chain", "_entries", "_own_key", "_registered", "_sign", "_wall_ms", "serial")

    def __init__(
        self, *, chain: bytes, own_key: bytes, sign: Callable[[bytes], bytes], wall_ms: Callable[[], int]
    ) -> None:
        """An empty book of the node of `own_key`, whose key signs with `sign`."""
        self._chain = chain
        self._own_key = own_key
        self._sign = sign
        self._wall_ms = wall_ms
        self._registered: frozenset[bytes] = frozenset()
        self._entries: dict[bytes, _Entry] = {}
        """By node key, the latest taken up last."""
        self.serial = 0
        """Of the record taken up last."""

    def set_registered(self, keys: Iterable[bytes]) -> None:
        """Records are kept of these nodes, and of this one."""
        self._registered = frozenset(keys)
        self._entries = {key: entry for key, entry in self._entries.items() if self._keeps(key)}

    @property
    def own(self) -> AddressRecord | None:
        """What this node says of itself."""
        return self.record(self._own_key)

    def record(self, node_key: bytes) -> AddressRecord | None:
        """The newest record of that node."""
        entry = self._entries.get(node_key)
        return entry.record if entry else None

    def addresses(self, node_key: bytes) -> tuple[str, ...]:
        """Where that node says that it is."""
        record = self.record(node_key)
        return record.addresses if record else ()

    def records(self) -> tuple[AddressRecord, ...]:
        """All of them, the newest first, the own one included."""
        found = [entry.record for entry in self._entries.values()]
        return tuple(sorted(found, key=lambda record: (-record.time_ms, record.node_key)))

    def since(self, serial: int, *, reader: bytes, limit: int) -> News:
        """At most `limit` of what came after `serial`, without what `reader` told us or says itself."""
        later = [entry for entry in self._entries.values() if entry.serial > serial]
        news = [entry for entry in later if reader not in (entry.source, entry.record.node_key)]
        if len(news) <= limit:
            return News(tuple(entry.record for entry in news), self.serial)
        return News(tuple(entry.record for entry in news[:limit]), news[limit - 1].serial)

    def advertise(self, addresses: Iterable[str]) -> AddressRecord:
        """Say where this node can be dialled.  What it says already is not signed again.

        Raises:
            Fault: CONFIG_INVALID, too many of them, or one that nobody can dial.
        """
        said = tuple(dict.fromkeys(addresses))
        if len(said) > NODE_ADDRESSES_MAX:
            raise fault(CONFIG_INVALID, addresses=len(said), at_most=NODE_ADDRESSES_MAX)
        for address in said:
            if len(address) > ADDRESS_CHARS_MAX or not address.isascii() or not is_somewhere(address):
                raise fault(CONFIG_INVALID, address=address, why="others cannot dial it")
        own = self.own
        if own is None or own.addresses != said:
            own = self._say(said, after_ms=own.time_ms if own else 0)
        return own

    def learn(self, records: Iterable[AddressRecord], *, source: bytes | None = None) -> list[Fault]:
        """Take up what is new; return why others were refused.  What is known already is passed over.

        NET_ADDRESS_FORGED is the fault of whoever passed the record on, who should have looked; the other reasons
        (a stranger, stale, dated ahead) may be ours.
        """
        now_ms = self._wall_ms()
        refused: list[Fault] = []
        fresh: list[AddressRecord] = []
        for record in records:
            if record == self.record(record.node_key):
                continue
            reason = self._judge(record, now_ms)
            if reason is None:
                fresh.append(record)
            else:
                refused.append(reason)
        genuine = verify_many(
            [
                record_bytes(
                    chain=self._chain, node_key=record.node_key, time_ms=record.time_ms, addresses=record.addresses
                )
                for record in fresh
            ],
            [record.signature for record in fresh],
            [record.node_key for record in fresh],
        )
        for record, is_genuine in zip(fresh, genuine, strict=True):
            if is_genuine:
                self._take(record, source)
            else:
                refused.append(fault(NET_ADDRESS_FORGED, node_id=node_id(record.node_key), why="signature"))
        return refused

    def _judge(self, record: AddressRecord, now_ms: int) -> Fault | None:
        """Why a record is refused without a look at its signature."""
        identity = node_id(record.node_key)
        if not self._keeps(record.node_key):
            return fault(NODE_UNREGISTERED, node_id=identity)
        known = self.record(record.node_key)
        if known is not None and record.time_ms <= known.time_ms:
            return fault(NET_ADDRESS_STALE, node_id=identity, time_ms=record.time_ms, known_ms=known.time_ms)
        if record.time_ms > now_ms + AHEAD_MS_MAX:
            return fault(NET_ADDRESS_AHEAD, node_id=identity, time_ms=record.time_ms, now_ms=now_ms)
        try:
            usable = all(map(is_somewhere, record.addresses))
        except Fault:
            usable = False
        return None if usable else fault(NET_ADDRESS_FORGED, node_id=identity, why="an address that nobody can dial")

    def _take(self, record: AddressRecord, source: bytes | None) -> None:
        known = self.record(record.node_key)
        if known is not None and record.time_ms <= known.time_ms:  # the same message held a newer one
            return
        self._enter(record, source)
        own_words = record.node_key == self._own_key and known is not None and known.addresses != record.addresses
        if own_words and known is not None:
            # Others go by what this node said before it was moved, or before its clock was set back.
            self._say(known.addresses, after_ms=record.time_ms)

    def _say(self, addresses: tuple[str, ...], *, after_ms: int) -> AddressRecord:
        time_ms = max(self._wall_ms(), after_ms + 1)
        signed = record_bytes(chain=self._chain, node_key=self._own_key, time_ms=time_ms, addresses=addresses)
        record = AddressRecord(self._own_key, time_ms, addresses, self._sign(signed))
        self._enter(record, None)
        return record

    def _enter(self, record: AddressRecord, source: bytes | None) -> None:
        self.serial += 1
        self._entries.pop(record.node_key, None)
        self._entries[record.node_key] = _Entry(record, self.serial, source)
        while len(self._entries) > NODES_REMEMBERED_MAX:
            del self._entries[next(key for key in self._entries if key != self._own_key)]

    def _keeps(self, node_key: bytes) -> bool:
        return node_key in self._registered or node_key == self._own_key
