"""Signed addresses between neighbours: one's own to each new one, what is new to all, and the rest on request.

What was learnt is told on at most every few seconds and a message at a time, so nobody can make the network busy by
moving often: the record of one node costs every link one place in one message.
"""

from dataclasses import dataclass
from typing import Final

from cccnode.types.errors import NET_ADDRESS_FORGED
from p2p.book import AddressBook
from p2p.events import Effect, Punish, Send
from p2p.frames import Channel
from p2p.messages import RECORDS_MAX, Addresses, AddressesRequest, Moved, Records
from p2p.overlay import Chance, GossipConfig, Neighbour
from p2p.scores import Offence

NEWS_MS: Final = 5_000
"""A neighbour is told what is new at most this often."""


@dataclass(slots=True)
class Spreading:
    """Who was asked for addresses, and who knows what of the book."""

    config: GossipConfig
    chance: Chance
    neighbours: dict[bytes, Neighbour]
    book: AddressBook | None
    """None: this node takes no part."""
    ask_ms: int
    """When a neighbour is asked next."""
    _number: int = 0

    def greet(self, neighbour: Neighbour) -> list[Effect]:
        """A link is up: say where this node is."""
        if self.book is None:
            return []
        neighbour.news_serial = self.book.serial
        own = self.book.own
        return [_send(neighbour, Moved((own,)))] if own is not None else []

    def tick(self, now_ms: int) -> list[Effect]:
        """Ask, and tell what is new."""
        if self.book is None:
            return []
        effects = self._ask(now_ms)
        for neighbour in self.neighbours.values():
            if self._news_ms(neighbour, now_ms) == now_ms:
                news = self.book.since(neighbour.news_serial, reader=neighbour.node_key, limit=RECORDS_MAX)
                neighbour.news_serial = news.serial
                if news.records:
                    neighbour.news_ms = now_ms
                    effects.append(_send(neighbour, Moved(news.records)))
        return effects

    def deadline_ms(self, now_ms: int) -> int | None:
        """When `tick` has something to do."""
        if self.book is None or not self.neighbours:
            return None
        dates = [self.ask_ms, *(self._news_ms(neighbour, now_ms) for neighbour in self.neighbours.values())]
        return min(date for date in dates if date is not None)

    def answer(self, neighbour: Neighbour, number: int, now_ms: int) -> list[Effect]:
        """A neighbour asks."""
        if neighbour.records_meter.exceeded(now_ms):
            return [_flood(neighbour)]
        known = self.book.records() if self.book is not None else ()
        others = [record for record in known if record.node_key != neighbour.node_key]
        return [_send(neighbour, Addresses(number, tuple(others[:RECORDS_MAX])))]

    def answered(self, neighbour: Neighbour, message: Addresses, now_ms: int) -> list[Effect]:
        """A neighbour answers."""
        if neighbour.addresses_number != message.number:
            return [Punish(peer=neighbour.node_key, offence=Offence.UNSOLICITED, detail="addresses")]
        neighbour.addresses_number = None
        return self.learn(neighbour, message.records, now_ms)

    def learn(self, neighbour: Neighbour, records: Records, now_ms: int) -> list[Effect]:
        """A neighbour tells where nodes are; the signatures of one message are checked in one call."""
        if neighbour.records_meter.exceeded(now_ms):
            return [_flood(neighbour)]
        if self.book is None:
            return []
        key = neighbour.node_key
        effects: list[Effect] = [
            Punish(peer=key, offence=Offence.FORGED_ADDRESS, detail=str(reason))
            for reason in self.book.learn(records, source=key)
            if reason.spec is NET_ADDRESS_FORGED
        ]
        known = self.book.record(key)
        if known is not None and any(record.node_key == key and record.time_ms < known.time_ms for record in records):
            # Its clock was set back, or it lost what it said last: it must date its words later to be believed.
            effects.append(_send(neighbour, Moved((known,))))
        return effects

    def _ask(self, now_ms: int) -> list[Effect]:
        if now_ms < self.ask_ms or not self.neighbours:
            return []
        self.ask_ms = now_ms + self.config.addresses_ms
        neighbour = self.chance.choice([self.neighbours[key] for key in sorted(self.neighbours)])
        self._number += 1
        neighbour.addresses_number = self._number
        return [_send(neighbour, AddressesRequest(self._number))]

    def _news_ms(self, neighbour: Neighbour, now_ms: int) -> int | None:
        """When that neighbour is told what is new; None if nothing is."""
        if self.book is None or neighbour.news_serial >= self.book.serial:
            return None
        return max(now_ms, neighbour.news_ms + NEWS_MS)


def _send(neighbour: Neighbour, message: Addresses | AddressesRequest | Moved) -> Effect:
    return Send(peer=neighbour.node_key, channel=Channel.CONTROL, message=message)


def _flood(neighbour: Neighbour) -> Effect:
    return Punish(peer=neighbour.node_key, offence=Offence.FLOOD, detail="addresses")
