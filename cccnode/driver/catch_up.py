"""Final blocks from others: pulled by gossip, believed for their certificates, handed to the executor.

A reply is a run of consecutive blocks; what stands under a finalization certificate of the epoch's validators is final,
whoever sent it (consensus.md 3.11, J19).
"""

from collections import deque
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from cccnode.codec import DecodeError, decode
from cccnode.driver.execution import Executor, Job
from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime, Timer
from cccnode.driver.serving import Serving
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, Header, block_id, body_root
from cccnode.types.certificate import Certificate, claims_of
from cccnode.types.limits import INLINE_CERTIFICATES_MAX
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind
from consensus.certificates import Verifier
from consensus.config import VerifyMany
from consensus.rules import ends_epoch
from p2p.events import Arrived as ArrivedEffect
from p2p.events import BadBlocks, Deliver, Effect, Event, Frame, Hangup, Hint, Punish, Send, Serve, Tick, Unlinked, Want
from p2p.frames import Channel
from p2p.gossip import Gossip
from p2p.messages import write
from p2p.scores import Offence
from storage.store import Store

_log = structlog.get_logger("catch_up")


class Authority:
    """Who may certify blocks: the validators of one epoch of one chain."""

    def __init__(
        self,
        *,
        chain: bytes,
        record: EpochRecord,
        verify_many: VerifyMany,
        given_up_at: tuple[int, bytes] | None = None,
    ) -> None:
        """The validators of `record`; `given_up_at`: height and id at which an accepted restart ends their epoch."""
        self._given_up_at = given_up_at
        self.chain, self.epoch = chain, record.epoch
        keys = [validator.consensus_key for validator in record.validators]
        self._validators = len(keys)
        self._verifier = Verifier(chain=chain, epoch=record.epoch, keys=keys, verify_many=verify_many)

    def ends_with(self, header: Header, identity: bytes) -> bool:
        """Whether this block is the last of the epoch, by its own word or by an accepted restart."""
        if header.epoch != self.epoch:
            return False
        return ends_epoch(header) or (header.height, identity) == self._given_up_at

    def gave_up_at(self, height: int, identity: bytes) -> bool:
        """Whether an accepted restart certifies this block."""
        return (height, identity) == self._given_up_at

    def certifies(self, certificate: Certificate, identity: bytes, height: int) -> bool:
        """Whether this is a finalization of that block by a quorum of the epoch."""
        proposal = certificate.proposal
        if certificate.kind is not Kind.FINALIZE or (proposal.block_id, proposal.height) != (identity, height):
            return False
        claims = claims_of(certificate, self._validators)
        return claims is not None and all(self._verifier.check(claims))

    def justifying(self, justification: Sequence[Certificate]) -> tuple[Certificate, ...]:
        """Of what a proposal carried, what has the form it must have; kept as evidence only.

        No certificate covers it, so nobody who serves the block answers for it.
        """
        return tuple(
            certificate
            for certificate in justification[: INLINE_CERTIFICATES_MAX + 1]
            if claims_of(certificate, self._validators) is not None
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
        certified: Callable[[bytes, Certificate], None],
    ) -> None:
        """Bind gossip to the node's parts; `arrived` gets foreign transactions with the hops they have left.

        `certified` sees each finalization that came with a block, and from whom.
        """
        self._runtime, self._links, self._gossip = runtime, links, gossip
        self._authority, self._executor = authority, executor
        self._arrived, self._certified = arrived, certified
        self._serving = Serving(runtime=runtime, links=links, store=store)
        self._ready: deque[Job] = deque()
        """Final blocks for which the executor has no room yet; gossip bounds how far ahead it asks."""
        self._beyond: deque[Deliver] = deque()
        """What came of the next epoch: who certifies it is known once this epoch's last block is executed."""
        self._timer: Timer | None = None
        self._deadline: int | None = None
        self.unknown_epoch: int | None = None
        """Epoch of blocks that others showed and that nothing known here leads to."""

    def handle(self, event: Event) -> None:
        """Tell gossip what happened and carry out what follows."""
        if isinstance(event, Unlinked):
            self._serving.forget(event.peer)
        for effect in self._gossip.handle(event, self._runtime.now_ms()):
            self._carry_out(effect)
        self._rearm()

    def keepers(self, height: int) -> list[bytes]:
        """Connected nodes that say they keep the block of a height."""
        return self._gossip.keepers(height)

    def unobtainable(self) -> tuple[int, int] | None:
        """The next height that is needed and the earliest kept by any connected node, if none of them keeps it."""
        return self._gossip.unobtainable()

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
            job = ready.popleft()
            header = job.block.header
            if header.height == executor.next_height and header.parent == executor.tip_id:
                executor.push(job)

    def hold(self, *, held: bool) -> None:
        """Let final blocks wait, or go on with them."""
        if held is not self._executor.held:
            self._executor.held = held
            self.pump()

    def begin_epoch(self, authority: Authority) -> None:
        """The last block of an epoch is executed: others certify what follows."""
        self._authority, self.unknown_epoch = authority, None
        beyond, self._beyond = self._beyond, deque()
        for reply in beyond:
            self._deliver(reply)

    def _deliver(self, reply: Deliver) -> None:
        """Queue the certified part of a run for execution; what stands above it is asked for again."""
        if self._executor.halted is not None:
            return
        tip_id, height = self._next()
        if self._authority.ends_with(self._last_header(), tip_id):
            self._beyond.append(reply)
        elif reply.first > height:  # Never a lie of this peer: something before it is missing here.
            self._ask_again(reply.peer, height)
        else:
            self._take(reply, tip_id, height)

    def _take(self, reply: Deliver, tip_id: bytes, height: int) -> None:
        try:
            run, loose = self._certified_run(reply, tip_id, height)
        except (DecodeError, ValueError) as error:
            self.handle(BadBlocks(peer=reply.peer, height=height))
            _log.warning("false blocks", peer=reply.peer, first=reply.first, reason=str(error))
            return
        for job in run:
            if job.block.certificate is not None:
                self._certified(reply.peer, job.block.certificate)
        self._ready.extend(run)
        if run:
            self.unknown_epoch = None  # This epoch goes on: whoever showed another one was ahead of it, or lied.
        self.pump()
        if run and self._authority.ends_with(run[-1].block.header, run[-1].block_id):
            self._beyond.append(reply)
        elif self.unknown_epoch is not None:
            self._ask_again(reply.peer, self._next()[1])  # It may have told the truth.
        elif loose:
            self._links.punish(reply.peer, Offence.TIMEOUT, "blocks without a finalization")
            self._ask_again(reply.peer, self._next()[1])

    def _next(self) -> tuple[bytes, int]:
        """Id below, and height, of the first block that is neither executed nor waits to be."""
        while self._ready and self._ready[-1].block.header.height < self._executor.next_height:
            self._ready.clear()  # Consensus was faster.
        if self._ready:
            return self._ready[-1].block_id, self._ready[-1].block.header.height + 1
        return self._executor.tip_id, self._executor.next_height

    def _last_header(self) -> Header:
        """Header of the newest block that is executed or waits to be."""
        return self._ready[-1].block.header if self._ready else self._executor.tip

    def _ask_again(self, peer: bytes, height: int) -> None:
        """Pull from `height` on from others, without holding anything against `peer`."""
        for effect in self._gossip.handle(BadBlocks(peer=peer, height=height), self._runtime.now_ms()):
            if not isinstance(effect, Punish):
                self._carry_out(effect)
        self._rearm()

    def _certified_run(self, reply: Deliver, parent: bytes, height: int) -> tuple[list[Job], int]:
        """The new blocks of a reply up to the last certified one, and how many follow it.

        Raises:
            DecodeError: not blocks.
            ValueError: the run does not hang together, or a certificate is false.
        """
        run: list[Job] = []
        certified = 0
        for raw in reply.blocks[height - reply.first :]:
            block = decode(FinalBlock, raw)
            header = block.header
            if header.epoch > self._authority.epoch:
                # Perhaps the others restarted (J22); nothing here can tell whether that is true.
                self.unknown_epoch = header.epoch
                return run[:certified], len(run) - certified + 1
            expected = (height + len(run), parent, self._authority.chain, self._authority.epoch)
            if (header.height, header.parent, header.chain, header.epoch) != expected:
                raise ValueError(f"block {header.height} does not follow")
            batches = tuple(batch_id(batch) for batch in block.batches)
            if body_root(batches) != header.body_root:
                raise ValueError(f"body of block {header.height} is not what its header names")
            parent = block_id(header)
            kept = replace(block, justification=self._authority.justifying(block.justification))
            run.append(Job(block_id=parent, block=kept, batch_ids=batches, transactions=None))
            if block.certificate is not None:
                if not self._authority.certifies(block.certificate, parent, header.height):
                    raise ValueError(f"certificate of block {header.height} is false")
                certified = len(run)
            if self._authority.gave_up_at(header.height, parent):
                certified = len(run)
            if certified == len(run) and self._authority.ends_with(header, parent):
                break
        return run[:certified], len(run) - certified
