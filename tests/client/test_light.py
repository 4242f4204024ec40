"""The light client: six sets of validators from genesis to the tip, and every kind of lie on the way."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.card import Card, Checkpoint, Contact
from cccnode.client import ClientError
from cccnode.client.light import GENESIS_PATH, Broken, Kept, LightClient
from cccnode.codec import decode, encode
from cccnode.config import RpcSection
from cccnode.crypto.hashing import EPOCH, tagged
from cccnode.crypto.signing import SigningKey
from cccnode.evidence_verifier import verify
from cccnode.rpc.dispatch import Dispatcher
from cccnode.types.block import block_id
from cccnode.types.finality import Anchor, EpochLink
from cccnode.types.promise import BLOCKS_MAX, make_promise
from cccnode.types.proofs import GroupProof, HistoryProof
from cccnode.types.vote import Kind
from tests.support.proven import EPOCHS, ProvenNode, SignedCouncil, proven_network
from tests.support.served import Served

MINUTE_MS = 60_000
Tamper = Callable[[str, dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def network() -> Iterator[SignedCouncil]:
    with proven_network() as made:
        yield made


class Server:
    """A node in this process, which may change its answers."""

    def __init__(self, network: SignedCouncil, url: str, tamper: Tamper | None = None) -> None:
        self.url, self.tamper = url, tamper
        self.document = network.demo.document
        self.calls: list[str] = []
        self._dispatcher = Dispatcher(ProvenNode(network), RpcSection())

    async def call(self, method: str, *, timeout_s: float | None = None, **params: Any) -> Any:
        self.calls.append(method)
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = json.loads(await self._dispatcher.answer(json.dumps(request).encode()))
        if "error" in answer:
            data = answer["error"]["data"]
            raise ClientError(name=data["name"], code=1, text="", hint="", details=data["details"])
        return self.tamper(method, answer["result"]) if self.tamper is not None else answer["result"]

    async def download(self, path: str, write: Callable[[bytes], object], **_: Any) -> int:
        assert GENESIS_PATH == path
        write(self.document)
        return len(self.document)

    async def close(self) -> None:
        pass


def light(network: SignedCouncil, *tampers: Tamper | None, **named: Any) -> LightClient:
    """A client of servers `server-0`, `server-1` ..., each with its way of lying or none."""
    servers = {f"server-{i}": Server(network, f"server-{i}", tamper) for i, tamper in enumerate(tampers or (None,))}
    named = {"chain": network.demo.genesis.chain, **named}
    return LightClient(servers, connect=servers.__getitem__, **named)


def changed(kind: Any, name: str, change: Callable[[Any], Any], method: str = "") -> Tamper:
    """Answers in which one noun is another."""

    def tamper(asked: str, answer: dict[str, Any]) -> dict[str, Any]:
        if name not in answer or (method and asked != method):
            return answer
        noun = change(decode(kind, bytes.fromhex(answer[name][2:])))
        return {**answer, name: "0x" + encode(noun).hex()}

    return tamper


def links(change: Callable[[list[EpochLink]], list[EpochLink]]) -> Tamper:
    """Answers with other epoch changes."""

    def tamper(asked: str, answer: dict[str, Any]) -> dict[str, Any]:
        if "links" not in answer:
            return answer
        found = [decode(EpochLink, bytes.fromhex(text[2:])) for text in answer["links"]]
        return {**answer, "links": ["0x" + encode(link).hex() for link in change(found)]}

    return tamper


def at(number: int, change: Callable[[EpochLink], EpochLink]) -> Tamper:
    """One changed epoch change."""
    return links(lambda found: [change(link) if i == number else link for i, link in enumerate(found)])


def header(anchor: Anchor, **changes: Any) -> Anchor:
    return replace(anchor, header=replace(anchor.header, **changes))


def certificate(anchor: Anchor, **changes: Any) -> Anchor:
    return replace(anchor, certificate=replace(anchor.certificate, **changes))


def resigned(network: SignedCouncil, link: EpochLink, old: EpochLink) -> EpochLink:
    """An end of an epoch that the validators of an older one sign: each key is genuine, and its time is over."""
    return replace(link, last=replace(link.last, certificate=old.last.certificate))


def own_validator(link: EpochLink) -> EpochLink:
    record = link.record
    return replace(
        link, record=replace(record, validators=(replace(record.validators[0], consensus_key=bytes(32)),) * 4)
    )


def own_header(link: EpochLink) -> EpochLink:
    mine = own_validator(link)
    return replace(mine, last=header(mine.last, next_epoch_record_hash=tagged(EPOCH, encode(mine.record))))


LIES: dict[str, tuple[str, Tamper]] = {
    "forged tip": ("proof/CERTIFICATE", changed(Anchor, "tip_proof", lambda tip: header(tip, state_root=bytes(32)))),
    "forged header of an epoch's end": (
        "proof/CERTIFICATE",
        at(2, lambda link: replace(link, last=header(link.last, time_ms=1))),
    ),
    "stale set: the tip is said to be of an earlier epoch": (
        "proof/VALIDATORS",
        changed(Anchor, "tip_proof", lambda tip: header(tip, epoch=1)),
    ),
    "own set": ("proof/VALIDATORS", at(3, own_validator)),
    "own set from a header that names it": (
        "proof/CERTIFICATE",
        at(3, own_header),
    ),
    "replaced certificate": (
        "proof/CERTIFICATE",
        links(lambda found: [*found[:2], replace(found[2], last=replace(
            found[2].last, certificate=found[1].last.certificate)), *found[3:]]),
    ),
    "a notarization": ("proof/CERTIFICATE", changed(Anchor, "tip_proof", lambda tip: certificate(
        tip, kind=Kind.NOTARIZE))),
    "too few signatures": (
        "proof/CERTIFICATE",
        at(1, lambda link: replace(link, last=certificate(
            link.last, signatures=link.last.certificate.signatures[:2], bitmap=b"\x03"))),
    ),
    "forged signatures": (
        "proof/CERTIFICATE",
        at(4, lambda link: replace(link, last=certificate(link.last, signatures=(bytes(64),) * 3))),
    ),
    "an epoch left out": ("proof/HISTORY", links(lambda found: [found[0], *found[2:]])),
    "truncated: the newest epochs are withheld": (
        "proof/VALIDATORS",
        links(lambda found: [link for link in found if link.record.epoch < 4]),
    ),
    "an epoch ended twice": ("proof/HISTORY", links(lambda found: [*found, *found[-1:]])),
    "another chain": ("proof/OTHER_CHAIN", changed(Anchor, "tip_proof", lambda tip: header(tip, chain=bytes(32)))),
    "no hexadecimal": ("core/MALFORMED", lambda asked, answer: {**answer, "tip_proof": "0xzz"}),
    "no links": ("core/MALFORMED", lambda asked, answer: {**answer, "links": 7}),
    "no object": ("core/MALFORMED", lambda asked, answer: [answer]),
    "no noun": ("core/MALFORMED", lambda asked, answer: {**answer, "tip_proof": None}),
}  # fmt: skip


async def test_from_genesis_to_the_tip(network: SignedCouncil) -> None:
    """The genesis hash alone leads over six epoch changes to the tip of the network."""
    client = light(network)
    tip = await client.sync()
    assert (network.tip().header, EPOCHS, {}) == (tip, client.epoch, client.liars)
    assert tip == client.tip


async def test_answers_are_verified(network: SignedCouncil) -> None:
    """Groups, transactions, events and headers, each with its proof; the first question follows the epochs itself."""
    client = light(network)
    store = network.replica().store
    group = b"b/" + network.demo.account(0)
    found = await client.group(group)
    assert store.state.group(group) == found.items
    assert {} == (await client.group(b"nothing", height=found.height)).items
    shown = await client.transaction(network.sent[3])
    assert (network.sent[3], 0) == (shown.receipt.tx_id, shown.receipt.code)
    events = await client.events(shown.header.height)
    assert shown.receipt in events.receipts
    for height in range(client.tip.height):
        assert store.header(height) == await client.header(height)


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_server_is_named(network: SignedCouncil, lie: str) -> None:
    """client/UNPROVEN says which server and what was wrong; nothing of it is believed, and the next server is asked."""
    found, tamper = LIES[lie]
    alone = light(network, tamper)
    with pytest.raises(ClientError) as caught:
        await alone.sync()
    assert ("client/UNPROVEN", "server-0", found) == (
        caught.value.name, caught.value.details["url"], caught.value.details["found"]
    ), caught.value  # fmt: skip
    assert alone.tip is None

    client = light(network, tamper, None)
    assert network.tip().header == await client.sync()
    assert ["server-0"] == list(client.liars)


async def test_lies_after_the_tip(network: SignedCouncil) -> None:
    """A server that was honest so far, and then shows another balance, or answers another question."""
    other = b"b/" + network.demo.account(1)
    honest = [await light(network).group(group) for group in (other, b"nothing")]
    for tamper, found in (
        (changed(GroupProof, "proof", lambda proof: replace(proof, proof=replace(
            proof.proof, items=tuple((name, b"\x7f") for name, _ in proof.proof.items)))), "state/INVALID_PROOF"),
        (changed(GroupProof, "proof", lambda proof: replace(proof, result=replace(
            proof.result, state_root=bytes(32)))), "proof/RESULT"),
        (changed(GroupProof, "proof", lambda _: honest[0].proof), "proof/OTHER_QUESTION"),
    ):  # fmt: skip
        client = light(network, tamper)
        await client.sync()
        with pytest.raises(ClientError) as caught:
            await client.group(b"b/" + network.demo.account(0))
        assert found == caught.value.details["found"]
        with pytest.raises(ClientError, match="UNPROVEN"):
            await client.sync()
    assert {} == honest[1].items


async def test_other_questions(network: SignedCouncil) -> None:
    """A genuine proof of another transaction or block is none for what was asked."""
    one, two = network.sent[:2]
    shown = await light(network).transaction(two)
    block = await light(network).events(2)
    history = decode(HistoryProof, encode(network.prover().history(1, network.tip())))

    def swap(method: str, answer: dict[str, Any]) -> dict[str, Any]:
        new = {"tx_proof": shown.proof, "events_proof": block.proof}.get(method)
        answer = answer if new is None else {**answer, "proof": "0x" + encode(new).hex()}
        return answer | {"history": "0x" + encode(history).hex()} if "history" in answer else answer

    for ask in (
        lambda client: client.transaction(one),
        lambda client: client.events(3),
        lambda client: client.header(3),
    ):
        with pytest.raises(ClientError) as caught:
            await ask(light(network, swap))
        assert "proof/OTHER_QUESTION" == caught.value.details["found"]


async def test_the_genesis_document_is_checked(network: SignedCouncil) -> None:
    """proof/OTHER_CHAIN: the document is not that of the hash."""
    client = light(network, chain=bytes(32))
    with pytest.raises(ClientError) as caught:
        await client.sync()
    assert "proof/OTHER_CHAIN" == caught.value.details["found"]


async def test_checkpoints(network: SignedCouncil) -> None:
    """A card's checkpoint must lie in the history; a history that ends before it, or has another block, is refused."""
    tip = network.tip().header
    known = network.replica().store.header(5)
    card = Card(
        network.demo.genesis.chain, "net", (Contact(bytes(32), "a:1", "server-0"),), Checkpoint(5, block_id(known)), 1
    )
    server = Server(network, "server-0")
    client = LightClient.from_card(card, connect=lambda url: server)
    assert tip == await client.sync()
    assert tip == await light(network, checkpoint=Checkpoint(tip.height, block_id(tip))).sync()

    for height, identity in ((5, bytes(32)), (tip.height, bytes(32)), (tip.height + 1, bytes(32))):
        with pytest.raises(ClientError) as caught:
            await light(network, checkpoint=Checkpoint(height, identity)).sync()
        assert "proof/HISTORY" == caught.value.details["found"]


