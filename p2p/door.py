"""The door: how a TCP connection becomes a link, or is refused by name.

TLS, the pin of the expected key, HELLO and its answer, for both the dialling and the accepting side.  Whether a HELLO
is welcome is decided in `handshake`; what becomes of a link afterwards is the network's business.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

from cccnode.types.errors import (
    CONFIG_INVALID,
    NET_CLOSED,
    NET_CROSSED,
    NET_FULL,
    NET_IDENTITY,
    NET_MALFORMED,
    NET_SILENT,
    NET_UNREACHABLE,
    NODE_UNREGISTERED,
    PORT_IN_USE,
    Fault,
    fault,
)
from cccnode.types.validators import node_id
from p2p import handshake
from p2p.addresses import join_address, split_address
from p2p.connection import Link, Owner
from p2p.directory import Directory, peer_key
from p2p.frames import Channel
from p2p.messages import Ack, Hello, Known, write
from p2p.peers import Direction, Settings

BACKLOG: Final = 128
"""Connections the kernel holds for us to accept."""
_NO_FILES_S: Final = 0.5
"""Until the next try to accept, when file descriptors ran out."""
_TLS_CLOSE_S: Final = 1.0
"""For the goodbye of TLS itself."""


@dataclass(slots=True)
class Caller:
    """State of a link that another node dialled and that has not said HELLO, or not had its answer."""

    timer: asyncio.TimerHandle
    """Ends it."""
    greeted: bool = False


@dataclass(slots=True)
class Dialled:
    """State of a link that this node dialled and that is not up yet."""

    node_key: bytes
    hello: Hello
    done: "asyncio.Future[None]"


class House(Owner, Protocol):
    """What lies behind the door: the network."""

    def own(self) -> handshake.Self:
        """What this node says of itself now."""

    def facts(self, tls_key: bytes) -> handshake.Facts:
        """What decides on a HELLO of that key."""

    def alternatives(self) -> tuple[Known, ...]:
        """Whom to name when there is no room."""

    def welcome(self, link: Link, message: Hello) -> None:
        """A HELLO passed all checks."""

    def is_linked(self, peer: bytes) -> bool:
        """Whether a link to that node is up."""

    def accepted(self, link: Link, node_key: bytes, answer: Ack) -> None:
        """A node that we dialled says yes; ends in `settled` or `give_up`."""

    def refused(self, link: Link, reason: Fault) -> None:
        """A connection that another made was refused before its key was known."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a task that ends with the network."""


