"""The ways in: what reads bytes from the network, from disks, from clients and from people."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cccnode import config, keys
from cccnode.card import CARD_PREFIX, Card, card_text, read_card
from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.cli.join_text import JOIN_PREFIX, JoinRequest, read_join
from cccnode.codec import DecodeError, decode, decode_trusted, encode
from cccnode.crypto.signing import SigningKey
from cccnode.driver.epochs import EpochStart
from cccnode.driver.messages import BatchMessage, Have
from cccnode.home import Home
from cccnode.ingress import decode_batch, decode_transactions
from cccnode.ledger.receipts import decode_receipt
from cccnode.rpc import requests
from cccnode.rpc.values import ValueFault, reader, writer
from cccnode.signer.mark import Mark, Marks
from cccnode.signer.messages import PROTOCOL, Ask, Hello, Ping, Pong, Refused, Signed, decode_signer_message
from cccnode.types.addresses import AddressError, account_text, bech32m_encode, parse_account
from cccnode.types.batch import Batch
from cccnode.types.block import FinalBlock, Header
from cccnode.types.errors import Fault
from cccnode.types.finality import EpochLink
from cccnode.types.promise import make_promise, read_promise
from cccnode.types.proofs import EventsProof, GroupProof, TransactionProof
from cccnode.types.receipt import Receipt
from cccnode.types.report import Report
from cccnode.types.restart import RestartCertificate
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind, Proposal, read_vote_bytes, vote_bytes
from consensus.capsule import read_capsule
from consensus.messages import Message, decode_message
from consensus.records import Record, decode_record
from genesis import ceremony
from genesis.bootstrap import make_demo
from genesis.document import _accounts, allocation_bytes, document_bytes, read_document
from p2p.frames import Channel, Splitter, frames
from p2p.messages import (
    BlockMessage,
    ControlMessage,
    LinkMessage,
    TxMessage,
    hello_versions,
    read_block,
    read_control,
    read_link,
    read_tx,
)
from p2p.snapshots import SnapshotMessage, read_snapshot
from storage import copying, records, snapshots
from storage.batches import BatchStore
from storage.blocks import BlockFile
from storage.journal import Journal
from storage.memory import MemoryDisk
from tests.simulation.examples import example
from tests.simulation.fuzzing import EXAMPLES, TEXT, Decoder
from tests.support.city import City
from tests.types.samples import FULL, SIMPLE

CHAIN = City().chain


def examples(kind: Any, salt: int = 0) -> tuple[bytes, ...]:
    """Encodings of some values of a type."""
    rng = random.Random(f"{kind} {salt}")
    return tuple(encode(example(kind, rng)) for _ in range(EXAMPLES))


def decoders(folder: Path) -> Iterator[Decoder]:
    """All of them; `folder` takes the files of those that read files."""
    for group in GROUPS.values():
        yield from group(folder)


def _noun(kind: Any, name: str = "") -> Decoder:
    """What `codec.decode` reads."""
    return Decoder(name or kind.__name__, lambda raw: decode(kind, raw), examples(kind), (DecodeError,), exact=True)


def _wire(_: Path) -> Iterator[Decoder]:
    yield Decoder("consensus message", decode_message, examples(Message), (DecodeError,), exact=True)
    channels: tuple[tuple[str, Any, Callable[[bytes], Any]], ...] = (
        ("link message", LinkMessage, read_link),
        ("control message", ControlMessage, read_control),
        ("block message", BlockMessage, read_block),
        ("tx message", TxMessage, read_tx),
        ("snapshot message", SnapshotMessage, read_snapshot),
        ("manifest of a snapshot", snapshots.Manifest, snapshots.read_manifest),
        ("page of a backup", copying.Page, copying.read_page),
    )
    for name, kind, read in channels:
        yield Decoder(name, read, examples(kind), (Fault,), exact=True)
    yield Decoder("hello of any version", hello_versions, examples(LinkMessage, 1), ())
    yield _noun(BatchMessage, "batch message")
    yield _noun(Have)
    yield _noun(FinalBlock, "final block")
    yield _noun(Report, "report")
    yield _noun(RestartCertificate, "restart certificate")
    yield _noun(copying.Origin, "begin of a backup")
    yield _noun(GroupProof, "state proof")
    yield _noun(TransactionProof, "transaction proof")
    yield _noun(EventsProof, "events proof")
    key = SigningKey(bytes(32))
    word = make_promise(key.sign, chain=CHAIN, tx_id=bytes(32), after=7, by=9, node_key=key.public_key)
    yield Decoder("promise", lambda raw: read_promise(raw, CHAIN), (encode(word),), (Fault,), exact=True)
    yield _noun(EpochLink, "end of an epoch")
    stream = b"".join(piece for channel in Channel for piece in frames(channel, b"payload" * (1 + channel)))
    yield Decoder("frames", _split, (stream, *frames(Channel.BLOCK, b"x" * 5_000)), (Fault,))


def _split(raw: bytes) -> int:
    """A stream that comes in two pieces."""
    splitter, cut, found = Splitter(), len(raw) // 3, 0
    for piece in (raw[:cut], raw[cut:]):
        while piece:
            room = splitter.room()
            size = min(len(room), len(piece))
            room[:size], piece = piece[:size], piece[size:]  # noqa: PLW2901 - what is left of it
            found += len(splitter.filled(size))
    return found


def _transactions(_: Path) -> Iterator[Decoder]:
    yes = lambda messages, signatures, keys_: [True] * len(messages)  # noqa: E731 - a stand-in for the verifier

    def one(raw: bytes) -> Any:
        (verdict,) = decode_transactions(CITY, CHAIN, [raw], yes)
        if isinstance(verdict, Fault):
            raise verdict
        return verdict

    city = City()
    signed = tuple(city.sign(city.transfer(amount=number)) for number in range(1, 4))
    drawn = tuple(raw for raw in (*signed, SIMPLE, FULL, *examples(CITY.transaction)) if len(raw) < 4_000)
    yield Decoder("transaction", one, drawn, (Fault,))
    yield Decoder("own transaction", CITY.decode_trusted, drawn, (Fault,))
    messages = tuple(encode(example(row.kind, random.Random(1))) for row in CITY.messages.values())
    messages = tuple(raw for raw in messages if len(raw) < 4_000)
    yield Decoder("message of a proposal", CITY.decode_message, messages, (Fault,), exact=True)
    batches = (encode(list(signed)), encode([signed[0]]), *examples(Batch))
    yield Decoder("batch", lambda raw: decode_batch(CITY, CHAIN, raw, yes), batches, (Fault,))


def _disk(_: Path) -> Iterator[Decoder]:
    yield Decoder("journal record", decode_record, examples(Record), (DecodeError,), exact=True)
    yield Decoder("receipt", decode_receipt, examples(Receipt), (DecodeError,))
    for kind, name in ((EpochRecord, "epoch record"), (EpochStart, "epoch start"), (Header, "header")):
        yield Decoder(name, _trusted(kind), examples(kind), (DecodeError,))

    disk = MemoryDisk()
    journal, _ = Journal.open(disk, "journal", 1)
    for body in (b"", b"one", b"x" * 200):
        journal.append(body)
    journal.sync()
    path = f"journal/{disk.list('journal')[0]}"

    def reopen(raw: bytes) -> int:
        return len(Journal.open(_disk_with(path, raw), "journal", 1)[1])

    yield Decoder("journal file", reopen, (disk.read(path),), (Fault,))
    batches = BatchStore.open(disk, "batches")
    for number in range(3):
        batches.put(bytes([number]) * 32, encode([b"tx" * number]), 1_000 + number)
    batches.sync()
    place = f"batches/{disk.list('batches')[0]}"

    def rebatch(raw: bytes) -> int:
        store = BatchStore.open(_disk_with(place, raw), "batches")
        return sum(store.get(batch_id) is not None for batch_id in store.ids())

    yield Decoder("batch file", rebatch, (disk.read(place),), (Fault,))
    blocks = BlockFile.open(disk, "blocks")
    for height in range(1, 4):
        blocks.append(height, b"block" * height)
    blocks.sync()
    segment = f"blocks/{disk.list('blocks')[0]}"

    def reblock(raw: bytes) -> int:
        found = BlockFile.open(_disk_with(segment, raw), "blocks")
        return sum(found.read(height) is not None for height in range(5))

    yield Decoder("block file", reblock, (disk.read(segment),), (Fault,))
    framed = records.frame(b"payload")
    yield Decoder("record frame", _framed, (framed, framed * 2), ())


def _trusted(kind: Any) -> Callable[[bytes], Any]:
    return lambda raw: decode_trusted(kind, raw)


def _framed(raw: bytes) -> int:
    return len(list(records.scan(raw, shortest=0, longest=100)))


def _disk_with(path: str, raw: bytes) -> MemoryDisk:
    disk = MemoryDisk()
    disk.replace_file(path, raw)
    return disk


def _files(folder: Path) -> Iterator[Decoder]:
    from p2p.directory import make_certificate  # noqa: PLC0415 - slow, and needed here only
    from tests.consensus.test_capsule import RAW  # noqa: PLC0415 - it plays a network first

    path = folder / "node.key"
    for number, passphrase in enumerate((None, "correct horse")):
        keys.create(folder / f"{number}.key", role=keys.Role.NODE, passphrase=passphrase)
    path.touch(mode=0o600)

    def key_file(raw: bytes) -> Any:
        path.write_bytes(raw)
        return keys.read(path)

    made = tuple((folder / f"{number}.key").read_bytes() for number in range(2))
    yield Decoder("key file", key_file, made, (Fault,), tokens=TEXT, cost=10)

    home = Home(folder)
    settings = folder / "cccnode.toml"

    def settings_file(raw: bytes) -> Any:
        settings.write_bytes(raw)
        return config.load(home, environment={}, file=settings)

    known = [f"{name} = {config.toml_text(value)}" for name, value in _settings(home).items()]
    written = "\n".join(known).encode()
    yield Decoder("settings", settings_file, (b"", written, b'profile = "validator"\n'), (Fault,), tokens=TEXT, cost=10)

    demo = make_demo(4, certify=make_certificate, accounts=2, seed=b"fuzz", time_ms=1)
    document = document_bytes(demo.genesis.document)
    yield Decoder("genesis document", read_document, (document,), (Fault,), tokens=TEXT, cost=10)
    draft = ceremony.draft_bytes(ceremony.begin("fuzz", time_ms=1))
    yield Decoder("genesis draft", ceremony.read_draft, (draft, document), (Fault,), tokens=TEXT, cost=10)
    _, allocation = allocation_bytes(tuple(demo.genesis.accounts))

    def allocation_file(raw: bytes) -> Any:
        return _accounts(raw, "accounts.json")  # what its hash has let through

    yield Decoder("allocation", allocation_file, (allocation,), (Fault,), tokens=TEXT, cost=10)
    yield from _signers()
    yield Decoder("incident capsule", read_capsule, (RAW[:INCIDENT_BYTES], RAW), (Fault,))


INCIDENT_BYTES = 4_000


def _signers() -> Iterator[Decoder]:
    """What a node and its signer say, and what lies on their disks."""
    vote = Proposal(5, 4, 3, bytes(32))
    said = (
        Hello(PROTOCOL, bytes(32)),
        Ask(1, Kind.NOTARIZE, bytes(32), 0, vote),
        Signed(1, bytes(64)),
        Refused(1, "signer/CONFLICT", 0, 5),
        Ping(),
        Pong(),
    )
    yield Decoder("signer message", decode_signer_message, tuple(map(encode, said)), (Fault,))
    mark = Mark(bytes(32), bytes(32), 1, 5, vote, Kind.FINALIZE, vote)

    def marks(raw: bytes) -> Any:
        disk = MemoryDisk()
        disk.replace_file(f"{mark.key.hex()}/{mark.chain.hex()}.mark", raw)
        return Marks(disk, mark.key).known

    yield Decoder("signer mark", marks, (encode(mark),), (Fault,))
    yield Decoder("vote bytes", read_vote_bytes, (vote_bytes(Kind.FINALIZE, bytes(32), 1, vote),), (ValueError,))


def _settings(home: Home) -> dict[str, object]:
    return dict(config.load(home, environment={}).values())


def _texts(_: Path) -> Iterator[Decoder]:
    accounts = tuple(account_text(bytes([number]) * 20).encode() for number in range(3))
    yield Decoder("account", lambda raw: parse_account(raw.decode("latin-1")), accounts, (AddressError,), tokens=TEXT)
    rng = random.Random("cards")
    cards = [example(Card, rng) for _ in range(EXAMPLES)]
    texts = tuple(text for card in cards if (text := _card_text(card)))
    yield Decoder("card", lambda raw: read_card(raw.decode("latin-1")), texts, (Fault,), tokens=TEXT, cost=4)
    yield _noun(Card, "what a card holds")
    bodies = tuple(bytes([1]) + encode(card) for card in cards)
    wrapped = lambda raw: read_card(bech32m_encode(CARD_PREFIX, raw))  # noqa: E731 - as the others stand
    yield Decoder("card behind its checksum", wrapped, bodies, (Fault,), cost=20)
    yield _noun(JoinRequest, "what a join request holds")
    asked = tuple(bytes([1]) + raw for raw in examples(JoinRequest))
    yield Decoder("join request", _join_request, asked, (Fault,), cost=40)


def _card_text(card: Card) -> bytes:
    try:
        return card_text(card).encode()
    except Fault:
        return b""


def _join_request(raw: bytes) -> Any:
    try:
        return read_join(bech32m_encode(JOIN_PREFIX, raw))
    except Fault as refused:
        if refused.spec.name == "join/SIGNATURE":
            return "well formed, and signed by nobody"
        raise


def _rpc(_: Path) -> Iterator[Decoder]:
    calls = (
        b'{"jsonrpc":"2.0","id":1,"method":"tx_submit","params":{"raw":"0x00"}}',
        b'[{"jsonrpc":"2.0","id":"a","method":"node_status"},{"jsonrpc":"2.0","method":"x","params":[1,2]}]',
        b'{"jsonrpc":"2.0","id":null,"method":"block_get","params":{"height":"7","deep":[[{"a":[]}]]}}',
    )
    yield Decoder("RPC request", _request, calls, (Fault,), tokens=TEXT)
    rng = random.Random("values")
    for kind in (BankTransfer, EpochRecord, Header):
        read, write = reader(kind), writer(kind)
        said = tuple(json.dumps(write(example(kind, rng))).encode() for _ in range(EXAMPLES))
        yield Decoder(f"RPC value {kind.__name__}", _value(read), said, (ValueFault, _NoJson), tokens=TEXT)


class _NoJson(Exception):
    """The text is none that the request parser would pass on."""


def _value(read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    def one(raw: bytes) -> Any:
        try:
            value = requests.decode_params(raw)
        except Fault as error:
            raise _NoJson(str(error)) from error
        return read(value)

    return one


def _request(raw: bytes) -> int:
    request = requests.parse(raw)
    for call in request.calls:
        if isinstance(call, requests.Call) and call.params:
            requests.decode_params(call.params)
    return len(request.calls)


GROUPS: dict[str, Callable[[Path], Iterator[Decoder]]] = {
    "wire": _wire,
    "transactions": _transactions,
    "disk": _disk,
    "files": _files,
    "texts": _texts,
    "rpc": _rpc,
}
"""By where the bytes come from."""
