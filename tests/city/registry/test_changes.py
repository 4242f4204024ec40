"""What organisations decide: admission, removal, candidates with their receipts, settings."""

from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.city.bank import BankTransfer
from cccnode.city.members import errors as members_errors
from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.state import Kind, Pillar, Status, read_account
from cccnode.city.registry import errors
from cccnode.city.registry.changes import RECEIPT_HEIGHTS_MAX
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    Change,
    RegistryApprove,
    RegistryLeave,
    RegistryPropose,
    RegistryRemoveNode,
    RemoveOrganisation,
    RemoveValidator,
    SetLimits,
    SetTimers,
)
from cccnode.city.registry.record import registered_nodes
from cccnode.city.registry.state import (
    CHECKPOINT_HEIGHTS,
    NodeRecord,
    Organisation,
    Standing,
    node_owner,
    organisation_account,
    write_consensus_key,
    write_node,
    write_organisation,
)
from cccnode.codec import Malformed, decode, encode
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.state import writes_of
from cccnode.types.limits import GROUP_ITEMS_MAX, VALIDATORS_MAX
from cccnode.types.readiness import VERSION_CHARS_MAX
from cccnode.types.transaction import account_id
from cccnode.types.validators import Limits, Timers
from tests.city.registry.town import Town

WEAK = sorted(SMALL_ORDER)[5]


def _refused(town: Town, change: Change, by: str = "org-00") -> str:
    return town.send(by, RegistryPropose(change, False))


# -- organisations ---------------------------------------------------------------------------------------------------


def test_admission() -> None:
    """A partner comes with record, account and nodes; its account acts at once, when somebody gave it money."""
    town = Town(4, peers=0)
    change = town.admission("hospital", nodes=2)
    town.decide(change)
    account = organisation_account(town.overlay, "hospital")
    assert account is not None
    town.accounts["hospital"] = account

    record = read_account(town.overlay, account)
    assert record is not None
    assert (Kind.ORGANISATION, Pillar.PRIVATE, Status.ACTIVE, "hospital", 1) == (
        record.kind,
        record.pillar,
        record.status,
        record.organisation,
        record.threshold,
    )
    row = town.ask("organisations")[-1]
    assert ("hospital", 4, Standing.ACTIVE, None, account) == (
        row.name,
        row.number,
        row.standing,
        row.consensus_key,
        row.account,
    )
    assert 2 == sum(row.organisation == "hospital" for row in registered_nodes(town.state))
    assert "tx/INSUFFICIENT_FEE_BALANCE" == town.send("hospital", RegistryLeave())
    town.send("org-00", _money(account))
    assert "ok" == town.send("hospital", RegistryLeave())


def _money(account: bytes) -> BankTransfer:
    return BankTransfer(account, "uccc", 5_000)


def test_keys_of_an_admitted_account() -> None:
    """The account's id is that of the first key given, and its keys stand sorted."""
    town = Town(4, peers=0)
    keys = tuple(WeightedKey(town.new_key().public_key, weight) for weight in (2, 1, 1))
    change = town.admission("lab", keys=keys, threshold=3)
    town.decide(change)
    account = organisation_account(town.overlay, "lab")
    assert account is not None
    record = read_account(town.overlay, account)

    assert account_id(keys[0].key) == account
    assert record is not None
    assert tuple(sorted(keys, key=lambda row: row.key)) == record.keys


def test_invalid_admission() -> None:
    """A taken name, keys that are used, weak, double or too light, and nodes that are unfit are refused."""
    town = Town(4, peers=1)
    good = town.admission("lab")
    (row,) = good.keys
    used = town.owners["org-02"].public_key
    (node,) = good.nodes
    foreign = next(n for n in registered_nodes(town.state))
    cases = [
        (replace(good, name="org-04"), errors.NAME_TAKEN),
        (replace(good, keys=(WeightedKey(used),)), members_errors.PK_USED),
        (replace(good, keys=(row, WeightedKey(used))), members_errors.PK_USED),
        (replace(good, keys=(row, row)), members_errors.PK_USED),
        (replace(good, keys=(row, WeightedKey(WEAK))), errors.WEAK_KEY),
        (replace(good, threshold=0), errors.THRESHOLD),
        (replace(good, threshold=2), errors.THRESHOLD),
        (replace(good, nodes=(node, node)), errors.NODE_KNOWN),
        (replace(good, nodes=(replace(node, certificate=foreign.certificate),)), errors.NODE_KNOWN),
        (replace(good, nodes=(replace(node, certificate=b"x"),)), errors.CERTIFICATE),
    ]

    assert [spec.name for _, spec in cases] == [_refused(town, change) for change, _ in cases]
    assert "ok" == _refused(town, good)


