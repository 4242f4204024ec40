"""Real sockets: how nodes are, and why they went, as the others know it."""

import dataclasses

import pytest

from cccnode.types.errors import DISK_FULL, NET_CLOSED, Fault, fault
from cccnode.types.limits import NODE_REPORT_BYTES_MAX
from p2p.frames import Channel
from p2p.keeping import WORDS_PER_SECOND_MAX
from p2p.messages import Notice, Reject, Report, write
from tests.p2p.support import CHAIN, FAST, OTHER_CHAIN, Raw, eventually, identity, in_town, pair, row

NEVER_MS = 10**9


def test_reports_reach_every_peer_and_stay():
    """A report reaches those who are linked, who link later, and is kept with its time when the link is gone."""

    async def scenario(town):
        a, at_a, b, at_b = await pair(town)
        key_a, key_b = at_b.peers[0].node_key, at_a.peers[0].node_key
        assert (b.peers()[0].report, b.peers()[0].report_ms) == (None, None)
        a.set_report(b"fine")
        await eventually(b.reports)
        heard = b.reports()[key_a]
        assert (heard.raw, heard.at_ms <= b.now_ms()) == (b"fine", True)
        assert (b.peers()[0].report, b.peers()[0].report_ms) == (b"fine", heard.at_ms)
        b.set_report(b"mine")
        a.drop(key_b, fault(NET_CLOSED, why="test"))
        await at_b.until(lambda: at_b.lost)
        assert b.reports()[key_a] == heard
        await at_a.until(lambda: len(at_a.peers) == 2)
        await eventually(lambda: a.reports()[key_b].raw == b"mine" and b.reports()[key_a].at_ms > heard.at_ms)

    in_town(scenario)


def test_unchanged_reports_are_repeated_seldom():
    """The same report again is no traffic before its time, and a sign of life after it."""

    async def scenario(town):
        settings = dataclasses.replace(FAST, report_repeat_ms=NEVER_MS, ping_ms=100_000, silence_ms=200_000)
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: recorder.peers)
        for _ in range(5):
            network.set_report(b"fine")
        network.send(other.node_key, Channel.CONTROL, b"after it")
        heard = []
        while (found := await raw.hear())[0] is not Channel.CONTROL:
            heard.append(found)
        assert heard.count((Channel.LINK, write(Report(b"fine")))) == 1
        network._keeping._told_ms -= NEVER_MS
        network.set_report(b"fine")
        assert await raw.hear_link(Report) == Report(b"fine")
        raw.close()

    in_town(scenario)


def test_changes_are_told_at_once_but_not_too_often():
    """The first change leaves at once; of those that follow too soon, the last one leaves when its time has come."""

    async def scenario(town):
        settings = dataclasses.replace(FAST, report_ms=100)
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: recorder.peers)
        for text in (b"one", b"two", b"three"):
            network.set_report(text)
        network.send(other.node_key, Channel.CONTROL, b"after it")
        heard = []
        while (found := await raw.hear())[0] is not Channel.CONTROL:
            heard.append(found)
        assert (Channel.LINK, write(Report(b"one"))) in heard
        assert await raw.hear_link(Report) == Report(b"three")
        network.set_report(b"four")
        await network.stop()
        raw.close()

    in_town(scenario)


def test_invalid_report_too_large():
    """A report beyond a kibibyte is our own mistake."""

    async def scenario(town):
        network, _ = await town.node(identity(1), [row(identity(1))])
        network.set_report(bytes(NODE_REPORT_BYTES_MAX))
        with pytest.raises(Fault, match="net/OVERSIZE_FRAME"):
            network.set_report(bytes(NODE_REPORT_BYTES_MAX + 1))

    in_town(scenario)


