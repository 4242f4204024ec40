"""The node's side of a remote signer: it looks like a key that sometimes has not answered yet.

The engine asks again at every event, so nothing is kept for later: what was asked and not answered when a connection
ends is forgotten, and the next connection begins with a Tick that makes the engine ask for what it needs then.  Nothing
waits here, so a signer that is slow or away costs this node its votes and nothing else.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from cccnode.crypto.verifying import verify
from cccnode.signer.card import SignerCard
from cccnode.signer.messages import PROTOCOL, Ask, Hello, Ping, Pong, Refused, Signed, receive, send
from cccnode.types.errors import LISTEN_FAILED, SIGNER_AWAY, SIGNER_IDENTITY, ErrorSpec, Fault, fault
from cccnode.types.vote import read_vote_bytes
from p2p.directory import Identity, peer_key, server_context

WAITING_MAX: Final = 64
"""Votes that are asked for at a time; an engine needs a few."""
ANSWERS_MAX: Final = 256
"""Newest answers that are kept: the engine takes them at the next event."""
HELLO_S: Final = 5.0
PING_S: Final = 1.0
SILENT_S: Final = 4.0
"""A signer that says nothing for so long is away."""

_log = structlog.get_logger("signer")


class RemoteSigner:
    """Signs votes by asking the signer that is connected; see `consensus.config.Sign`."""

    def __init__(self, card: SignerCard, identity: Identity) -> None:
        """Let in whoever proves to be the signer of the card.

        Raises:
            Fault: signer/IDENTITY: the card is none.
        """
        self.public_key = card.public_key
        self.answered: Callable[[], None] = lambda: None
        """Called when an answer or a signer came."""
        self._signer_key = card.transport_key
        self._context = server_context(identity)
        self._context.load_verify_locations(cadata=card.der)
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._number = 0
        self._waiting: dict[int, bytes] = {}
        self._asked: set[bytes] = set()
        self._answers: dict[bytes, bytes | None] = {}
        """By message; None: refused."""
        self._connections: set[asyncio.StreamWriter] = set()
        self.refusals = 0
        """How many votes were refused since the start."""

    @property
    def trouble(self) -> ErrorSpec | None:
        """Why nothing is signed now; None: the signer is connected."""
        return SIGNER_AWAY if self._writer is None else None

    def __call__(self, message: bytes) -> bytes | None:
        """The signature, if it is here; else it is asked for, and `answered` is called when it comes."""
        if message in self._answers:
            return self._answers[message]
        if self._writer is None or message in self._asked or len(self._asked) >= WAITING_MAX:
            return None
        self._number = (self._number + 1) % 2**32
        self._waiting[self._number] = message
        self._asked.add(message)
        send(self._writer, Ask(self._number, *read_vote_bytes(message)))
        return None

    async def start(self, host: str, port: int) -> None:
        """Listen for the signer.

        Raises:
            Fault: home/LISTEN_FAILED.
        """
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, ssl=self._context, ssl_handshake_timeout=HELLO_S
            )
        except OSError as error:
            raise fault(LISTEN_FAILED, address=f"{host}:{port}", key="signer.listen", why=str(error)) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "started"
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and let the signer go."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; the newest replaces the one before, which may be dead and not know it."""
        self._connections.add(writer)
        beat: asyncio.Task[None] | None = None
        try:
            await self._welcome(reader, writer)
            beat = asyncio.get_running_loop().create_task(_beat(writer))
            await self._listen(reader)
        except Fault as refused:
            _log.warning("a signer is refused", reason=str(refused), remedy=refused.spec.remedy)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            _log.warning("the signer is away", reason=str(error) or type(error).__name__)
        finally:
            if beat is not None:
                beat.cancel()
            self._connections.discard(writer)
            if self._writer is writer:
                self._forget(None)
            writer.transport.abort()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = peer_key(writer.get_extra_info("ssl_object"))
        async with asyncio.timeout(HELLO_S):
            hello = await receive(reader)
        if key != self._signer_key or not isinstance(hello, Hello):
            raise fault(SIGNER_IDENTITY, expected=self._signer_key, found=key or b"")
        if (hello.protocol, hello.consensus_key) != (PROTOCOL, self.public_key):
            raise fault(SIGNER_IDENTITY, expected=self.public_key, found=hello.consensus_key, protocol=hello.protocol)
        if self._writer is not None:
            self._writer.transport.abort()
        self._forget(writer)
        _log.info("the signer is connected", key=self.public_key)
        self.answered()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(SILENT_S):
                message = await receive(reader)
            match message:
                case Signed(number=number, signature=signature):
                    self._take(number, signature)
                case Refused(number=number, error=error, epoch=epoch, view=view):
                    self.refusals += 1
                    _log.warning("a vote is refused", reason=error, mark_epoch=epoch, mark_view=view)
                    self._take(number, None)
                case Pong():
                    pass
                case _:
                    raise fault(SIGNER_IDENTITY, why=f"a signer says {type(message).__name__}")

    def _take(self, number: int, signature: bytes | None) -> None:
        """An answer.  A signature that is not good would be held against this validator, so it is looked at."""
        message = self._waiting.pop(number, None)
        if message is None:
            return
        self._asked.discard(message)
        if signature is not None and not verify(message, signature, self.public_key):
            raise fault(SIGNER_IDENTITY, why="the signer's signature is not that of the consensus key")
        while len(self._answers) >= ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[message] = signature
        if signature is not None:
            self.answered()

    def _forget(self, writer: asyncio.StreamWriter | None) -> None:
        """Another connection, or none: what was asked before is not answered any more.

        Refusals are forgotten too: they are asked again, once.
        """
        self._writer = writer
        self._waiting.clear()
        self._asked.clear()
        self._answers = {message: answer for message, answer in self._answers.items() if answer is not None}


async def _beat(writer: asyncio.StreamWriter) -> None:
    """Ask whether the signer lives, for as long as it is connected."""
    with suppress(OSError):
        while True:
            send(writer, Ping())
            await writer.drain()
            await asyncio.sleep(PING_S)
