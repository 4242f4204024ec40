"""Final blocks from others: pulled by gossip, believed for their certificates, handed to the executor.

A reply is a run of consecutive blocks; what stands under a finalization certificate of the epoch's validators is final,
whoever sent it (consensus.md 3.11, J19).
"""

from collections import deque
from collections.abc import Callable, Sequence

import structlog

from cccnode.codec import DecodeError, decode
from cccnode.driver.execution import Executor, whole_job
from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime, Timer
from cccnode.driver.serving import Serving
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, block_id, body_root
from cccnode.types.certificate import Certificate
from cccnode.types.limits import INLINE_CERTIFICATES_MAX
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind
from consensus.certificates import Verifier, claims_of
from consensus.config import VerifyMany
from p2p.events import Arrived as ArrivedEffect
from p2p.events import BadBlocks, Deliver, Effect, Event, Frame, Hangup, Hint, Punish, Send, Serve, Tick, Want
from p2p.frames import Channel
from p2p.gossip import Gossip
from p2p.messages import write
from p2p.scores import Offence
from storage.store import Store

_log = structlog.get_logger("catch_up")


class Authority:
    """Who may certify blocks: the validators of one epoch of one chain."""

    def __init__(self, *, chain: bytes, record: EpochRecord, verify_many: VerifyMany) -> None:
        """The validators of `record`."""
        self.chain = chain
        keys = [validator.consensus_key for validator in record.validators]
        self._validators = len(keys)
        self._verifier = Verifier(chain=chain, epoch=record.epoch, keys=keys, verify_many=verify_many)

    def certifies(self, certificate: Certificate, identity: bytes, height: int) -> bool:
        """Whether this is a finalization of that block by a quorum of the epoch."""
        proposal = certificate.proposal
        if certificate.kind is not Kind.FINALIZE or (proposal.block_id, proposal.height) != (identity, height):
            return False
        claims = claims_of(certificate, self._validators)
        return claims is not None and all(self._verifier.check(claims))

    def could_justify(self, justification: Sequence[Certificate]) -> bool:
        """Whether what a proposal carried has the form and the size it must have; kept as evidence only."""
        return len(justification) <= INLINE_CERTIFICATES_MAX + 1 and all(
            claims_of(certificate, self._validators) is not None for certificate in justification
        )


class CatchUp:
    """The overlay of one node: whom to link with, what to tell them, which blocks to pull."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        links: Links,
        gossip: Gossip,
        authority: Authority,
        store: Store,
        executor: Executor,
        arrived: Callable[[bytes, Sequence[bytes], int], None],
    ) -> None:
        """Bind gossip to the node's parts; `arrived` gets foreign transactions with the hops they have left."""
        self._runtime, self._links, self._gossip = runtime, links, gossip
        self._authority, self._executor = authority, executor
        self._arrived = arrived
        self._serving = Serving(runtime=runtime, links=links, store=store)
        self._ready: deque[tuple[bytes, FinalBlock]] = deque()
        """Final blocks for which the executor has no room yet; gossip bounds how far ahead it asks."""
        self._timer: Timer | None = None
        self._deadline: int | None = None

    def handle(self, event: Event) -> None:
        """Tell gossip what happened and carry out what follows."""
        for effect in self._gossip.handle(event, self._runtime.now_ms()):
            self._carry_out(effect)
        self._rearm()

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """A frame on CONTROL, BLOCK or TX."""
        self.handle(Frame(peer=peer, channel=channel, payload=payload))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(peer=peer, channel=channel, message=message):
                self._links.send(peer, channel, write(message))
            case Want(keys=keys):
                self._links.want(keys)
            case Hint(node_key=key, address=address):
                self._links.hint(key, address)
            case Serve():
                self._serving.serve(effect)
            case Deliver():
                self._deliver(effect)
            case ArrivedEffect(peer=peer, transactions=transactions, hops=hops):
                self._arrived(peer, transactions, hops)
            case Punish(peer=peer, offence=offence, detail=detail):
                self._links.punish(peer, offence, detail)
            case Hangup(peer=peer):
                self._links.hang_up(peer)

    def _rearm(self) -> None:
        deadline = self._gossip.deadline_ms(self._runtime.now_ms())
        if deadline == self._deadline and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline, self._timer = deadline, None
        if deadline is not None:
            wait = max(1, deadline - self._runtime.now_ms())
            self._timer = self._runtime.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.handle(Tick())

    def pump(self) -> None:
        """The executor has room again, or moved on by itself: hand over what was found to be final."""
        executor, ready = self._executor, self._ready
        while ready and executor.room:
            identity, block = ready.popleft()
            if block.header.height == executor.next_height and block.header.parent == executor.tip_id:
                executor.push(whole_job(identity, block))

    def _deliver(self, reply: Deliver) -> None:
        """Queue the certified part of a run for execution; what stands above it is asked for again."""
        if self._executor.diverged is not None:
            return
        tip_id, height = self._next()
        if reply.first > height:  # Never a lie of this peer: something before it is missing here.
            self._ask_again(reply.peer, height)
            return
        try:
            run, loose = self._certified_run(reply, tip_id, height)
        except (DecodeError, ValueError) as error:
            self.handle(BadBlocks(peer=reply.peer, height=height))
            _log.warning("false blocks", peer=reply.peer, first=reply.first, reason=str(error))
            return
        self._ready.extend(run)
        self.pump()
        if loose:
            self._links.punish(reply.peer, Offence.TIMEOUT, "blocks without a finalization")
            self._ask_again(reply.peer, self._next()[1])

    def _next(self) -> tuple[bytes, int]:
        """Id below, and height, of the first block that is neither executed nor waits to be."""
        while self._ready and self._ready[-1][1].header.height < self._executor.next_height:
            self._ready.clear()  # Consensus was faster.
        if self._ready:
            identity, block = self._ready[-1]
            return identity, block.header.height + 1
        return self._executor.tip_id, self._executor.next_height

    def _ask_again(self, peer: bytes, height: int) -> None:
        """Pull from `height` on from others, without holding anything against `peer`."""
        for effect in self._gossip.handle(BadBlocks(peer=peer, height=height), self._runtime.now_ms()):
            if not isinstance(effect, Punish):
                self._carry_out(effect)
        self._rearm()

    def _certified_run(self, reply: Deliver, parent: bytes, height: int) -> tuple[list[tuple[bytes, FinalBlock]], int]:
        """The new blocks of a reply up to the last certified one, and how many follow it.

        Raises:
            DecodeError: not blocks.
            ValueError: the run does not hang together, or a certificate is false.
        """
        run: list[tuple[bytes, FinalBlock]] = []
        certified = 0
        for raw in reply.blocks[height - reply.first :]:
            block = decode(FinalBlock, raw)
            header = block.header
            if header.height != height + len(run) or header.parent != parent or header.chain != self._authority.chain:
                raise ValueError(f"block {header.height} does not follow")
            if body_root(tuple(batch_id(batch) for batch in block.batches)) != header.body_root:
                raise ValueError(f"body of block {header.height} is not what its header names")
            if not self._authority.could_justify(block.justification):
                raise ValueError(f"justification of block {header.height} is malformed")
            parent = block_id(header)
            run.append((parent, block))
            if block.certificate is not None:
                if not self._authority.certifies(block.certificate, parent, header.height):
                    raise ValueError(f"certificate of block {header.height} is false")
                certified = len(run)
        return run[:certified], len(run) - certified
