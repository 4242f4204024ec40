"""How signed addresses travel from neighbour to neighbour, and what it costs to disturb them."""

import random
from itertools import pairwise

from msgspec.structs import replace

from p2p.events import Contact, Frame, Linked, Punish, Registered, Send, Tick
from p2p.frames import Channel
from p2p.gossip import Gossip
from p2p.messages import RECORDS_MAX, Addresses, AddressesRequest, Moved, write
from p2p.overlay import RECORD_MESSAGES_PER_SECOND_MAX, GossipConfig
from p2p.scores import Offence
from p2p.spreading import NEWS_MS
from tests.p2p.test_book import ANN, BOB, NOW_MS, OWN, Clock, book_of, said

ALL = (OWN, ANN, BOB)


class Node:
    """One node's gossip with its address book and a clock that the test turns."""

    def __init__(self, who=OWN, *, links=(), clock=None, registered=ALL):
        self.key = who.public_key
        self.now_ms = 1_000
        self.book = book_of(who, clock=clock, registered=registered)
        self.gossip = Gossip(GossipConfig(node_key=self.key), random.Random(1), self.now_ms, self.book)
        contacts = [Contact(node_key=key.public_key, validator=False, addresses=()) for key in registered]
        self.tell(Registered(contacts=tuple(contacts)))
        for other in links:
            self.tell(Linked(peer=other.public_key, validator=False))

    def tell(self, event, *, after_ms=0):
        self.now_ms += after_ms
        return self.gossip.handle(event, self.now_ms)

    def hear(self, who, message, *, after_ms=0):
        frame = Frame(peer=who.public_key, channel=Channel.CONTROL, payload=write(message))
        return self.tell(frame, after_ms=after_ms)


def sent(effects, kind):
    return [
        (effect.peer, effect.message) for effect in effects if isinstance(effect, Send) and type(effect.message) is kind
    ]


def offences(effects):
    return [effect.offence for effect in effects if isinstance(effect, Punish)]


def test_a_new_neighbour_hears_where_we_are():
    """The own record leaves with the greeting, to each neighbour once."""
    node = Node()
    own = node.book.advertise(["o:1"])
    assert sent(node.tell(Linked(peer=ANN.public_key, validator=False)), Moved) == [(ANN.public_key, Moved((own,)))]
    assert sent(node.tell(Linked(peer=BOB.public_key, validator=False)), Moved) == [(BOB.public_key, Moved((own,)))]
    assert sent(node.tell(Tick(), after_ms=NEWS_MS), Moved) == []


def test_who_moves_tells_all_neighbours():
    """A change of address is told at once, a second one soon after not before five seconds have passed."""
    node = Node(links=[ANN, BOB])
    first = node.book.advertise(["o:1"])
    assert node.gossip.deadline_ms(node.now_ms) == node.now_ms
    assert sent(node.tell(Tick()), Moved) == [(ANN.public_key, Moved((first,))), (BOB.public_key, Moved((first,)))]
    node.book.advertise(["o:2"])
    second = node.book.advertise(["o:3"])
    assert node.gossip.deadline_ms(node.now_ms) == node.now_ms + NEWS_MS
    assert sent(node.tell(Tick(), after_ms=NEWS_MS - 1), Moved) == []
    assert sent(node.tell(Tick(), after_ms=1), Moved) == [
        (ANN.public_key, Moved((second,))),
        (BOB.public_key, Moved((second,))),
    ]


def test_news_go_on_but_not_back():
    """What one neighbour tells goes to the others, and is not told to it, nor to the node whose record it is."""
    node = Node(links=[ANN, BOB])
    record = said(ANN, "a:1")
    assert sent(node.hear(ANN, Moved((record,))), Moved) == [(BOB.public_key, Moved((record,)))]
    assert node.book.addresses(ANN.public_key) == ("a:1",)
    assert sent(node.hear(BOB, Moved((record,)), after_ms=NEWS_MS), Moved) == []


def test_news_cross_a_chain_of_nodes():
    """A record reaches a node three links away, through nodes that it did not know before."""
    keys = [*ALL, *(type(OWN)(bytes([number]) * 32) for number in (4, 5))]
    nodes = [Node(who, registered=keys) for who in keys]
    for left, right in pairwise(nodes):
        left.tell(Linked(peer=right.key, validator=False))
        right.tell(Linked(peer=left.key, validator=False))
    record = nodes[0].book.advertise(["far:1"])
    by_key = {node.key: node for node in nodes}
    effects = [(nodes[0], effect) for effect in nodes[0].tell(Tick())]
    while effects:
        node, effect = effects.pop(0)
        if isinstance(effect, Send) and isinstance(effect.message, Moved):
            other = by_key[effect.peer]
            frame = Frame(peer=node.key, channel=Channel.CONTROL, payload=write(effect.message))
            effects += [(other, after) for after in other.tell(frame, after_ms=NEWS_MS)]
    assert nodes[-1].book.record(nodes[0].key) == record