class Door:
    """Listens, dials, and shakes hands."""

    def __init__(self, house: House, directory: Directory, settings: Settings, wall_ms: Callable[[], int]) -> None:
        self._house = house
        self._directory = directory
        self._settings = settings
        self._wall_ms = wall_ms
        self._loop = asyncio.get_running_loop()
        self._server: socket.socket | None = None
        self._again: asyncio.TimerHandle | None = None
        self._callers: set[socket.socket] = set()
        """Connections in the middle of TLS."""
        self._started: set[socket.socket] = set()
        """Those of them that a transport owns."""
        self._open = True
        self.shaking: set[Link] = set()
        """TLS is done, HELLO or its answer is not."""

    # Accepting

    async def listen(self, address: str) -> str:
        """Accept connections; return the address with the real port.

        Raises:
            Fault: PORT_IN_USE; CONFIG_INVALID, the address cannot be listened on.
        """
        self._server = await self._bind(address)
        name = self._server.getsockname()
        self._loop.add_reader(self._server, self._take, self._server)
        return join_address(name[0], name[1])

    def close(self, reason: Fault) -> None:
        """Take no more, and end what is in the middle."""
        self._open = False
        if self._again is not None:
            self._again.cancel()
        if self._server is not None:
            self._loop.remove_reader(self._server)
            self._server.close()
            self._server = None
        for plain in self._callers - self._started:
            plain.close()
        for link in list(self.shaking):
            link.end(reason, farewell=True)

    async def _bind(self, listen: str) -> socket.socket:
        host, port = split_address(listen)
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, name = found[0]
            server = socket.socket(family, kind, protocol)
        except OSError as error:
            raise fault(CONFIG_INVALID, address=listen, why=str(error)) from error
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setblocking(False)
            server.bind(name)
            server.listen(BACKLOG)
        except OSError as error:
            server.close()
            if error.errno == errno.EADDRINUSE:
                raise fault(PORT_IN_USE, address=listen) from error
            raise fault(CONFIG_INVALID, address=listen, why=str(error)) from error
        return server

    def _take(self, server: socket.socket) -> None:
        """Callers wait: let them into TLS, or turn them away before it costs anything."""
        for _ in range(BACKLOG):
            try:
                plain, name = server.accept()
            except BlockingIOError:
                return
            except OSError:  # out of file descriptors: those who wait are served later
                self._loop.remove_reader(server)
                self._again = self._loop.call_later(_NO_FILES_S, self._loop.add_reader, server, self._take, server)
                return
            if len(self._callers) >= self._settings.handshakes_max:
                plain.close()
                continue
            plain.setblocking(False)
            self._callers.add(plain)
            self._house.spawn(self._accept(plain, join_address(name[0], name[1])))

    async def _accept(self, plain: socket.socket, address: str) -> None:
        """TLS with a dialler; HELLO follows in `on_hello`."""
        link = Link(self._house, self._loop, direction=Direction.IN, address=address)
        seconds = self._settings.handshake_ms / 1000
        self._started.add(plain)
        try:
            await self._loop.connect_accepted_socket(
                lambda: link,
                plain,
                ssl=self._directory.server_context,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=_TLS_CLOSE_S,
            )
        except ssl.SSLError as error:
            self._house.refused(link, _stranger(error, address))
        except (OSError, TimeoutError) as error:
            self._house.refused(link, fault(NET_CLOSED, address=address, why=f"during TLS: {error}"))
        finally:
            self._callers.discard(plain)
            self._started.discard(plain)

    # Dialling

    async def dial(self, link: Link, node_key: bytes, address: str) -> None:
        """Make `link` a link to that node: TLS, the pin, HELLO; returns when it is up.

        Raises:
            Fault: what went wrong, on whichever side; NOT_REGISTERED is found out here (J14).
        """
        if not address:
            raise fault(NET_UNREACHABLE, node_id=node_id(node_key), why="no address of this node is known")
        host, port = split_address(address)
        seconds = self._settings.handshake_ms / 1000
        question = handshake.hello(self._house.own(), wall_ms=self._wall_ms(), nonce=os.urandom(16))
        done: asyncio.Future[None] = self._loop.create_future()
        link.state = Dialled(node_key, question, done)
        try:
            async with asyncio.timeout(seconds):
                await self._loop.create_connection(
                    lambda: link,
                    host,
                    port,
                    ssl=self._directory.client_context,
                    server_hostname="cccnode",
                    ssl_handshake_timeout=seconds,
                    ssl_shutdown_timeout=_TLS_CLOSE_S,
                )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            why = str(error) or "no answer in time"
            raise fault(NET_UNREACHABLE, node_id=node_id(node_key), address=address, why=why) from error
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError as error:
            raise fault(NET_SILENT, address=address, why="no answer to HELLO") from error

    def is_dialling(self, node_key: bytes) -> bool:
        """Whether our own HELLO to that node is on its way or waits for an answer."""
        states = [link.state for link in self.shaking if not link.closing]
        return any(isinstance(state, Dialled) and state.node_key == node_key for state in states)

    # Shaking hands

    def opened(self, link: Link) -> None:
        """TLS is done: the dialler checks the pin and speaks first."""
        self.shaking.add(link)
        link.peer = peer_key(link.tls())
        if not self._open:
            link.end(fault(NET_CLOSED, why="the node stops"), farewell=False)
        elif isinstance(link.state, Dialled):
            self._greet(link, link.state)
        else:
            seconds = self._settings.handshake_ms / 1000
            silent = fault(NET_SILENT, address=link.address, why="no HELLO")
            link.state = Caller(self._loop.call_later(seconds, self.refuse, link, silent))

    def _greet(self, link: Link, dial: Dialled) -> None:
        if link.peer == dial.node_key:
            if self._house.is_linked(dial.node_key):  # its dial was faster
                reason = fault(NET_CROSSED, address=link.address)
                self._settle(dial, reason)
                link.end(reason, farewell=True)
            else:
                link.send(Channel.LINK, write(dial.hello))
            return
        reason = fault(
            NET_IDENTITY,
            address=link.address,
            expected_node_id=node_id(dial.node_key),
            found_node_id=node_id(link.peer) if link.peer else "no Ed25519 key",
        )
        self._settle(dial, reason)
        link.end(reason, farewell=True)

    def frame(self, link: Link, channel: Channel, payload: bytes) -> None:
        """A payload on a link that is not up yet."""
        if channel is not Channel.LINK:
            self.refuse(link, fault(NET_MALFORMED, why=f"{channel.name} before the handshake", address=link.address))
        elif isinstance(link.state, Dialled):
            self._on_answer(link, link.state, payload)
        else:
            self._on_hello(link, payload)

    def _on_hello(self, link: Link, payload: bytes) -> None:
        """The acceptor's side."""
        caller = link.state
        if not isinstance(caller, Caller) or caller.greeted:
            self.refuse(link, fault(NET_MALFORMED, why="a second HELLO", address=link.address))
            return
        caller.greeted = True
        try:
            message = handshake.read_hello(payload)
        except Fault as reason:
            self.refuse(link, reason)
            return
        self.consider(link, message)

    def consider(self, link: Link, message: Hello) -> None:
        """Welcome or refuse the sender of a HELLO, as things stand now."""
        assert link.peer is not None, "TLS demanded a registered certificate"
        unwelcome = handshake.judge(message, self._house.facts(link.peer))
        if unwelcome is None:
            self._house.welcome(link, message)
        else:
            self.refuse(link, unwelcome)

    def _on_answer(self, link: Link, dial: Dialled, payload: bytes) -> None:
        """The dialler's side."""
        try:
            answer = handshake.read_answer(payload, dial.hello)
        except Fault as garbled:
            self._settle(dial, garbled)
            link.end(garbled, farewell=True)
            return
        if isinstance(answer, Ack):
            self._house.accepted(link, dial.node_key, answer)
            return
        reason = handshake.told(answer)
        reason.values["address"] = link.address
        link.state = answer
        self._settle(dial, reason)
        link.end(reason, farewell=False)

    def refuse(self, link: Link, reason: Fault) -> None:
        """The acceptor says no, by name."""
        alternatives = self._house.alternatives() if reason.spec is NET_FULL else ()
        link.end(reason, farewell=True, last_word=handshake.reject(reason, alternatives))

    def give_up(self, link: Link, reason: Fault) -> None:
        """The dialler says no, by name, to a node that said yes."""
        if isinstance(link.state, Dialled):
            self._settle(link.state, reason)
        link.end(reason, farewell=True)

    def settled(self, link: Link) -> None:
        """The link is up."""
        self.shaking.discard(link)
        if isinstance(link.state, Caller):
            link.state.timer.cancel()
        elif isinstance(link.state, Dialled):
            self._settle(link.state, None)

    def closed(self, link: Link, reason: Fault, error: Exception | None) -> None:
        """A connection ended before it was a link; whoever waits for it hears why."""
        self.shaking.discard(link)
        if isinstance(link.state, Caller):
            link.state.timer.cancel()
            self._house.refused(link, reason)
        elif isinstance(link.state, Dialled):
            if reason.spec is NET_CLOSED and "told" not in reason.values and self._open:
                evidence = "TLS alert" if isinstance(error, ssl.SSLError) else "closed before any answer"
                reason = handshake.not_registered(
                    node_key=self._house.own().node_key, address=link.address, evidence=evidence
                )
            self._settle(link.state, reason)

    def _settle(self, dial: Dialled, reason: Fault | None) -> None:
        if dial.done.done():
            return
        if reason is None:
            dial.done.set_result(None)
        else:
            dial.done.set_exception(reason)
            dial.done.exception()  # a dial that was cancelled meanwhile does not ask


def _stranger(error: ssl.SSLError, address: str) -> Fault:
    """Why TLS with a dialler failed.  Its key is not known: the ssl module shows only certificates that it trusts."""
    unknown = isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE" in (error.reason or "")
    if unknown:
        return fault(NODE_UNREGISTERED, address=address, why="a stranger's certificate, or none")
    return fault(NET_MALFORMED, address=address, why=f"no TLS 1.3: {error.reason or error}")