async def test_truncated_history(network: SignedCouncil) -> None:
    """Who has seen a tip takes no shorter chain for it; who has seen none may ask for a tip of a certain age."""
    early = decode(Anchor, encode(network.links()[2].last))
    shorter = links(lambda found: found[:2])

    def truncated(asked: str, answer: dict[str, Any]) -> dict[str, Any]:
        answer = shorter(asked, answer)
        return answer | {"tip_proof": "0x" + encode(early).hex()} if "tip_proof" in answer else answer

    fooled = light(network, truncated)
    assert early.header == await fooled.sync(), "nothing that it knows says that there is more"

    with pytest.raises(ClientError) as caught:
        await light(network, truncated, age_ms_max=MINUTE_MS).sync()
    assert "proof/HISTORY" == caught.value.details["found"]

    client = light(network, None)
    await client.sync()
    client._servers[0].tamper = lambda asked, answer: {**truncated(asked, answer), "links": []}
    with pytest.raises(ClientError) as caught:
        await client.sync()
    assert "is known to be final" in caught.value.details["why"]


async def test_rewritten_history(network: SignedCouncil) -> None:
    """A tip whose history does not continue the one that was seen is refused."""
    client = light(network)
    await client.sync()
    network.transfer()
    assert network.run(60_000, lambda: network.settled() and network.tip().header.height > client.tip.height)
    client._servers[0].tamper = changed(HistoryProof, "history", lambda proof: replace(proof, consistency=()))
    with pytest.raises(ClientError) as caught:
        await client.sync()
    assert "proof/HISTORY" == caught.value.details["found"]

    again = light(network)
    await again.sync()
    assert network.tip().header == await again.sync()


