"""Node and signer over TLS on this machine: who is let in, what is answered, what is forgotten."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cccnode.codec import encode
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify
from cccnode.signer import messages, remote
from cccnode.signer.card import SignerCard, card_bytes, read_card
from cccnode.signer.holder import Contact, Holder
from cccnode.signer.mark import Marks
from cccnode.signer.messages import Ask, Hello, Pong, Refused, Signed, decode_signer_message
from cccnode.signer.remote import ANSWERS_MAX, WAITING_MAX, RemoteSigner
from cccnode.types.errors import LISTEN_FAILED, SIGNER_AWAY, SIGNER_CONFLICT, SIGNER_IDENTITY, Fault
from cccnode.types.vote import Kind, Proposal, nullified, read_vote_bytes, vote_bytes
from p2p.directory import Identity, client_context, make_certificate
from storage.memory import MemoryDisk

CHAIN = b"c" * 32
KEY, NODES, SIGNER, STRANGER = SigningKey(b"k" * 32), (b"m" * 32, b"n" * 32), b"s" * 32, b"x" * 32
CARD = SignerCard(consensus_key=KEY.public_key.hex(), certificate=make_certificate(SIGNER).hex())
HOST = "127.0.0.1"
END_S = 20


def _vote(view: int, block: bytes = b"1", kind: Kind = Kind.NOTARIZE) -> bytes:
    return vote_bytes(kind, CHAIN, 0, Proposal(view, view - 1, view, block * 32))


def _holder(seed: bytes = SIGNER, key: SigningKey = KEY) -> Holder:
    marks = Marks(MemoryDisk(), key.public_key)
    marks.allow(CHAIN)
    return Holder(key=key, marks=marks, identity=Identity(seed))


class Node:
    """A node that only asks."""

    def __init__(self, seed: bytes) -> None:
        self.signer = RemoteSigner(CARD, Identity(seed))
        self._woken = asyncio.Event()
        self.signer.answered = self._woken.set
        self._seed = seed

    @property
    def contact(self) -> Contact:
        return Contact(node_key=SigningKey(self._seed).public_key, host=HOST, port=self.signer.port)

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(END_S):
            while not seen():
                self._woken.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    async def connected(self) -> None:
        await self.until(lambda: self.signer.trouble is None)

    async def asked(self, message: bytes) -> bytes:
        """Ask until the signature is here."""
        await self.until(lambda: self.signer(message) is not None)
        signature = self.signer(message)
        assert signature is not None
        assert verify(message, signature, KEY.public_key)
        return signature


@asynccontextmanager
async def _nodes(count: int = 1) -> AsyncIterator[list[Node]]:
    nodes = [Node(seed) for seed in NODES[:count]]
    for node in nodes:
        await node.signer.start(HOST, 0)
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.signer.stop()


@asynccontextmanager
async def _serving(holder: Holder, *nodes: Node) -> AsyncIterator[None]:
    task = asyncio.create_task(holder.serve([node.contact for node in nodes]))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_votes_are_signed() -> None:
    """Nothing waits: the first question has no answer, and the signature is there when the node is woken."""
    async with _nodes() as (node,), _serving(_holder(), node):
        await node.connected()
        assert node.signer(_vote(1)) is None
        assert await node.asked(_vote(1)) == KEY.sign(_vote(1))
        assert await node.asked(_vote(1, kind=Kind.FINALIZE)) == KEY.sign(_vote(1, kind=Kind.FINALIZE))


async def test_two_nodes_share_a_signer() -> None:
    """Two nodes that want different votes of one view: one gets its signature, the other a refusal, for ever."""
    async with _nodes(2) as (one, other), _serving(_holder(), one, other):
        await one.connected()
        await other.connected()
        for view in range(1, 20):
            mine, theirs = (one, other) if view % 2 else (other, one)
            assert await mine.asked(_vote(view, b"1"))
            before = theirs.signer.refusals
            assert theirs.signer(_vote(view, b"2")) is None
            await theirs.until(lambda before=before, theirs=theirs: theirs.signer.refusals > before)
            assert theirs.signer(_vote(view, b"2")) is None
            assert await theirs.asked(_vote(view, b"1")) == await mine.asked(_vote(view, b"1"))
        assert other.signer.refusals + one.signer.refusals == 19


async def test_a_signer_that_comes_back() -> None:
    """What was asked before the cut is forgotten; the same question afterwards is answered."""
    holder = _holder()
    async with _nodes() as (node,):
        assert node.signer.trouble is SIGNER_AWAY
        assert node.signer(_vote(1)) is None
        for view in range(1, 4):
            async with _serving(holder, node):
                await node.connected()
                await node.asked(_vote(view))
            await node.until(lambda: node.signer.trouble is SIGNER_AWAY)


async def test_a_silent_signer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection over which nothing comes ends."""
    monkeypatch.setattr(remote, "SILENT_S", 0.2)
    async with _nodes() as (node,), _dialled(node, SIGNER) as (reader, writer):
        messages.send(writer, Hello(messages.PROTOCOL, KEY.public_key))
        await node.connected()
        await node.until(lambda: node.signer.trouble is SIGNER_AWAY)
        assert await reader.read()  # what the node asked meanwhile, then the end


