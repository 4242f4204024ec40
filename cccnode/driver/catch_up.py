"""Final blocks from others: pulled by gossip, believed for their certificates, handed to the executor.

A reply is a run of consecutive blocks; what stands under a finalization certificate of the epoch's validators is final,
whoever sent it (consensus.md 3.11, J19).
"""

from collections.abc import Callable, Sequence

from cccnode.codec import DecodeError, decode, encode
from cccnode.driver.execution import Executor, Job
from cccnode.driver.links import Links
from cccnode.driver.runtime import Runtime, Timer
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, block_id, body_root
from cccnode.types.certificate import Certificate
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind
from consensus.certificates import Verifier, claims_of
from consensus.config import VerifyMany
from p2p.events import BadBlocks, Deliver, Effect, Event, Frame, Hangup, Hint, Punish, Send, Serve, Tick, Want
from p2p.events import Arrived as ArrivedEffect
from p2p.frames import Channel
from p2p.gossip import Gossip, fit_blocks
from p2p.messages import BLOCKS_PER_REPLY_MAX, Blocks, write
from p2p.scores import Offence
from storage.store import Store

SERVE_BYTES_MAX = 6 * 1024 * 1024
"""A reply may grow to this to end at a certified block; a frame takes 8 MiB."""


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
        self._authority, self._store, self._executor = authority, store, executor
        self._arrived = arrived
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
                self._serve(effect)
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

    def _serve(self, request: Serve) -> None:
        """Answer with what is stored; the run ends with a certified block, or it would prove nothing."""
        applied = self._store.applied
        last = min(request.first + request.count - 1, applied.height if applied is not None else 0)
        raws: list[bytes] = []
        height, size = request.first, 0
        certified = False
        while height <= last or (raws and not certified and applied is not None and height <= applied.height):
            block = self._store.block(height)
            if block is None:
                break
            raw = encode(block)
            if len(raws) == BLOCKS_PER_REPLY_MAX or (raws and size + len(raw) > SERVE_BYTES_MAX):
                break
            raws.append(raw)
            size += len(raw)
            certified = block.certificate is not None
            height += 1
            if certified and len(fit_blocks(raws)) < len(raws):
                break
        self._links.send(request.peer, Channel.BLOCK, write(Blocks(request.number, tuple(raws))))

    def _deliver(self, reply: Deliver) -> None:
        """Queue the certified part of a run for execution."""
        try:
            run = self._certified_run(reply)
        except (DecodeError, ValueError) as error:
            self._links.punish(reply.peer, Offence.INVALID_BLOCK, str(error))
            self.handle(BadBlocks(peer=reply.peer, height=max(reply.first, self._executor.next_height)))
            return
        for identity, block in run:
            if self._executor.room and block.header.height == self._executor.next_height:
                self._executor.push(Job(block_id=identity, block=block, transactions=None))

    def _certified_run(self, reply: Deliver) -> list[tuple[bytes, FinalBlock]]:
        """The new blocks of a reply up to the last certified one.

        Raises:
            DecodeError: not blocks.
            ValueError: the run does not hang together, or a certificate is false.
        """
        run: list[tuple[bytes, FinalBlock]] = []
        certified = 0
        parent, height = self._executor.tip_id, self._executor.next_height
        for offset, raw in enumerate(reply.blocks):
            if reply.first + offset < height + len(run):
                continue
            block = decode(FinalBlock, raw)
            header = block.header
            if header.height != height + len(run) or header.parent != parent or header.chain != self._authority.chain:
                raise ValueError(f"block {header.height} does not follow")
            if body_root(tuple(batch_id(batch) for batch in block.batches)) != header.body_root:
                raise ValueError(f"body of block {header.height} is not what its header names")
            parent = block_id(header)
            run.append((parent, block))
            if block.certificate is not None:
                if not self._authority.certifies(block.certificate, parent, header.height):
                    raise ValueError(f"certificate of block {header.height} is false")
                certified = len(run)
        return run[:certified]