async def test_a_client_goes_on_over_new_epochs(network: SignedCouncil) -> None:
    """What it learnt serves on; an answer of a newer epoch makes it follow first."""
    client = light(network)
    await client.sync()
    epoch = network.epoch
    network.until_epoch(epoch + 2)
    ids = network.transfer()
    assert network.run(60_000, lambda: network.all_executed(ids) and network.settled())
    network.run(2_000)
    assert 0 == (await client.transaction(ids[0])).receipt.code
    assert client.epoch >= epoch + 2


async def test_nobody_answers() -> None:
    """The last error is told, and client/UNREACHABLE where there is nobody to ask."""
    with pytest.raises(ClientError, match="client/UNREACHABLE"):
        await LightClient([], chain=bytes(32)).sync()


async def test_unprovable_is_no_lie(network: SignedCouncil) -> None:
    """A node that cannot prove something is not called a liar."""
    client = light(network)
    for ask in (client.group(b"x", height=10**6), client.transaction(bytes(32)), client.events(10**6)):
        with pytest.raises(ClientError, match="rpc/NOT_"):
            await ask
    assert {} == client.liars


def test_over_http(network: SignedCouncil, tmp_path: Path) -> None:
    """The same over a real port; what was proven goes into an evidence file that holds by itself."""
    path = tmp_path / "genesis.json"
    path.write_bytes(network.demo.document)
    with Served(ProvenNode(network), files={GENESIS_PATH: path}) as served:

        async def run() -> bytes:
            async with LightClient([served.address], chain=network.demo.genesis.chain) as client:
                shown = await client.transaction(network.sent[0])
                group = await client.group(b"b/" + network.demo.account(0))
                events = await client.events(shown.header.height)
                return encode(client.evidence(transactions=[shown], groups=[group], events=[events]))

        raw = asyncio.run(run())
    found = verify(raw, network.demo.genesis.chain)
    assert ["network", "transaction", "group", "block"] == [kind for kind, _ in found]


