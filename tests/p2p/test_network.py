"""Real sockets and real TLS on loopback: who gets in, who does not and hears why, and what a link withstands."""

import asyncio
import random

import pytest
import uvloop

from p2p.frames import Channel
from tests.p2p.support import in_town, pair

BOTH_LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


@BOTH_LOOPS
def test_two_validators_link_and_talk(loop_factory):
    """Two registered validators find each other once, and payloads of every size and channel arrive in order."""

    async def scenario(town):
        a, at_a, b, at_b = await pair(town, height=7)
        rng = random.Random(1)
        sent = [
            (channel, rng.randbytes(size))
            for channel in (Channel.BLOCK, Channel.CONSENSUS, Channel.TX)
            for size in (0, 1, 65_536, 65_537, 200_000)
        ]
        for channel, payload in sent:
            assert a.send(at_a.peers[0].node_key, channel, payload)
        await at_b.until(lambda: len(at_b.frames) == len(sent))
        for channel in (Channel.BLOCK, Channel.CONSENSUS, Channel.TX):
            assert [p for _, c, p in at_b.frames if c == channel] == [p for c, p in sent if c == channel]
        assert [len(a.peers()), len(b.peers())] == [1, 1]
        assert a.peers()[0].height == 7
        assert not at_a.refused

    in_town(scenario, loop_factory)