@pytest.mark.parametrize("name", ["", "A", "-a", "a" * 65, "a b", "a\n", "ท"])
def test_invalid_name(name: str) -> None:
    """Names read like those of the genesis document."""
    fields = encode([1, name, 1, [[bytes(32), 1]], 1, []])
    with pytest.raises(Malformed):
        decode(AdmitOrganisation, fields)


def test_admitted_while_waiting() -> None:
    """A proposal that another one overtook is refused when it passes, and nothing is half done."""
    town = Town(4, peers=0)
    first, second = town.admission("lab"), replace(town.admission("lab2"), name="lab")
    one = town.propose("org-00", first)
    two = town.propose("org-00", second)
    for name in ("org-01", "org-02"):
        town.block((name, RegistryApprove(one, False)), (name, RegistryApprove(two, False)))

    assert ("registry", "refused", two, errors.NAME_TAKEN.name, "name=lab") == town.events[-1]
    assert [two] == [row.number for row in town.ask("proposals")]


def test_full() -> None:
    """The network holds 256 organisations, those that left included."""
    town = Town(4, peers=0)
    overlay = town.overlay
    for number in range(4, GROUP_ITEMS_MAX):
        write_organisation(overlay, f"x{number}", Organisation(number, Pillar.NONE, Standing.REMOVED, 0))
    overlay.commit()
    town.state.apply(writes_of(overlay))

    assert errors.FULL.name == _refused(town, town.admission("one-more"))


def test_remove_organisation() -> None:
    """A removed partner is out of validators, nodes and say; its account and its money stay."""
    town = Town(5, peers=0)
    town.spin(5)
    assert "executed" in town.decide(RemoveOrganisation("org-01"), by=["org-00", "org-02", "org-03"])

    assert ["validator_removed", "node_removed", "removed", "executed"] == [event[1] for event in town.events[1:]]
    assert errors.NOT_ACTIVE.name == town.send("org-01", RegistryLeave())
    assert "ok" == town.send("org-01", _money(town.accounts["org-00"]))
    town.settle()
    assert ["org-00", "org-02", "org-03", "org-04"] == town.members
    assert None is node_owner(town.overlay, town.demo.partners[1].node_key)
    assert [Standing.REMOVED] == [row.standing for row in town.ask("organisations") if row.name == "org-01"]


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        (RemoveOrganisation("nobody"), errors.UNKNOWN_ORGANISATION),
        (RemoveValidator("nobody"), errors.UNKNOWN_ORGANISATION),
        (RemoveOrganisation("org-05"), errors.NOT_ACTIVE),
        (RemoveValidator("org-05"), errors.NOT_ACTIVE),
        (RemoveValidator("org-04"), errors.NOT_VALIDATOR),
    ],
)
def test_invalid_removal(change: Change, spec: Any) -> None:
    """Only who is there can be removed."""
    town = Town(4, peers=2)
    assert "ok" == town.send("org-05", RegistryLeave())

    assert spec.name == _refused(town, change)


# -- candidates ------------------------------------------------------------------------------------------------------


def test_add_validator() -> None:
    """A candidate validates after it has its share and f + 1 others reach it, from the next epoch on."""
    town = Town(4)
    town.spin(40)
    number = town.propose("org-04", town.candidacy("org-04"))
    for name, reached in (("org-00", False), ("org-01", False), ("org-02", True)):
        assert "ok" == town.send(name, RegistryApprove(number, reached))
    (row,) = town.ask("proposals")
    assert (3, 3, 1, 2, False) == (row.approving, row.needed, row.reaching, row.reach_needed, row.passed)

    assert "ok" == town.send("org-00", RegistryApprove(number, True))
    assert "executed" == town.events[-1][1]
    key = town.consensus["org-04"].public_key
    assert ("registry", "validator_added", "org-04", key, "0.1.0") == town.events[-2]
    assert key == town.turn().validators[-1].consensus_key


def test_a_candidate_does_not_vouch_for_itself() -> None:
    """Its own word that it is reached does not count, even where its approval would."""
    town = Town(4, parameters={"registry": {"add_validator": "more than 1/2 of organisations within 60000 ms"}})
    town.spin(4)
    number = town.propose("org-04", town.candidacy("org-04"))
    assert "ok" == town.send("org-04", RegistryApprove(number, True))

    (row,) = town.ask("proposals")
    assert (1, 0) == (row.approving, row.reaching)


