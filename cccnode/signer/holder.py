"""The signer's process: it dials its nodes, and signs what its mark allows.

It opens no port.  Each connection is TLS 1.3 with both keys pinned; a node that goes away is dialled again for ever.
The mark is durable before a signature is made, and if the disk refuses, the process ends with that error.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from cccnode.crypto.signing import SigningKey
from cccnode.signer.mark import Marks
from cccnode.signer.messages import PROTOCOL, Ask, Hello, Ping, Pong, Refused, Signed, receive, send
from cccnode.types.errors import SIGNER_IDENTITY, Fault, fault
from cccnode.types.vote import vote_bytes
from p2p.directory import Identity, client_context, peer_key

CONNECT_S: Final = 5.0
RETRY_S: Final = 1.0
SILENT_S: Final = 10.0
"""A node asks more often than that whether its signer lives."""
NODES_MAX: Final = 8

_log = structlog.get_logger("signer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A node that may ask for votes."""

    node_key: bytes
    host: str
    port: int


class Holder:
    """Holds the consensus key and its marks; all nodes share it, so they cannot get contradicting signatures."""

    def __init__(self, *, key: SigningKey, marks: Marks, identity: Identity) -> None:
        """Bind a key to the marks that belong to it."""
        self._key, self._marks = key, marks
        self._context = client_context(identity)

    def answer(self, ask: Ask) -> Signed | Refused:
        """Note the vote and sign it, or say why not.

        Raises:
            Fault: what the disk answers; nothing was signed.
        """
        refused = self._marks.note(ask.kind, ask.chain, ask.epoch, ask.proposal)
        if refused is not None:
            mark = self._marks.known.get(ask.chain)
            _log.warning("refused", reason=refused.name, kind=ask.kind.name, epoch=ask.epoch, view=ask.proposal.view)
            return Refused(ask.number, refused.name, mark.epoch if mark else 0, mark.view if mark else 0)
        return Signed(ask.number, self._key.sign(vote_bytes(ask.kind, ask.chain, ask.epoch, ask.proposal)))

    async def serve(self, contacts: Sequence[Contact]) -> None:
        """Answer all nodes until cancelled.

        Raises:
            ExceptionGroup: of a disk's fault.
        """
        async with asyncio.TaskGroup() as group:
            for contact in contacts:
                group.create_task(self._stay_with(contact))

    async def _stay_with(self, contact: Contact) -> None:
        """Dial, answer, and dial again when the connection ends; each reason is told once."""
        told = ""
        while True:
            try:
                await self._visit(contact)
                why = "the node closed the connection"
            except Fault as refused:
                if refused.spec is not SIGNER_IDENTITY:
                    raise
                why = str(refused)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                why = str(error) or type(error).__name__
            if why != told:
                told = why
                _log.warning("not connected", node=contact.node_key, reason=why)
            await asyncio.sleep(RETRY_S)

    async def _visit(self, contact: Contact) -> None:
        """One connection, to its end."""
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(contact.host, contact.port, ssl=self._context)
        try:
            found = peer_key(writer.get_extra_info("ssl_object"))
            if found != contact.node_key:
                raise fault(SIGNER_IDENTITY, expected=contact.node_key, found=found or b"")
            send(writer, Hello(PROTOCOL, self._key.public_key))
            _log.info("connected", node=contact.node_key)
            while True:
                async with asyncio.timeout(SILENT_S):
                    await writer.drain()
                    message = await receive(reader)
                match message:
                    case Ask():
                        send(writer, self.answer(message))
                    case Ping():
                        send(writer, Pong())
                    case _:
                        raise fault(SIGNER_IDENTITY, why=f"a node says {type(message).__name__}")
        finally:
            writer.transport.abort()