def test_addresses_are_asked_for():
    """A neighbour is asked at the start and then now and then; it answers with what it knows, newest first."""
    node = Node()
    asked = sent(node.tell(Linked(peer=ANN.public_key, validator=False)), AddressesRequest)
    assert asked == [(ANN.public_key, AddressesRequest(1))]
    record = said(BOB, "b:1")
    assert offences(node.hear(ANN, Addresses(1, (record,)))) == []
    assert node.book.addresses(BOB.public_key) == ("b:1",)
    assert offences(node.hear(ANN, Addresses(1, (record,)))) == [Offence.UNSOLICITED]
    newer = node.book.advertise(["o:1"])
    later = said(ANN, "a:1", time_ms=NOW_MS + 9)
    node.book.learn([later])
    node.tell(Linked(peer=BOB.public_key, validator=False))
    [(_, answer)] = sent(node.hear(BOB, AddressesRequest(9)), Addresses)
    assert answer == Addresses(9, (later, newer))
    assert sent(node.tell(Tick(), after_ms=299_000), AddressesRequest) == []
    assert sent(node.tell(Tick(), after_ms=1_000), AddressesRequest) != []


def test_answers_are_bounded():
    """However many nodes are known, an answer holds two dozen, and one message of news no more."""
    keys = [type(OWN)(number.to_bytes(32, "big")) for number in range(40, 70)]
    node = Node(links=[ANN], registered=[*ALL, *keys])
    node.book.learn([said(key, "x:1") for key in keys])
    [(_, answer)] = sent(node.hear(ANN, AddressesRequest(1)), Addresses)
    assert len(answer.records) == RECORDS_MAX
    node = Node(links=[ANN], registered=[*ALL, *keys])
    node.book.learn([said(key, "x:1") for key in keys])
    first = sent(node.tell(Tick()), Moved)
    second = sent(node.tell(Tick(), after_ms=NEWS_MS), Moved)
    assert [len(message.records) for _, message in first + second] == [RECORDS_MAX, 30 - RECORDS_MAX]


def test_invalid_forged_record_is_punished():
    """Who passes on a forged record did not look: it is named, and the genuine ones beside it are kept."""
    node = Node(links=[ANN])
    genuine = said(BOB, "b:1")
    [punish] = [
        effect
        for effect in node.hear(ANN, Moved((replace(genuine, addresses=("evil:1",)), said(ANN, "a:1"))))
        if isinstance(effect, Punish)
    ]
    assert (punish.peer, punish.offence) == (ANN.public_key, Offence.FORGED_ADDRESS)
    assert punish.detail.startswith("net/ADDRESS_FORGED")
    assert node.book.addresses(BOB.public_key) == ()
    assert node.book.addresses(ANN.public_key) == ("a:1",)


def test_stale_and_future_records_are_no_offence():
    """They are refused, but the fault may be ours: a wrong clock, or a registry that lags behind."""
    node = Node(links=[ANN], registered=[OWN, ANN])
    node.hear(ANN, Moved((said(ANN, "a:2", time_ms=NOW_MS + 1),)))
    records = (said(ANN, "a:1"), said(ANN, "a:9", time_ms=2**62), said(BOB, "b:1"))
    assert offences(node.hear(ANN, Moved(records))) == []
    assert node.book.addresses(ANN.public_key) == ("a:2",)
    assert node.book.record(BOB.public_key) is None


def test_a_node_set_back_is_told_its_own_last_word():
    """Who says of itself something older than we know hears it from us, and then says it again with a later date."""
    clock = Clock()
    clock.now_ms = NOW_MS - 60_000
    lagging = Node(ANN, links=[OWN], clock=clock)
    node = Node(links=[ANN])
    known = said(ANN, "old:1")
    node.book.learn([known])
    lagging.book.advertise(["new:1"])
    [(_, greeting)] = sent(lagging.tell(Tick()), Moved)
    [(_, correction)] = sent(node.hear(ANN, greeting), Moved)
    assert correction == Moved((known,))
    [(_, again)] = sent(lagging.hear(OWN, correction, after_ms=NEWS_MS), Moved)
    assert sent(node.hear(ANN, again), Moved) == []
    assert node.book.addresses(ANN.public_key) == ("new:1",)


def test_invalid_flood_of_addresses():
    """More messages about addresses in a second than anyone needs are not looked at."""
    node = Node(links=[ANN])
    for _ in range(RECORD_MESSAGES_PER_SECOND_MAX):
        assert offences(node.hear(ANN, AddressesRequest(1))) == []
    late = Moved((said(BOB, "b:1"),))
    assert offences(node.hear(ANN, late)) == [Offence.FLOOD]
    assert offences(node.hear(ANN, AddressesRequest(1))) == [Offence.FLOOD]
    assert node.book.record(BOB.public_key) is None
    assert offences(node.hear(ANN, late, after_ms=1_000)) == []
    assert node.book.addresses(BOB.public_key) == ("b:1",)


def test_without_a_book_nothing_is_told():
    """A node that takes no part answers with nothing and is not disturbed."""
    gossip = Gossip(GossipConfig(node_key=OWN.public_key), random.Random(1), 0)
    gossip.handle(Linked(peer=ANN.public_key, validator=False), 0)
    for message, answers in ((AddressesRequest(3), [Addresses(3, ())]), (Moved((said(BOB, "b:1"),)), [])):
        frame = Frame(peer=ANN.public_key, channel=Channel.CONTROL, payload=write(message))
        found = [effect.message for effect in gossip.handle(frame, 0) if isinstance(effect, Send)]
        assert found == answers
