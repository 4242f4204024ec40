"""The light client: it knows a genesis hash, and believes nothing that does not follow from it.

    async with LightClient(["10.0.0.1:27600", "10.0.0.2:27600"], chain=chain) as light:
        tip = await light.sync()
        items = (await light.group(b"...")).items

It reads the genesis document, whose hash is known, follows the last block of each epoch to the newest validators, and
asks a node for each answer together with its proof.  A node whose proof does not hold is named (`liars`) and not asked
again; the next one is.  What a genesis hash alone cannot tell is whether a newer block exists: ask several nodes, or
give an age.  Old validators that kept their keys could forge an old epoch: a checkpoint (a network card has one, and
the last tip seen is one) keeps whoever has it from following them.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from cccnode.card import Card, Checkpoint
from cccnode.client.calls import Client, from_hex, to_hex, wall_ms
from cccnode.client.failures import ClientError, local_error
from cccnode.codec import DecodeError, Noun, decode
from cccnode.crypto.verifying import verify_many
from cccnode.types import errors
from cccnode.types.block import Header, block_id
from cccnode.types.errors import Fault, fault
from cccnode.types.finality import EPOCHS_MAX, Anchor, EpochLink, Trust, VerifyMany
from cccnode.types.promise import Promise, read_promise
from cccnode.types.proofs import (
    EVIDENCE_VERSION,
    EventsProof,
    Evidence,
    GroupProof,
    HistoryProof,
    Result,
    TransactionProof,
)
from cccnode.types.receipt import Receipt
from genesis.document import DOCUMENT_BYTES_MAX, chain_id, document_encoding, read_document
from genesis.header import first_record

GENESIS_PATH: Final = "/genesis.json"
WAIT_MS: Final = 30_000
"""How long a node may wait for a final header that reports what is asked for."""

T = TypeVar("T")
N = TypeVar("N", bound=Noun)


class Server(Protocol):
    """What the light client uses of a `Client`."""

    url: str

    async def call(self, method: str, *, timeout_s: float | None = None, **params: Any) -> Any:
        """The JSON result of one method."""

    async def download(
        self, path: str, write: Callable[[bytes], object], *, bytes_max: int, timeout_s: float = ...
    ) -> int:
        """Get a file."""

    async def close(self) -> None:
        """Close the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenGroup:
    """All items that a state group held after a height."""

    items: Mapping[bytes, bytes]
    """Empty: there was no such group."""
    proof: GroupProof

    @property
    def height(self) -> int:
        """After which block."""
        return self.proof.result.height


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenTransaction:
    """A transaction, and what became of it."""

    tx_id: bytes
    receipt: Receipt
    proof: TransactionProof

    @property
    def header(self) -> Header:
        """Of the block that decided it."""
        return self.proof.block.header


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEvents:
    """All receipts of a block, with all their events."""

    receipts: Sequence[Receipt]
    proof: EventsProof


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A node kept its promise."""

    promise: Promise
    height: int
    """Of the block that decided the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A node broke its promise: no block up to the promised height decided the transaction."""

    promise: Promise
    blocks: tuple[ProvenEvents, ...]
    """All receipts of each block in question."""


class LightClient:
    """Asks several nodes and believes none of them."""

    def __init__(
        self,
        servers: Iterable[str],
        *,
        chain: bytes,
        checkpoint: Checkpoint | None = None,
        age_ms_max: int | None = None,
        connect: Callable[[str], Server] = Client,
        verify: VerifyMany = verify_many,
    ) -> None:
        """`chain`: the genesis hash; `checkpoint`: a final block that is known from elsewhere.

        With `age_ms_max` a tip that is older is refused: a node may hide the newest blocks, and cannot make new ones.
        """
        self._servers = [connect(url) for url in servers]
        self._chain, self._checkpoint, self._age_ms_max = chain, checkpoint, age_ms_max
        self._verify = verify
        self._trust: Trust | None = None
        self._links: list[EpochLink] = []
        self._document = b""
        self.tip: Header | None = None
        """The newest header that is known to be final."""
        self.liars: dict[str, ClientError] = {}
        """Nodes that showed something that does not hold, by address: `client/UNPROVEN` says what."""

    @classmethod
    def from_card(cls, card: Card, **named: Any) -> Self:
        """A client of the contacts of a network card."""
        return cls(card.rpc_addresses, chain=card.chain, checkpoint=card.checkpoint, **named)

    async def __aenter__(self) -> Self:
        """Use it in `async with`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sessions."""
        for server in self._servers:
            await server.close()

    @property
    def epoch(self) -> int | None:
        """The newest epoch whose validators are known; None before the first answer."""
        return None if self._trust is None else self._trust.record.epoch

    async def sync(self) -> Header:
        """Follow the epochs to the tip.

        Raises:
            ClientError: `client/UNPROVEN` names the node and what was wrong; else what the last node said.
        """
        return await self._ask(self._follow)

    async def group(self, group: bytes, *, height: int | None = None) -> ProvenGroup:
        """All items of a state group; see `sync` for errors."""

        async def ask(server: Server) -> ProvenGroup:
            named = {} if height is None else {"height": str(height)}
            answer = await self._call(server, "state_proof", group=to_hex(group), wait_ms=WAIT_MS, **named)
            proof = _noun(GroupProof, answer, "proof")
            items = proof.verify(await self._trust_for(server, proof.result))
            if proof.group != group or height not in {None, proof.result.height}:
                raise fault(errors.PROOF_QUESTION, group=proof.group, height=proof.result.height)
            return ProvenGroup(items=items, proof=proof)

        return await self._ask(ask)

    async def transaction(self, tx_id: bytes) -> ProvenTransaction:
        """A decided transaction with its receipt; see `sync` for errors."""

        async def ask(server: Server) -> ProvenTransaction:
            answer = await self._call(server, "tx_proof", tx_id=to_hex(tx_id), wait_ms=WAIT_MS)
            proof = _noun(TransactionProof, answer, "proof")
            identity, receipt = proof.verify(await self._trust_for(server, proof.result))
            if identity != tx_id:
                raise fault(errors.PROOF_QUESTION, tx_id=identity)
            return ProvenTransaction(tx_id=tx_id, receipt=receipt, proof=proof)

        return await self._ask(ask)

    async def events(self, height: int) -> ProvenEvents:
        """All receipts of a block; see `sync` for errors."""

        async def ask(server: Server) -> ProvenEvents:
            answer = await self._call(server, "events_proof", height=str(height), wait_ms=WAIT_MS)
            proof = _noun(EventsProof, answer, "proof")
            receipts = proof.verify(await self._trust_for(server, proof.result))
            if proof.result.height != height:
                raise fault(errors.PROOF_QUESTION, height=proof.result.height)
            return ProvenEvents(receipts=receipts, proof=proof)

        return await self._ask(ask)

    async def promise(self, raw: bytes) -> Kept | Broken:
        """Whether a node kept its promise: the block that decided the transaction, or every block without it.

        Raises:
            ClientError: promise/FORGED, promise/OPEN while its last height is not reached, or as `events`.
        """
        try:
            promise = read_promise(raw, self._chain)
        except Fault as error:
            raise local_error(error.spec, **error.values) from error
        reported = -1 if self.tip is None else self.tip.exec_height
        blocks: list[ProvenEvents] = []
        for height in range(promise.after + 1, promise.by + 1):
            if height > reported:
                reported = (await self.sync()).exec_height
            if height > reported:
                raise local_error(errors.PROMISE_OPEN, by=promise.by, reported=reported)
            found = await self.events(height)
            if any(receipt.tx_id == promise.tx_id for receipt in found.receipts):
                return Kept(promise=promise, height=height)
            blocks.append(found)
        return Broken(promise=promise, blocks=tuple(blocks))

    async def header(self, height: int) -> Header:
        """The final header of a height; see `sync` for errors."""

        async def ask(server: Server) -> Header:
            await self._follow(server)
            assert self._trust is not None, "followed"
            # An epoch may end meanwhile: what is learnt of that is learnt again at the next call.
            return await self._in_history(server, height, self._trust.copy(), [])

        return await self._ask(ask)

    def evidence(
        self,
        *,
        transactions: Sequence[ProvenTransaction] = (),
        groups: Sequence[ProvenGroup] = (),
        events: Sequence[ProvenEvents] = (),
    ) -> Evidence:
        """What was proven, in a form that can be checked years later without a node."""
        results = [shown.proof.result for shown in transactions]
        results += [shown.proof.result for shown in groups] + [shown.proof.result for shown in events]
        newest = max((result.anchor.header.epoch for result in results), default=0)
        return Evidence(
            version=EVIDENCE_VERSION,
            genesis=self._document,
            links=tuple(self._links[:newest]),
            transactions=tuple(shown.proof for shown in transactions),
            groups=tuple(shown.proof for shown in groups),
            blocks=tuple(shown.proof for shown in events),
        )

    # Whom to ask -----------------------------------------------------------------------------------------------------

    async def _ask(self, question: Callable[[Server], Awaitable[T]]) -> T:
        """The answer of the first node whose answer holds."""
        last: ClientError | None = None
        for server in self._servers:
            if server.url in self.liars:
                continue
            try:
                return await question(server)
            except Fault as reason:
                lie = _lie(server, reason)
                last = self.liars[server.url] = lie
            except ClientError as error:
                last = error if last is None or last.name != errors.SERVER_LIES.name else last
        if last is None:
            last = next(iter(self.liars.values()), None) or local_error(errors.UNREACHABLE, why="no node is named")
        raise last

    async def _call(self, server: Server, method: str, **params: Any) -> Any:
        answer = await server.call(method, timeout_s=2 * WAIT_MS / 1000, **params)
        if not isinstance(answer, dict):
            raise fault(errors.MALFORMED, method=method)
        return answer

    # What is trusted -------------------------------------------------------------------------------------------------

    async def _trust_for(self, server: Server, result: Result) -> Trust:
        """The trust with the validators of a result's epoch, as far as the node leads there."""
        if self._trust is None or self.tip is None or result.anchor.header.epoch > self._trust.record.epoch:
            await self._follow(server)
        assert self._trust is not None, "followed"
        return self._trust

    async def _follow(self, server: Server) -> Header:
        """Follow one node to its tip; nothing is kept of a node whose tip does not hold."""
        trust = self._trust.copy() if self._trust is not None else await self._begin(server)
        links = list(self._links)
        while True:
            known = len(links)
            answer = await self._step(server, trust, links)
            tip = _noun(Anchor, answer, "tip_proof")
            if tip.header.epoch <= trust.record.epoch or len(links) == known:
                break
        header = trust.verify(tip)
        await self._check_tip(server, header, trust, links)
        self._trust, self._links, self.tip = trust, links, header
        return header

    async def _step(self, server: Server, trust: Trust, links: list[EpochLink], **params: Any) -> Any:
        """Follow the next epochs, as many as one answer holds; the answer, whose tip is of one of them or further."""
        answer = await self._call(server, "chain_light", epoch=str(trust.record.epoch), **params)
        parts = answer.get("links")
        if not isinstance(parts, list) or len(links) + len(parts) > EPOCHS_MAX:
            raise fault(errors.MALFORMED, method="chain_light")
        for part in parts:
            link = _decoded(EpochLink, part)
            trust.follow(link)
            links.append(link)
        return answer

    async def _begin(self, server: Server) -> Trust:
        """Trust in the validators that the genesis document names."""
        raw = bytearray()
        await server.download(GENESIS_PATH, raw.extend, bytes_max=DOCUMENT_BYTES_MAX)
        document = read_document(bytes(raw))
        if chain_id(document) != self._chain:
            raise fault(errors.PROOF_CHAIN, chain=chain_id(document), expected=self._chain)
        self._document = document_encoding(document)
        return Trust(
            chain=self._chain, depth=document.state_depth, record=first_record(document), verify_many=self._verify
        )

    async def _check_tip(self, server: Server, tip: Header, trust: Trust, links: list[EpochLink]) -> None:
        """Refuse a tip that is too old, or whose history is not the one that is known."""
        if self._age_ms_max is not None and (age_ms := wall_ms() - tip.time_ms) > self._age_ms_max:
            why = f"the newest block shown is {age_ms // 1000} seconds old"
            raise fault(errors.PROOF_HISTORY, height=tip.height, why=why)
        if self.tip is not None:
            known = Checkpoint(self.tip.height, block_id(self.tip))
        elif self._checkpoint is not None:
            known = self._checkpoint
        else:
            return
        if tip.height < known.height:
            raise fault(errors.PROOF_HISTORY, height=tip.height, why=f"block {known.height} is known to be final")
        if tip.height == known.height:
            found = block_id(tip)
        else:
            found = block_id(await self._in_history(server, known.height, trust, links))
        if found != known.block_id:
            why = "another block is known to be final at this height"
            raise fault(errors.PROOF_HISTORY, height=known.height, found=found, known=known.block_id, why=why)

    async def _in_history(self, server: Server, height: int, trust: Trust, links: list[EpochLink]) -> Header:
        """The header of a height, out of the history of the node's tip of this moment."""
        answer = await self._step(server, trust, links, height=str(height))
        proof = _noun(HistoryProof, answer, "history")
        header = proof.verify(trust)
        if header.height != height:
            raise fault(errors.PROOF_QUESTION, height=header.height)
        return header


def _noun(kind: type[N], answer: Any, name: str) -> N:
    return _decoded(kind, answer.get(name))


def _decoded(kind: type[N], text: object) -> N:
    if not isinstance(text, str):
        raise fault(errors.MALFORMED, expected=kind.__name__)
    try:
        return decode(kind, from_hex(text))
    except (DecodeError, ValueError) as error:
        raise fault(errors.MALFORMED, expected=kind.__name__, why=str(error)) from error


def _lie(server: Server, reason: Fault) -> ClientError:
    return local_error(errors.SERVER_LIES, url=server.url, found=reason.spec.name, why=str(reason))