def word(network: SignedCouncil, of: bytes, after: int, by: int, **changes: Any) -> bytes:
    """An inclusion promise of the first node."""
    key = SigningKey(network.demo.partners[0].node_seed)
    fields = {"chain": network.demo.genesis.chain, "tx_id": of, "after": after, "by": by}
    promise = make_promise(key.sign, **fields, node_key=key.public_key)
    return encode(replace(promise, **changes))


async def test_promises_are_kept_or_broken(network: SignedCouncil) -> None:
    """The block that decided it, or the receipts of every block that did not; what an evidence file then holds."""
    client, tx_id = light(network), network.sent[0]
    height = network.replica().decision(tx_id).height
    await client.sync()
    kept = await client.promise(word(network, tx_id, height - 2, height + 1))
    broken = await client.promise(word(network, tx_id, height - 4, height - 1))

    assert isinstance(kept, Kept)
    assert height == kept.height
    assert isinstance(broken, Broken)
    assert [height - 3, height - 2, height - 1] == [shown.proof.result.height for shown in broken.blocks]
    found = verify(encode(client.evidence(events=broken.blocks)), network.demo.genesis.chain)
    assert [height - 3, height - 2, height - 1] == [row["height"] for kind, row in found if kind == "block"]


async def test_promises_that_cannot_be_judged(network: SignedCouncil) -> None:
    """Forged ones, and one whose last height nobody has reached."""
    client, tx_id = light(network), network.sent[0]
    await client.sync()
    far = network.replica().store.applied.height
    forged = [
        word(network, tx_id, 3, 5, tx_id=bytes(32)),
        word(network, tx_id, 3, 5, chain=bytes(32)),
        word(network, tx_id, 5, 5),
        word(network, tx_id, 1, 2 + BLOCKS_MAX),
        b"nothing",
    ]
    for raw in forged:
        with pytest.raises(ClientError, match="promise/FORGED"):
            await client.promise(raw)
    with pytest.raises(ClientError, match="promise/OPEN"):
        await client.promise(word(network, bytes(32), far - 1, far + 5))