def test_invalid_receipts() -> None:
    """A receipt of another organisation, node, height, root or key is refused, each by its name."""
    town = Town(4, peers=2)
    town.spin(70)
    good = town.receipt("org-04")
    used = town.demo.partners[1].consensus
    other_node = town.demo.partners[5].node_key
    heights = [row.height for row in town.ask("checkpoints")]
    cases = [
        (town.receipt("org-05"), errors.RECEIPT_SUBJECT),
        (town.receipt("org-04", node_key=other_node), errors.RECEIPT_SUBJECT),
        (town.receipt("org-04", node_key=bytes(32)), errors.RECEIPT_SUBJECT),
        (town.receipt("org-04", height=heights[-1] + 1), errors.RECEIPT_STALE),
        (town.receipt("org-04", height=heights[-1] + 32), errors.RECEIPT_STALE),
        (town.receipt("org-04", state_root=bytes(32)), errors.RECEIPT_ROOT),
        (town.receipt("org-04", height=heights[-2]), errors.RECEIPT_ROOT),
        (town.receipt("org-04", key=used), errors.KEY_USED),
        (replace(good, version="0.2.0"), errors.PROOF),
        (replace(good, signature=bytes(64)), errors.PROOF),
        (replace(good, consensus_key=WEAK), errors.WEAK_KEY),
    ]

    assert [0, 32, 64] == heights
    assert [spec.name for _, spec in cases] == [_refused(town, AddValidator("org-04", row)) for row, _ in cases]
    assert errors.UNKNOWN_ORGANISATION.name == _refused(town, AddValidator("nobody", good))
    assert errors.IS_VALIDATOR.name == _refused(town, AddValidator("org-01", town.receipt("org-01")))
    assert "ok" == _refused(town, AddValidator("org-04", good))


def test_receipts_grow_old() -> None:
    """A receipt is good for as long as its checkpoint is remembered: 2,048 heights."""
    town = Town(4)
    town.spin(2)
    first, second = town.candidacy("org-04"), town.candidacy("org-04")
    town.jump(RECEIPT_HEIGHTS_MAX - 1)

    assert "ok" == _refused(town, first)
    assert errors.RECEIPT_STALE.name == _refused(town, second)


def test_a_receipt_of_a_removed_node() -> None:
    """The candidate's node must be registered still when the change is carried out."""
    town = Town(4)
    town.spin(4)
    number = town.propose("org-00", town.candidacy("org-04"))
    assert "ok" == town.send("org-04", RegistryRemoveNode(town.demo.partners[4].node_key))
    for name in town.members:
        town.block((name, RegistryApprove(number, True)))

    assert errors.RECEIPT_SUBJECT.name == town.events[-1][3]


def test_versions_are_short() -> None:
    """A version is at most 32 characters: longer ones do not decode, and are cut when a receipt is made."""
    town = Town(4)
    town.spin(4)
    receipt = town.receipt("org-04", version="v" * 40)

    assert "v" * VERSION_CHARS_MAX == receipt.version
    with pytest.raises(Malformed):
        decode(type(receipt), encode(replace(receipt, version="v" * (VERSION_CHARS_MAX + 1))))


def test_full_of_validators() -> None:
    """An epoch has at most 128 validators."""
    town = Town(4)
    town.spin(4)
    overlay = town.overlay
    for number in range(5, VALIDATORS_MAX + 1):
        name = f"x{number}"
        write_organisation(overlay, name, Organisation(number, Pillar.NONE, Standing.ACTIVE, 0))
        write_node(overlay, name, number.to_bytes(32, "big"), NodeRecord(b"x", ()))
        write_consensus_key(overlay, name, number.to_bytes(32, "big"))
    overlay.commit()
    town.state.apply(writes_of(overlay))

    assert errors.FULL.name == _refused(town, town.candidacy("org-04"))


# -- settings --------------------------------------------------------------------------------------------------------


def test_set_limits() -> None:
    """Length of epochs and size of the duplicate window may change; they are in force from the next epoch on."""
    town = Town(4)
    limits = Limits(window_tx_max=1_000_000, epoch_blocks=600, epoch_ms=3_600_000)
    assert "executed" in town.decide(SetLimits(limits))

    assert limits == town.turn().limits


@pytest.mark.parametrize(
    "change",
    [
        SetTimers(Timers(0, 1, 1)),
        SetTimers(Timers(60_001, 50, 30_000)),
        SetTimers(Timers(100, 201, 30_000)),
        SetTimers(Timers(100, 0, 30_000)),
        SetTimers(Timers(100, 50, 0)),
        SetTimers(Timers(100, 50, 86_400_001)),
        SetLimits(Limits(tx_lifetime_max_ms=300_001)),
        SetLimits(Limits(window_tx_max=9_999)),
        SetLimits(Limits(window_tx_max=100_000_001)),
        SetLimits(Limits(epoch_blocks=15)),
        SetLimits(Limits(epoch_blocks=2**62 + 1)),
        SetLimits(Limits(epoch_ms=999)),
    ],
)
def test_invalid_settings(change: Change) -> None:
    """Times and bounds outside their range are refused, and the lifetime of transactions is the genesis's."""
    assert errors.OUT_OF_BOUNDS.name == _refused(Town(4), change)


def test_checkpoints_fit_the_receipts() -> None:
    """As many checkpoints are remembered as a receipt may be old."""
    assert 64 * CHECKPOINT_HEIGHTS == RECEIPT_HEIGHTS_MAX
