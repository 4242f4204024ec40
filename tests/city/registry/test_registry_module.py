"""Organisations, nodes, validators and policies: what genesis leaves, and what can be asked (D9, J11, J14)."""

import pytest

from cccnode.city import CITY
from cccnode.city.registry.messages import (
    ChangeKind,
    Electorate,
    Policy,
    RegistryAddNode,
    RegistryApprove,
    RegistryPause,
    RegistryPropose,
    RegistryRotateKey,
    RemoveValidator,
    SetPolicy,
    SetTimers,
)
from cccnode.city.registry.queries import NoParams
from cccnode.city.registry.record import epoch_record, registered_nodes
from cccnode.city.registry.state import node_owner
from cccnode.cli.fields import to_noun
from cccnode.cli.options import Options
from cccnode.codec import Noun, decode, encode
from cccnode.ledger.state import DictState, Overlay
from cccnode.rpc.values import reader, writer
from cccnode.types.errors import GENESIS_INVALID, Fault
from cccnode.types.units import DAY_MS
from cccnode.types.validators import EpochRecord, Limits, Timers, epoch_record_hash
from genesis.bootstrap import Demo, make_demo
from tests.city.registry.town import Town
from tests.support.city import START_MS, certify


def _network(validators: int, peers: int) -> tuple[Demo, DictState]:
    demo = make_demo(validators, peers=peers, certify=certify, seed=b"r", time_ms=START_MS)
    state = DictState()
    state.apply(CITY.genesis_writes(demo.genesis))
    return demo, state


def test_epoch_record() -> None:
    """The record lists validators in the order of the document, with the keys of their nodes, and the settings."""
    demo, state = _network(12, peers=2)
    record = epoch_record(state, 7)

    assert [partner.name for partner in demo.partners[:12]] == [row.organisation for row in record.validators]
    assert [(partner.node_key,) for partner in demo.partners[:12]] == [row.node_keys for row in record.validators]
    assert [p.consensus.public_key for p in demo.partners[:12] if p.consensus] == [
        row.consensus_key for row in record.validators
    ]
    assert (7, Limits(), Timers(), ()) == (record.epoch, record.limits, record.timers, record.features)
    assert record == decode(EpochRecord, encode(record))
    assert epoch_record_hash(record) != epoch_record_hash(epoch_record(state, 8))


def test_nodes() -> None:
    """Every node stands with its organisation, certificate and part; a stranger's key belongs to nobody."""
    demo, state = _network(2, peers=1)
    nodes = registered_nodes(state)

    assert [(p.node_key, p.name, p.consensus is not None, p.certificate) for p in demo.partners] == [
        (node.node_key, node.organisation, node.validator, node.certificate) for node in nodes
    ]
    assert ("org-02", None) == (
        node_owner(Overlay(state), demo.partners[2].node_key),
        node_owner(Overlay(state), bytes(32)),
    )


def test_organisations() -> None:
    """Organisations can be asked for, with who acts for them; nodes as the network trusts them."""
    demo, state = _network(2, peers=1)
    organisations = CITY.answer("registry_organisations", state, NoParams())

    assert [(0, "org-00", True), (1, "org-01", True), (2, "org-02", False)] == [
        (row.number, row.name, row.consensus_key is not None)
        for row in organisations  # type: ignore[attr-defined]
    ]
    assert [partner.account for partner in demo.partners] == [
        row.account
        for row in organisations  # type: ignore[attr-defined]
    ]
    assert registered_nodes(state) == CITY.answer("registry_nodes", state, NoParams())


def test_validators() -> None:
    """Each validator says when it led, and what it will be in the next epoch."""
    town = Town(7, peers=1)
    town.spin(8)
    rotation = town.rotation("org-02")
    town.block(("org-02", rotation), ("org-03", RegistryPause()))
    rows = town.ask("validators")

    assert [(1, led) for led in (7, 8, 9, 3, 4, 5, 6)] == [(row.since_height, row.led_height) for row in rows]
    assert all(row.live for row in rows)
    assert rotation.consensus_key == rows[2].next_key != rows[2].consensus_key
    assert None is rows[3].next_key
    assert [2, 3] == [index for index, row in enumerate(rows) if row.next_key != row.consensus_key]
    town = Town(4)
    town.spin(4)
    town.decide(town.candidacy("org-04"))
    last = town.ask("validators")[-1]
    assert ("org-04", None, 0, 0, False) == (
        last.organisation,
        last.consensus_key,
        last.since_height,
        last.led_height,
        last.live,
    )
    assert town.consensus["org-04"].public_key == last.next_key


