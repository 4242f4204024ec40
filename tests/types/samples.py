"""One sample of every noun that is hashed, signed, sent or stored, for the golden vectors.

`python -m tests.types.samples > tests/vectors/nouns.json` writes the vectors anew: that approves a format change.
"""

import json
import sys

from cccnode.city import CITY
from cccnode.city.bank import BankMulti, BankTransfer
from cccnode.city.bank.messages import Output
from cccnode.city.bank.state import Asset, Policy
from cccnode.city.evidence import EvidenceReport
from cccnode.city.evidence.state import Record
from cccnode.city.members import MemApply, MemRotateKeys
from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Account, KeyRecord, Kind, Params, Pillar, Status
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    ChangeKind,
    Electorate,
    NodeOffer,
    RegistryAddNode,
    RegistryApprove,
    RegistryLeave,
    RegistryPause,
    RegistryPropose,
    RegistryRemoveNode,
    RegistryRotateKey,
    RegistryWithdraw,
    RemoveOrganisation,
    RemoveValidator,
    SetLimits,
    SetPolicy,
    SetTimers,
)
from cccnode.city.registry.messages import Policy as ChangePolicy
from cccnode.city.registry.record import RegisteredNode
from cccnode.city.registry.state import (
    Approval,
    Checkpoint,
    Decision,
    Ending,
    EpochMembers,
    Member,
    NodeRecord,
    OpenProposal,
    Organisation,
    Participation,
    Standing,
)
from cccnode.city.registry.state import (
    Proposal as OpenChange,
)
from cccnode.codec import Noun, encode
from cccnode.crypto.merkle import Frontier
from cccnode.crypto.signing import SigningKey
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.state import module_account
from cccnode.types.addresses import account_text
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, Header, block_id, body_root, result_leaf
from cccnode.types.certificate import Certificate, make_certificate
from cccnode.types.readiness import ReadinessReceipt, readiness_bytes, rotation_bytes
from cccnode.types.receipt import Receipt
from cccnode.types.report import Report
from cccnode.types.transaction import account_id, sign_bytes, sign_transaction, signed_part, transaction_id
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator, epoch_record_hash, node_id
from cccnode.types.vote import Kind as VoteKind
from cccnode.types.vote import Proposal, Vote, nullified, vote_bytes
from tests.support.city import START_MS, demo


def _hash(number: int) -> bytes:
    return bytes([number]) * 32


_KEYS = [SigningKey(_hash(n)) for n in range(1, 4)]
_ALICE, _BOB = account_id(_KEYS[0].public_key), account_id(_KEYS[1].public_key)

_ROTATE = MemRotateKeys((WeightedKey(_hash(7), 2), WeightedKey(_hash(8))), (_hash(9),), 2, None)
_MESSAGES: tuple[Noun, ...] = (
    BankTransfer(_BOB, "uccc", 1_500_000),
    BankMulti((Output(_BOB, "uccc", 2**63 - 1), Output(_ALICE, "thb", 1))),
    MemApply(_hash(5), _hash(6), 1),
    _ROTATE,
)


def _transaction(messages: tuple[Noun, ...], keys: list[SigningKey], payer: bytes | None) -> bytes:
    _, raw = sign_transaction(
        chain=_hash(0xC0),
        account=_ALICE,
        valid_until_ms=START_MS + 60_000,
        salt=bytes(range(8)),
        fee_max=1_000,
        messages=messages,
        keys=keys,
        fee_payer=payer,
    )
    return raw


SIMPLE = _transaction(_MESSAGES[:1], _KEYS[:1], None)
FULL = _transaction(_MESSAGES, _KEYS, _BOB)
SIXTEEN = _transaction(_MESSAGES[:1], [SigningKey(_hash(n)) for n in range(1, 17)], None)

_PROPOSAL = Proposal(300, 299, 70_000, _hash(0xB1))
_CERTIFICATE: Certificate = make_certificate(
    VoteKind.NOTARIZE, _PROPOSAL, {0: bytes(64), 2: b"\x01" * 64, 9: b"\x02" * 64}, 10
)
_BODY = (batch_id([SIMPLE, FULL]), batch_id([SIXTEEN]))
_HEADER = Header(
    version=1,
    chain=_hash(0xC0),
    epoch=1,
    view=300,
    height=70_000,
    parent=_hash(0xB0),
    parent_view=299,
    time_ms=START_MS,
    proposer=3,
    body_root=body_root(_BODY),
    tx_count=3,
    body_bytes=len(SIMPLE) + len(FULL) + len(SIXTEEN),
    exec_height=69_998,
    state_root=_hash(1),
    results_root=_hash(2),
    history_root=_hash(3),
    epoch_record_hash=_hash(4),
    next_epoch_record_hash=_hash(0),
    extra_hash=_hash(0),
)
_RECORD = EpochRecord(
    epoch=1,
    validators=(Validator("org-00", _hash(1), (_hash(2), _hash(3))), Validator("org-01", _hash(4), ())),
    limits=Limits(),
    timers=Timers(),
    features=("a", "b"),
)
_READY = ReadinessReceipt("org-04", _hash(1), _hash(2), 70_000, _hash(3), "0.1.0", bytes(64))
_POLICY = ChangePolicy(2, 3, False, Electorate.VALIDATORS, 86_400_000)
_CHANGES = (
    AdmitOrganisation(
        "org-04", Pillar.PRIVATE, (WeightedKey(_hash(1)),), 1, (NodeOffer(b"certificate", ("10.0.0.1:4000",)),)
    ),
    RemoveOrganisation("org-04"),
    AddValidator("org-04", _READY),
    RemoveValidator("org-04"),
    SetTimers(Timers()),
    SetLimits(Limits()),
    SetPolicy(ChangeKind.ADD_VALIDATOR, _POLICY),
)
_TWICE = (
    Vote(VoteKind.NULLIFY, nullified(300), 2, bytes(64)),
    Vote(VoteKind.FINALIZE, _PROPOSAL, 2, b"\x01" * 64),
)
_REGISTRY: tuple[Noun, ...] = (
    RegistryAddNode(b"certificate", ("127.0.0.1:4000",)),
    RegistryRemoveNode(_hash(1)),
    RegistryRotateKey(_hash(1), bytes(64)),
    RegistryPause(),
    RegistryLeave(),
    RegistryApprove(7, True),
    RegistryWithdraw(7),
    EvidenceReport(1, *_TWICE),
)

