"""The stand-alone verifier: it accepts what is genuine, and refuses each forgery with its reason, without cccnode."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode import evidence_verifier
from cccnode.codec import decode, encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import EPOCH, tagged
from cccnode.crypto.merkle import Branch
from cccnode.evidence_verifier import REASONS, Refused, verify
from cccnode.node import proving
from cccnode.types.finality import Past
from cccnode.types.proofs import EVIDENCE_VERSION, Evidence, Result
from cccnode.types.validators import EpochRecord
from genesis.document import document_encoding
from tests.support.proven import SignedCouncil, proven_network, stored

STRANGER = bytes(range(64))


class Case:
    """A genuine file, and the ways to forge it."""

    def __init__(self, network: SignedCouncil, evidence: Evidence) -> None:
        self.network, self.genesis = network, network.demo.genesis.chain
        self.evidence = evidence
        self.raw = encode(evidence)

    def with_(self, **changes: Any) -> bytes:
        return encode(replace(self.evidence, **changes))

    def transaction(self, **changes: Any) -> bytes:
        return self.with_(transactions=(replace(self.evidence.transactions[0], **changes),))

    def group(self, **changes: Any) -> bytes:
        return self.with_(groups=(replace(self.evidence.groups[0], **changes),))

    def state(self, **changes: Any) -> bytes:
        return self.group(proof=replace(self.evidence.groups[0].proof, **changes))

    def block(self, **changes: Any) -> bytes:
        return self.with_(blocks=(replace(self.evidence.blocks[0], **changes),))

    def anchor(self, header: dict[str, Any] | None = None, **certificate: Any) -> bytes:
        """Another header, or another certificate, under the proof of the group."""
        result = self.evidence.groups[0].result
        anchor = replace(
            result.anchor,
            header=replace(result.anchor.header, **(header or {})),
            certificate=replace(result.anchor.certificate, **certificate),
        )
        return self.group(result=replace(result, anchor=anchor))

    def link(self, number: int, **changes: Any) -> bytes:
        links = list(self.evidence.links)
        links[number] = replace(links[number], **changes)
        return self.with_(links=tuple(links))


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    with proven_network() as network:
        yield Case(network, make_evidence(network))


def make_evidence(network: SignedCouncil) -> Evidence:
    """One proof of each kind: a transfer, a balance, an absent group, a block."""
    prover, account = network.prover(), network.demo.account(0)
    found = stored(network, network.sent[0])
    return Evidence(
        version=EVIDENCE_VERSION,
        genesis=document_encoding(network.demo.genesis.document),
        links=tuple(network.links()),
        transactions=(asyncio.run(prover.transaction(found, 0)),),
        groups=(asyncio.run(prover.group(b"b/" + account, None, 0)), asyncio.run(prover.group(b"none", None, 0))),
        blocks=(asyncio.run(prover.events(found.height, 0)),),
    )


def altered(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def fewer(case: Case) -> bytes:
    """A certificate with one signature less than a quorum."""
    certificate = case.evidence.groups[0].result.anchor.certificate
    bitmap = certificate.bitmap[0] & (certificate.bitmap[0] - 1)
    return case.anchor(bitmap=bytes([bitmap]), signatures=certificate.signatures[1:])


def swapped(case: Case) -> bytes:
    first, second, *rest = case.evidence.groups[0].result.anchor.certificate.signatures
    return case.anchor(signatures=(second, first, *rest))


def other_certificate(case: Case) -> bytes:
    """A genuine certificate, of another block."""
    other = case.evidence.links[-1].last.certificate
    return case.anchor(**{name: getattr(other, name) for name in other.__struct_fields__})


def old_set(case: Case) -> bytes:
    """A genuine end of an epoch says that it reports the group: the header of another time."""
    result = case.evidence.groups[0].result
    return case.group(result=replace(result, anchor=case.evidence.links[0].last))


def own_validators(case: Case) -> bytes:
    """An epoch whose validators the forger chose."""
    record = case.evidence.links[1].record
    mine = replace(record.validators[0], consensus_key=STRANGER[:32])
    return case.link(1, record=replace(record, validators=(mine, *record.validators[1:])))


def prolonged_epoch(case: Case) -> bytes:
    """The last link is left out, so that the validators before it seem to go on."""
    header = case.evidence.groups[0].result.anchor.header
    return replace_links(case, case.evidence.links[:-1]) if header.epoch else b""


def replace_links(case: Case, links: Any) -> bytes:
    return case.with_(links=tuple(links))


def other_past(case: Case) -> Past:
    return replace(case.evidence.blocks[0].block, header=case.evidence.links[0].last.header)


def not_the_end(case: Case) -> bytes:
    """An ordinary block is said to end the newest epoch."""
    anchor = case.evidence.groups[0].result.anchor
    return replace_links(case, [*case.evidence.links, replace(case.evidence.links[-1], last=anchor)])


def other_result(case: Case) -> Any:
    """What another block gave, under the same header."""
    anchor, prover = case.evidence.blocks[0].result.anchor, case.network.prover()
    row, before = prover._row(1), prover._row(0).results
    path = merkle.inclusion_path(1, anchor.header.exec_height + 1, before, prover._range(proving._result))
    return Result(1, row.state_root, row.receipts_root, path, anchor)


def other_receipt(case: Case) -> bytes:
    """A genuine receipt of the same block."""
    receipts = case.evidence.blocks[0].receipts
    other = next(i for i, raw in enumerate(receipts) if raw != case.evidence.transactions[0].receipt)
    return case.transaction(receipt=receipts[other], receipts=merkle.branch(receipts, other))


def late_header(case: Case) -> bytes:
    """A link that ends an epoch twice: its height lies outside of the next one."""
    record = case.evidence.links[0].record
    header = replace(case.evidence.links[0].last.header, epoch=1, epoch_record_hash=tagged(EPOCH, encode(record)))
    last = replace(case.evidence.links[1].last, header=header)
    return case.link(1, last=last)


FORGERIES: dict[str, tuple[str, Callable[[Case], bytes]]] = {
    "cut off": ("malformed", lambda case: case.raw[:-1]),
    "something added": ("malformed", lambda case: case.raw + b"\x00"),
    "not an evidence file": ("malformed", lambda case: encode(["ccc/other", 1])),
    "another version": ("version", lambda case: case.raw.replace(b"ccc/evidence\x01", b"ccc/evidence\x02")),
    "empty": ("nothing", lambda case: case.with_(transactions=(), groups=(), blocks=())),
    "another genesis": ("genesis", lambda case: case.with_(genesis=altered(case.evidence.genesis, 40))),
    "another chain": ("chain", lambda case: case.anchor({"chain": bytes(32)})),
    "a link left out": ("unknown", lambda case: replace_links(case, case.evidence.links[1:])),
    "links out of order": ("gap", lambda case: replace_links(case, [case.evidence.links[0], *case.evidence.links])),
    "truncated epochs": ("unknown", prolonged_epoch),
    "an ordinary block ends an epoch": ("end", not_the_end),
    "own validators": ("successors", own_validators),
    "another set in the header": ("set", lambda case: case.anchor({"epoch_record_hash": bytes(32)})),
    "a header outside of its epoch": ("outside", late_header),
    "a changed state root": ("other", lambda case: case.anchor({"state_root": bytes(32)})),
    "a changed time": ("other", lambda case: case.anchor({"time_ms": 1})),
    "a certificate of another block": ("other", other_certificate),
    "a notarization": ("kind", lambda case: case.anchor(kind=1)),
    "too few signatures": ("quorum", fewer),
    "a stray signer": ("quorum", lambda case: case.anchor(bitmap=b"\xff")),
    "no signature": ("quorum", lambda case: case.anchor(bitmap=b"\x00", signatures=())),
    "swapped signatures": ("signature", swapped),
    "a forged signature": ("signature", lambda case: case.anchor(signatures=(STRANGER,) * len(
        case.evidence.groups[0].result.anchor.certificate.signatures))),
    "a header of another time": ("result", old_set),
    "a forged result": ("result", lambda case: case.group(
        result=replace(case.evidence.groups[0].result, receipts_root=bytes(32)))),
    "another height": ("result", lambda case: case.group(result=replace(case.evidence.groups[0].result, height=1))),
    "another block in the history": ("history", lambda case: case.block(block=other_past(case))),
    "a block with the result of another": ("heights", lambda case: case.block(result=other_result(case))),
    "a changed transaction": ("transaction", lambda case: case.transaction(
        raw=altered(case.evidence.transactions[0].raw, 60))),
    "a transaction elsewhere": ("transaction", lambda case: case.transaction(batch=Branch(0, ()))),
    "a changed receipt": ("receipt", lambda case: case.transaction(
        receipt=altered(case.evidence.transactions[0].receipt, 40))),
    "the receipt of another": ("receipt", lambda case: case.transaction(
        receipt=case.evidence.blocks[0].receipts[-1])),
    "another transaction's place and receipt": ("stranger", other_receipt),
    "a receipt withheld": ("receipts", lambda case: case.block(receipts=case.evidence.blocks[0].receipts[:-1])),
    "receipts out of order": ("receipts", lambda case: case.block(receipts=case.evidence.blocks[0].receipts[::-1])),
    "a receipt added": ("receipts", lambda case: case.block(receipts=case.evidence.blocks[0].receipts * 2)),
    "an item withheld": ("state", lambda case: case.state(items=())),
    "a hidden item": ("hidden", lambda case: case.state(hidden=((b"x", bytes(32)),))),
    "an item added": ("state", lambda case: case.state(items=(
        *case.evidence.groups[0].proof.items, (b"\xff", b"\x01")))),
    "an item twice": ("order", lambda case: case.state(items=case.evidence.groups[0].proof.items * 2)),
    "a changed balance": ("state", lambda case: case.state(items=tuple(
        (name, altered(value)) for name, value in case.evidence.groups[0].proof.items))),
    "another account's": ("state", lambda case: case.group(group=b"b/" + bytes(20))),
    "a shorter path": ("state", lambda case: case.state(path=case.evidence.groups[0].proof.path[:-1])),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries_are_refused(case: Case, forgery: str) -> None:
    """Each has its reason."""
    reason, forge = FORGERIES[forgery]
    forged = forge(case)
    assert forged != case.raw
    with pytest.raises(Refused) as refused:
        verify(forged, case.genesis)

    assert reason == refused.value.args[0], refused.value.args


def test_the_genuine_file_holds(case: Case) -> None:
    """It proves a transaction, two groups and a block, of this network and no other."""
    found = verify(case.raw, case.genesis)
    assert ["network", "transaction", "group", "group", "block"] == [kind for kind, _ in found]
    assert case.evidence.groups[0].proof.items == tuple(map(tuple, found[2][1]["items"]))
    with pytest.raises(Refused, match="genesis"):
        verify(case.raw, bytes(32))


def test_every_byte_counts(case: Case) -> None:
    """Whatever byte of a small file is changed, and however, it is refused."""
    proof = asyncio.run(case.network.prover().events(1, 0))
    assert 0 == proof.result.anchor.header.epoch
    small = encode(replace(case.evidence, links=(), transactions=(), groups=(), blocks=(proof,)))
    verify(small, case.genesis)
    for at in range(len(small)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(small)
            changed[at] ^= flip
            with pytest.raises(Refused):
                verify(bytes(changed), case.genesis)


@given(st.data())
def test_changed_bytes_of_a_large_file(case: Case, data: Any) -> None:
    """Any byte of the whole file, changed in any way, is refused."""
    at = data.draw(st.integers(0, len(case.raw) - 1))
    changed = bytearray(case.raw)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Refused):
        verify(bytes(changed), case.genesis)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=70) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=20),
)


@given(_VALUES)
def test_the_same_encoding(value: Any) -> None:
    """Its own reader and writer of MessagePack agree with the project's, for values of every size class."""
    assert encode(value) == evidence_verifier.encode(value)
    assert value == evidence_verifier.decode(encode(value))