def test_invalid_flood_of_words():
    """Reports and notices beyond what anyone needs count against the peer, and are not passed on."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        for number in range(WORDS_PER_SECOND_MAX + 10):
            raw.say(Channel.LINK, write(Notice(f"net/{number}", "")))
        await recorder.until(lambda: recorder.lost)
        assert recorder.lost[0][1].spec.name == "net/MISBEHAVED"
        assert recorder.lost[0][1].values["offences"] == "flood: 10"
        assert len(recorder.notices) == WORDS_PER_SECOND_MAX
        raw.close()

    in_town(scenario)


def test_a_node_says_why_it_stops():
    """Stopping for a named reason tells every peer; it stays known while the node cannot be reached."""

    async def scenario(town):
        a, at_a, b, _ = await pair(town)
        key_b = at_a.peers[0].node_key
        await b.stop(fault(DISK_FULL, free_bytes=3))
        await at_a.until(lambda: at_a.lost and "net/UNREACHABLE" in at_a.names())
        last = a.last_words()[key_b]
        assert (last.name, last.text, last.told) == ("home/DISK_FULL", "free_bytes=3", True)
        assert last.at_ms <= a.now_ms()
        assert at_a.lost[0][1].values == {"told": "home/DISK_FULL", "text": "free_bytes=3"}

    in_town(scenario)


def test_last_words_of_all_kinds():
    """A notice, a farewell, a silence, and a refusal at the door are each remembered, the last one last."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        settings = dataclasses.replace(FAST, silence_ms=300)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)

        def last():
            found = network.last_words().get(other.node_key)
            return found and (found.name, found.told)

        raw = await Raw.dial(other, network.address)
        await raw.greet()
        raw.say(Channel.LINK, write(Notice("net/HELLO", "for people")))
        await recorder.until(lambda: recorder.notices)
        assert last() == ("net/HELLO", True)
        raw.say(Channel.LINK, write(Reject("config/UPGRADE", "at noon", ())))
        await recorder.until(lambda: recorder.lost)
        assert last() == ("config/UPGRADE", True)
        raw.close()
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: len(recorder.lost) == 2)
        assert last() == ("net/SILENT", False)
        raw.close()
        raw = await Raw.dial(other, network.address)
        await raw.greet(chain=OTHER_CHAIN)
        await recorder.until(lambda: recorder.refused)
        assert last() == ("net/WRONG_CHAIN", False)
        raw.close()

    in_town(scenario)


def test_the_one_that_refused_us_is_quoted():
    """Who refuses our dial by name is remembered with its words; who cannot be reached has said nothing."""

    async def scenario(town):
        own, other, lost = identity(1), identity(2), identity(3)
        acceptor, _ = await town.node(other, [row(own, validator=False), row(other)])
        rows = [
            row(own, validator=False),
            row(other, addresses=[acceptor.address]),
            row(lost, addresses=["127.0.0.1:1"]),
        ]
        network, recorder = await town.node(own, rows, chain=OTHER_CHAIN)
        network.want([other.node_key, lost.node_key])
        await recorder.until(lambda: {"net/WRONG_CHAIN", "net/UNREACHABLE"} <= set(recorder.names()))
        assert list(network.last_words()) == [other.node_key]
        word = network.last_words()[other.node_key]
        assert (word.name, word.told) == ("net/WRONG_CHAIN", True)
        assert CHAIN.hex() in word.text

    in_town(scenario)


def test_program_versions_are_exchanged():
    """HELLO and its answer carry the version of the program, cut to what fits."""

    async def scenario(town):
        a, b = sorted((identity(1), identity(2)), key=lambda who: who.node_key)
        acceptor, at_b = await town.node(b, [row(a), row(b)], program="2.0.1")
        _, at_a = await town.node(a, [row(a), row(b, addresses=[acceptor.address])], program="x" * 99)
        await at_a.until(lambda: at_a.peers)
        await at_b.until(lambda: at_b.peers)
        assert (at_a.peers[0].program, at_b.peers[0].program) == ("2.0.1", "x" * 32)

    in_town(scenario)