@asynccontextmanager
async def _dialled(node: Node, seed: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = client_context(Identity(seed))
    reader, writer = await asyncio.open_connection(HOST, node.signer.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_strangers_are_not_heard() -> None:
    """Whoever does not show the certificate of the card is cut off in the handshake."""
    async with _nodes() as (node,), _dialled(node, STRANGER) as (reader, writer):
        messages.send(writer, Hello(messages.PROTOCOL, KEY.public_key))
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert node.signer.trouble is SIGNER_AWAY


@pytest.mark.parametrize(
    "says",
    [
        Hello(messages.PROTOCOL + 1, KEY.public_key),
        Hello(messages.PROTOCOL, b"o" * 32),
        Pong(),
    ],
)
async def test_another_signer_is_refused(says: messages.SignerMessage) -> None:
    """The right machine with another key, or another protocol, is no signer of this validator."""
    async with _nodes() as (node,), _dialled(node, SIGNER) as (reader, writer):
        messages.send(writer, says)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert node.signer.trouble is SIGNER_AWAY


async def test_a_bad_signature_is_never_used() -> None:
    """A signer that signs with another key is cut off: its signature would be held against this validator."""
    async with _nodes() as (node,), _dialled(node, SIGNER) as (reader, writer):
        messages.send(writer, Hello(messages.PROTOCOL, KEY.public_key))
        await node.connected()
        assert node.signer(_vote(1)) is None
        while not isinstance(asked := await messages.receive(reader), Ask):
            pass
        assert vote_bytes(asked.kind, asked.chain, asked.epoch, asked.proposal) == _vote(1)
        messages.send(writer, Refused(asked.number + 1, SIGNER_CONFLICT.name, 0, 0))  # nobody asked: nothing happens
        messages.send(writer, Signed(asked.number, SigningKey(b"o" * 32).sign(_vote(1))))
        await node.until(lambda: node.signer.trouble is SIGNER_AWAY)
        assert node.signer(_vote(1)) is None


async def test_questions_and_answers_have_limits() -> None:
    """An engine that asks too much, or for very long, fills no memory."""
    async with _nodes() as (node,):
        async with _dialled(node, SIGNER) as (_, writer):
            messages.send(writer, Hello(messages.PROTOCOL, KEY.public_key))
            await node.connected()
            for view in range(1, 3 * WAITING_MAX):
                node.signer(_vote(view))
            assert len(node.signer._waiting) == len(node.signer._asked) == WAITING_MAX
        await node.until(lambda: node.signer.trouble is SIGNER_AWAY)
        async with _serving(_holder(), node):
            await node.connected()
            for view in range(1, ANSWERS_MAX + 20):
                await node.asked(_vote(view))
            assert len(node.signer._answers) == ANSWERS_MAX


async def test_the_newest_connection_counts() -> None:
    """A signer that was started again need not wait until its dead connection is noticed."""
    async with _nodes() as (node,), _dialled(node, SIGNER) as (_, writer):
        messages.send(writer, Hello(messages.PROTOCOL, KEY.public_key))
        await node.connected()
        async with _serving(_holder(), node):
            await node.asked(_vote(1))


async def test_the_signer_knows_its_nodes() -> None:
    """It talks to nobody but the node whose key it was given."""
    async with _nodes() as (node,):
        wrong = Contact(node_key=SigningKey(STRANGER).public_key, host=HOST, port=node.signer.port)
        holder = _holder()
        with pytest.raises(Fault) as refused:
            await holder._visit(wrong)
        assert refused.value.spec is SIGNER_IDENTITY


async def test_a_port_that_is_taken() -> None:
    """The address that cannot be listened on is named."""
    async with _nodes() as (node,):
        with pytest.raises(Fault) as refused:
            await RemoteSigner(CARD, Identity(NODES[1])).start(HOST, node.signer.port)
        assert refused.value.spec is LISTEN_FAILED


async def test_disk_faults_end_the_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be noted is not signed, and the process ends with the disk's error."""
    holder = _holder()

    def refuse(*_: object) -> None:
        raise Fault(LISTEN_FAILED)

    monkeypatch.setattr(holder._marks, "note", refuse)
    async with _nodes() as (node,):
        task = asyncio.create_task(holder.serve([node.contact]))
        await node.connected()
        node.signer(_vote(1))
        with pytest.raises(BaseExceptionGroup) as ended:
            await asyncio.wait_for(task, END_S)
        assert isinstance(ended.value.exceptions[0], Fault)
        assert node.signer(_vote(1)) is None


def test_cards(tmp_path: Path) -> None:
    """A card is read as it was written; what is none is refused by name."""
    path = tmp_path / "signer.json"
    path.write_bytes(card_bytes(CARD))
    assert read_card(path) == CARD
    for content in (b"", b"{}", card_bytes(CARD).replace(CARD.certificate.encode(), b"00")):
        path.write_bytes(content)
        with pytest.raises(Fault) as refused:
            read_card(path)
        assert refused.value.spec is SIGNER_IDENTITY
    path.unlink()
    with pytest.raises(Fault) as refused:
        read_card(path)
    assert refused.value.spec is SIGNER_IDENTITY


def test_only_votes_are_asked_for() -> None:
    """What is no vote cannot be asked for; what is one says exactly what is signed."""
    for message in (_vote(3), vote_bytes(Kind.NULLIFY, CHAIN, 7, nullified(9))):
        assert vote_bytes(*read_vote_bytes(message)) == message
    for wrong in (b"", _vote(1)[:-1], b"x" + _vote(1)[1:], _vote(1)[:6] + b"\x09" + _vote(1)[7:]):
        with pytest.raises(ValueError, match=r"vote|Kind"):
            read_vote_bytes(wrong)


async def _said(raw: bytes) -> messages.SignerMessage:
    reader = asyncio.StreamReader()
    reader.feed_data(raw)
    return await messages.receive(reader)


async def test_frames_have_a_limit() -> None:
    """A length that no message has ends the connection before anything is read."""
    hello = encode(Hello(messages.PROTOCOL, KEY.public_key))
    assert await _said(len(hello).to_bytes(4, "big") + hello) == decode_signer_message(hello)
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: _said((messages.FRAME_BYTES_MAX + 1).to_bytes(4, "big")),
        lambda: _said((1).to_bytes(4, "big") + b"\x00"),
    ]
    for act in acts:
        with pytest.raises(Fault) as refused:
            await act()
        assert refused.value.spec is SIGNER_IDENTITY