def test_answers_read_as_json() -> None:
    """Every answer has its JSON form: a proposal says which change it is, and the change reads back from that."""
    town = Town(4)
    town.spin(4)
    changes = [town.admission("lab"), town.candidacy("org-04"), RemoveValidator("org-01"), SetTimers(Timers(100))]
    policy = Policy(1, 2, True, Electorate.ORGANISATIONS, 1_000)
    for number, change in enumerate([*changes, SetPolicy(ChangeKind.SET_LIMITS, policy)]):
        town.propose(town.members[number % 4], change)
    town.block(("org-00", RegistryApprove(1, False)))
    rows = writer(CITY.queries["registry_proposals"].result)(town.ask("proposals"))

    assert ["AdmitOrganisation", "AddValidator", "RemoveValidator", "SetTimers", "SetPolicy"] == [
        row["change"]["type"] for row in rows
    ]
    for row, change in zip(rows, changes, strict=False):
        read = reader(RegistryPropose)({"change": row["change"], "flagged": False})
        assert RegistryPropose(change, False) == read
    for method, query in CITY.queries.items():
        if method.startswith("registry_") and query.params is NoParams:
            assert writer(query.result)(CITY.answer(method, town.state, NoParams())) is not None


# -- policies of the genesis -----------------------------------------------------------------------------------------


def test_policies_of_the_genesis() -> None:
    """Genesis may set the policy of every kind of change; what it does not set keeps its default."""
    town = Town(4, parameters={"registry": {"set_timers": "at least 3/4 of validators within 5000 ms"}})
    policies = {row.kind: row.policy for row in town.ask("policies")}

    assert list(ChangeKind) == list(policies)
    assert Policy(3, 4, False, Electorate.VALIDATORS, 5_000) == policies[ChangeKind.SET_TIMERS]
    assert Policy(2, 3, False, Electorate.VALIDATORS, DAY_MS) == policies[ChangeKind.ADD_VALIDATOR]
    assert Policy(1, 2, True, Electorate.ORGANISATIONS, 7 * DAY_MS) == policies[ChangeKind.ADMIT_ORGANISATION]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("two thirds", "matching regex"),
        ("at least 2/3 of validators within 1000 ms\n", "matching regex"),
        ("more than 1/1 of validators within 1000 ms", "nobody could reach"),
        ("at least 3/2 of validators within 1000 ms", "nobody could reach"),
        ("at least 0/2 of validators within 1000 ms", "Expected `int` >= 1"),
        ("at least 1/2000 of validators within 1000 ms", "Expected `int` <= 1000"),
        ("at least 1/2 of validators within 999 ms", "Expected `int` >= 1000"),
    ],
)
def test_invalid_policies_of_the_genesis(text: str, reason: str) -> None:
    """A policy that cannot be is refused with its name and the reason."""
    with pytest.raises(Fault) as caught:
        Town(1, parameters={"registry": {"set_limits": text}})

    assert GENESIS_INVALID is caught.value.spec
    (found,) = caught.value.values["errors"]  # type: ignore[misc]
    assert "parameters.registry.set_limits" in found
    assert reason in found


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "given", "message"),
    [
        ("pause-validating", {}, RegistryPause()),
        ("approve", {"proposal": "7", "reached": "true"}, RegistryApprove(7, True)),
        ("approve", {"proposal": "7"}, RegistryApprove(7, False)),
        (
            "propose",
            {"change": '{"type": "RemoveValidator", "organisation": "org-01"}', "flagged": "true"},
            RegistryPropose(RemoveValidator("org-01"), True),
        ),
        ("add-node", {"certificate": "0x01", "addresses": ("h:1", "i:2")}, RegistryAddNode(b"\x01", ("h:1", "i:2"))),
    ],
)
def test_verbs(verb: str, given: dict[str, object], message: Noun) -> None:
    """What people type becomes the message."""
    row = CITY.verbs[verb]

    assert message == to_noun(row.kind, {**dict(row.defaults), **given}, Options())


def test_weights() -> None:
    """Messages that decide weigh what reading every organisation costs; one with a signature check weighs it."""
    weights = [RegistryPause(), RegistryApprove(1, True), RegistryRotateKey(bytes(32), bytes(64))]

    assert [128, 128, 6] == [CITY.weight([message]) for message in weights]
