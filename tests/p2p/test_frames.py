"""Frames: golden bytes, any split of the stream, limits before memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.errors import Fault
from p2p.frames import FRAGMENT_BYTES, HEADER_BYTES, LIMITS, MORE, Channel, Splitter, frames
from tests.p2p.support import feed

CHANNELS = st.sampled_from(list(Channel))
SIZES = st.one_of(st.integers(0, 300), st.sampled_from([FRAGMENT_BYTES + n for n in (-1, 0, 1)]), st.just(200_000))


def test_golden_frames():
    """The bytes of a frame and of a fragmented payload never change."""
    assert frames(Channel.CONSENSUS, b"vote") == [b"\x00\x00\x00\x04\x01vote"]
    assert frames(Channel.TX, b"") == [b"\x00\x00\x00\x00\x06"]
    first, last = frames(Channel.BLOCK, b"a" * FRAGMENT_BYTES + b"b")
    assert first == b"\x00\x01\x00\x00\x85" + b"a" * FRAGMENT_BYTES
    assert last == b"\x00\x00\x00\x01\x05b"
    assert [(channel.name, channel.value) for channel in Channel] == [
        ("LINK", 0), ("CONSENSUS", 1), ("CONTROL", 2), ("HAVE", 3), ("BATCH", 4), ("BLOCK", 5), ("TX", 6),
        ("SNAPSHOT", 7),
    ]  # fmt: skip


@given(st.lists(st.tuples(CHANNELS, SIZES, st.integers(0, 255)), max_size=6), st.data())
def test_any_split_gives_the_payloads_back(parts, data):
    """However the network cuts the stream, and however channels interleave, every payload comes out whole."""
    parts = [(channel, min(size, LIMITS[channel].payload_bytes), fill) for channel, size, fill in parts]
    payloads = [(channel, bytes([fill]) * size) for channel, size, fill in parts]
    lanes = {channel: [] for channel in Channel}
    for channel, payload in payloads:
        lanes[channel] += frames(channel, payload)
    stream = b""
    while any(lanes.values()):
        lane = data.draw(st.sampled_from([channel for channel, rest in lanes.items() if rest]))
        stream += lanes[lane].pop(0)
    splitter, heard = Splitter(), []
    while stream:
        cut = data.draw(st.integers(1, min(len(stream), 150_000)))
        heard += feed(splitter, stream[:cut])
        stream = stream[cut:]
    for channel in Channel:
        assert [p for c, p in heard if c is channel] == [p for c, p in payloads if c is channel]


@given(st.binary(max_size=400))
def test_garbage_is_refused_by_name_or_waited_for(garbage):
    """Any bytes give payloads, patience or a named error: never another exception."""
    try:
        feed(Splitter(), garbage)
    except Fault as reason:
        assert reason.spec.name in {"net/MALFORMED_FRAME", "net/OVERSIZE_FRAME"}  # noqa: PT017 - patience is right too


def test_byte_by_byte():
    """A stream that arrives byte by byte is read all the same."""
    splitter = Splitter()
    stream = b"".join(frames(Channel.HAVE, b"one") + frames(Channel.TX, b"two"))
    heard = [payload for byte in stream for payload in feed(splitter, bytes([byte]))]
    assert heard == [(Channel.HAVE, b"one"), (Channel.TX, b"two")]


@pytest.mark.parametrize("channel", list(Channel))
def test_invalid_oversize_is_refused_on_both_sides(channel):
    """A payload above its channel's limit is refused before it is sent, and as soon as the receiver can tell."""
    limit = LIMITS[channel].payload_bytes
    with pytest.raises(Fault, match="net/OVERSIZE_FRAME"):
        frames(channel, bytes(limit + 1))
    assert feed(Splitter(), b"".join(frames(channel, bytes(limit)))) == [(channel, bytes(limit))]
    splitter = Splitter()
    sent = 0
    full = FRAGMENT_BYTES.to_bytes(4, "big") + bytes([channel | MORE]) + bytes(FRAGMENT_BYTES)
    with pytest.raises(Fault, match="net/OVERSIZE_FRAME"):  # noqa: PT012 - how many pass is the point
        while True:
            feed(splitter, full)
            sent += FRAGMENT_BYTES
    assert sent <= limit


@pytest.mark.parametrize(
    "stream",
    [
        bytes(4) + bytes([len(Channel)]),
        bytes(4) + b"\x7f",
        (5).to_bytes(4, "big") + b"\x85",
        FRAGMENT_BYTES.to_bytes(4, "big") + b"\x85" + bytes(FRAGMENT_BYTES) + bytes(4) + b"\x05",
    ],
)
def test_invalid_frames_are_malformed(stream):
    """Unknown channels, short fragments and empty last fragments are refused: one payload has one encoding."""
    with pytest.raises(Fault, match="net/MALFORMED_FRAME"):
        feed(Splitter(), stream)


def test_header_of_a_huge_frame_costs_nothing():
    """A header that announces gigabytes is refused at once, before any of it is kept."""
    with pytest.raises(Fault, match="net/OVERSIZE_FRAME"):
        feed(Splitter(), b"\xff\xff\xff\xff\x05")
    assert HEADER_BYTES == 5