@pytest.mark.parametrize("size", [31, 32, 255, 256, 65_535, 65_536])
def test_the_same_encoding_of_long_values(size: int) -> None:
    """Each form of a length."""
    for value in ("x" * size, b"x" * size, [1] * size):
        assert encode(value) == evidence_verifier.encode(value)
        assert value == evidence_verifier.decode(encode(value))


@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    """Nothing but a named reason comes of garbage."""
    with pytest.raises(Refused):
        verify(raw, bytes(32))


def test_the_record_is_the_same(case: Case) -> None:
    """What it makes of the genesis document is the first epoch's record."""
    record = decode(
        EpochRecord, evidence_verifier.encode(evidence_verifier.Trust(case.evidence.genesis, case.genesis).records[0])
    )
    assert case.evidence.links[0].last.header.epoch_record_hash == tagged(EPOCH, encode(record))


# As a program of its own


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The file alone, where cccnode cannot be imported: `-I` takes away the folder and the environment."""
    program = (
        "import runpy, sys\n"
        "sys.path[:] = [p for p in sys.path if not __import__('os').path.isdir(p + '/cccnode')]\n"
        "try:\n    import cccnode\nexcept ImportError:\n    pass\nelse:\n    sys.exit('cccnode is here')\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program, str(folder / "verifier.py"), *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alone")
    shutil.copyfile(evidence_verifier.__file__, path / "verifier.py")
    return path


def test_alone(case: Case, folder: Path) -> None:
    """It says in two languages what a genuine file proves, and exits with 0."""
    (folder / "good").write_bytes(case.raw)
    english = run(folder, "good", "--genesis", "0x" + case.genesis.hex())
    assert (0, "") == (english.returncode, english.stderr)
    for part in ("epoch changes", "was decided in block", "it succeeded", "held exactly these", "PROVEN"):
        assert part in english.stdout
    thai = run(folder, "good", "--genesis", case.genesis.hex(), "--lang", "th")
    assert 0 == thai.returncode
    balance = case.network.replica().store.state.group(case.evidence.groups[0].group)[b"uccc"]
    assert f'"uccc" = {decode(int, balance)}' in english.stdout
    assert re.search("[\u0e00-\u0e7f]", thai.stdout)


def test_forgeries_alone(case: Case, folder: Path) -> None:
    """Twenty and more forgeries are refused by the program, each with its reason in the language asked for."""
    for number, (reason, forge) in enumerate(FORGERIES.values()):
        (folder / "bad").write_bytes(forge(case))
        lang = ("en", "th")[number % 2]
        refused = run(folder, "bad", "--genesis", case.genesis.hex(), "--lang", lang)
        assert (1, "") == (refused.returncode, refused.stderr)
        assert REASONS[reason][number % 2] in refused.stdout
    assert 20 <= len(FORGERIES)


def test_usage_alone(folder: Path) -> None:
    """No such file, or a hash that is none: 2, on standard error."""
    assert 2 == run(folder, "nothing", "--genesis", "00").returncode
    assert 2 == run(folder, "verifier.py", "--genesis", "xyz").returncode


def test_it_stays_small() -> None:
    """Somebody reads the file before relying on it: fewer than 400 lines, and two imports that are not Python's."""
    text = Path(evidence_verifier.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    imports = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert {"nacl"} == imports - set(sys.stdlib_module_names)