NOUNS: dict[str, Noun] = {
    "transaction/simple": CITY.decode(SIMPLE),
    "transaction/full": CITY.decode(FULL),
    "transaction/sixteen signers": CITY.decode(SIXTEEN),
    **{f"message/{type(message).__name__}": message for message in _MESSAGES},
    **{f"message/{type(message).__name__}": message for message in _REGISTRY},
    **{f"message/RegistryPropose/{type(change).__name__}": RegistryPropose(change, False) for change in _CHANGES},
    "readiness receipt": _READY,
    "header": _HEADER,
    "final block": FinalBlock(_HEADER, ((SIMPLE, FULL), (SIXTEEN,)), _CERTIFICATE, (_CERTIFICATE,)),
    "final block/bare": FinalBlock(_HEADER, (), None, ()),
    "proposal": _PROPOSAL,
    "proposal/nullified": nullified(300),
    "vote": Vote(VoteKind.FINALIZE, _PROPOSAL, 2, bytes(64)),
    "certificate": _CERTIFICATE,
    "receipt": Receipt(_hash(1), 2_005, 1_000, (("bank", "transfer", "uccc", _ALICE, _BOB, 5), ("x", "y", None, True))),
    "epoch record": _RECORD,
    "report": Report(
        version="0.1.0",
        wall_ms=START_MS,
        epoch=1,
        view=300,
        height=70_000,
        state_root=_hash(1),
        state="validating",
        reasons=("net/NO_PEERS", "node/CLOCK_SKEW"),
        free_disk_mb=12_345,
        epoch_record_hash=_hash(4),
        root_height=69_984,
        root=_hash(2),
        linked=b"\x05\x01",
        lag_ms=7,
    ),
    "limits": Limits(),
    "timers": Timers(),
    "frontier": Frontier().append(b"a").append(b"b").append(b"c"),
    "state/account": Account(
        kind=Kind.ORGANISATION,
        pillar=Pillar.ACADEMIA,
        status=Status.ACTIVE,
        threshold=2,
        keys=(WeightedKey(_hash(1)), WeightedKey(_hash(2), 255)),
        enc_key=None,
        organisation="org-00",
        since_ms=START_MS,
    ),
    "state/key": KeyRecord(_ALICE, START_MS, None),
    "state/members": Params(),
    "state/asset": Asset("uccc", 6, Policy.FIXED, 10**15, True),
    "state/fees": FeeSchedule("uccc", 1_000, 0),
    "state/organisation": Organisation(0, Pillar.GOVERNMENT, Standing.ACTIVE, START_MS),
    "state/node": NodeRecord(b"certificate", ("127.0.0.1:4000",)),
    "state/policy": _POLICY,
    "state/proposal": OpenChange(7, "org-00", _CHANGES[3], True, START_MS, START_MS + 86_400_000),
    "state/open proposal": OpenProposal(START_MS, "org-00", _hash(1)),
    "state/approval": Approval(True, 70_000),
    "state/decision": Decision(7, "org-00", ChangeKind.REMOVE_VALIDATOR, "org-04", Ending.EXPIRED, 70_000),
    "state/epoch members": EpochMembers(70_000, (Member("org-00", _hash(1)), Member("org-01", _hash(4)))),
    "state/participation": Participation(70_000, 0),
    "state/checkpoint": Checkpoint(70_016, _hash(1)),
    "state/evidence": Record(1, 1, 300, 2, "org-02", _hash(1), *_TWICE, _ALICE, 70_000, START_MS, 7),
    "answer/node": RegisteredNode(_hash(1), "org-00", True, b"certificate", ("127.0.0.1:4000",)),
}  # fmt: skip
"""Every noun by a name that says where it is used."""

_PART = signed_part(SIMPLE, 1)
HASHES: dict[str, bytes] = {
    "transaction id": transaction_id(_PART),
    "transaction sign bytes": sign_bytes(_PART),
    "account id": _ALICE,
    "account of module fees": module_account("fees"),
    "batch id": _BODY[0],
    "body root": _HEADER.body_root,
    "block id": block_id(_HEADER),
    "result leaf": result_leaf(70_000, _hash(1), _hash(2)),
    "epoch record hash": epoch_record_hash(_RECORD),
    "node id": node_id(_hash(1)),
    "vote bytes": vote_bytes(VoteKind.NULLIFY, _hash(0xC0), 1, nullified(300)),
    "readiness bytes": readiness_bytes(_READY),
    "rotation bytes": rotation_bytes(_hash(0xC0), "org-00", _hash(1)),
    "chain of the demo genesis": demo().genesis.chain,
}
"""What is derived from them."""


def vectors() -> dict[str, dict[str, str]]:
    """All of it as text."""
    return {
        "nouns": {name: encode(noun).hex() for name, noun in NOUNS.items()},
        "hashes": {name: value.hex() for name, value in HASHES.items()},
        "texts": {"account": account_text(_ALICE)},
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
