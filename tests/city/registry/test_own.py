"""What an organisation does with what is its own: nodes, consensus key, pausing, leaving."""

import pytest
from msgspec.structs import replace

from cccnode.city.registry import errors
from cccnode.city.registry.messages import (
    ADDRESSES_MAX,
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
)
from cccnode.city.registry.nodes import RETIRED_MAX
from cccnode.city.registry.record import next_record, registered_nodes
from cccnode.city.registry.state import EPOCH, Standing, consensus_key_used, node_owner, retired_nodes
from cccnode.codec import Malformed, Noun, decode, encode
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.types.limits import CERTIFICATE_DER_MAX, NODES_PER_ORGANISATION_MAX
from cccnode.types.readiness import rotation_bytes
from cccnode.types.validators import certificate_key
from tests.city.registry.town import Town
from tests.support.city import certify

WEAK = sorted(SMALL_ORDER)[3]


def _add(town: Town, name: str) -> tuple[str, bytes]:
    key, offer = town.node()
    return town.send(name, RegistryAddNode(offer.certificate, offer.addresses)), key


def _nodes(town: Town, name: str) -> list[bytes]:
    return [row.node_key for row in registered_nodes(town.state) if row.organisation == name]


@pytest.mark.parametrize(
    "message",
    [
        RegistryAddNode(b"x", ()),
        RegistryRemoveNode(bytes(32)),
        RegistryRotateKey(bytes(32), bytes(64)),
        RegistryPause(),
        RegistryLeave(),
        RegistryPropose(RemoveValidator("org-01"), False),
        RegistryApprove(1, False),
        RegistryWithdraw(1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_invalid_sender(message: Noun) -> None:
    """Every message is refused from an account that acts for no organisation, and from one whose part is over."""
    town = Town()
    assert errors.NOT_ORGANISATION.name == town.send("demo0", message)

    assert "removed" in town.decide(RemoveOrganisation("org-04"))
    assert errors.NOT_ACTIVE.name == town.send("org-04", message)


# -- nodes -----------------------------------------------------------------------------------------------------------


def test_add_node() -> None:
    """A node is registered when the block is applied, and stands in the next epoch's record with the other."""
    town = Town()
    first = town.demo.partners[1].node_key
    outcome, key = _add(town, "org-01")

    assert ("ok", [("registry", "node_added", "org-01", key)]) == (outcome, town.events)
    assert sorted([first, key]) == _nodes(town, "org-01")
    assert tuple(sorted([first, key])) == next_record(town.state, town.record).validators[1].node_keys


def test_node_limit() -> None:
    """An organisation has at most eight nodes."""
    town = Town()
    outcomes = [_add(town, "org-04")[0] for _ in range(NODES_PER_ORGANISATION_MAX)]

    assert ["ok"] * (NODES_PER_ORGANISATION_MAX - 1) + [errors.NODE_LIMIT.name] == outcomes


@pytest.mark.parametrize(
    ("certificate", "spec"),
    [
        (b"x", errors.CERTIFICATE),
        (certify(bytes(32))[:-1], errors.CERTIFICATE),
        (certify(bytes(32)) * 2, errors.CERTIFICATE),
        (certify(bytes(32))[:12] + WEAK, errors.WEAK_KEY),
    ],
)
def test_invalid_certificate(certificate: bytes, spec: object) -> None:
    """A certificate carries exactly one Ed25519 key, and an ordinary one."""
    assert spec.name == Town().send("org-00", RegistryAddNode(certificate, ()))  # type: ignore[attr-defined]


def test_certificate_key() -> None:
    """The key of a real certificate is found in it."""
    from p2p.directory import make_certificate  # noqa: PLC0415 - the real thing, here only

    town = Town()
    seed = town.new_key()

    assert seed.public_key == certificate_key(make_certificate(seed.seed))
    assert CERTIFICATE_DER_MAX >= len(make_certificate(seed.seed))


@pytest.mark.parametrize(
    "body",
    [
        [bytes(CERTIFICATE_DER_MAX + 1), []],
        [b"", []],
        [b"x", ["h:1"] * (ADDRESSES_MAX + 1)],
        [b"x", ["no port"]],
        [b"x", ["two words:1"]],
        [b"x", ["new\nline:1"]],
        [b"x", ["h:1\n"]],
        [b"x", ["h" * 127 + ":1"]],
        [b"x", ["ท:1"]],
    ],
)
def test_invalid_node_form(body: list[object]) -> None:
    """Certificates and addresses have bounds; what is beyond does not decode."""
    with pytest.raises(Malformed):
        decode(RegistryAddNode, encode([0x0301, *body]))


def test_node_keys_are_unique() -> None:
    """A node key is registered once in the whole network, and again only after it was removed."""
    town = Town(peers=2)
    outcome, key = _add(town, "org-04")
    offer = next(row for row in registered_nodes(town.state) if row.node_key == key)
    again = RegistryAddNode(offer.certificate, offer.addresses)

    assert "ok" == outcome
    assert [errors.NODE_KNOWN.name] * 2 == [town.send(name, again) for name in ("org-04", "org-05")]
    assert ["ok", "ok"] == [town.send("org-04", RegistryRemoveNode(key)), town.send("org-05", again)]
    assert "org-05" == node_owner(town.overlay, key)


def test_remove_node_of_a_peer() -> None:
    """A node of an organisation that does not validate is a stranger at once, even its last one."""
    town = Town()
    key = town.demo.partners[4].node_key

    assert "ok" == town.send("org-04", RegistryRemoveNode(key))
    assert ([], None) == (_nodes(town, "org-04"), node_owner(town.overlay, key))
    assert errors.UNKNOWN_NODE.name == town.send("org-04", RegistryRemoveNode(key))
    assert errors.UNKNOWN_NODE.name == town.send("org-04", RegistryRemoveNode(town.demo.partners[0].node_key))


def test_remove_node_of_a_validator() -> None:
    """A node that the epoch's record names stays trusted until an epoch begins whose record does not."""
    town = Town()
    old = town.demo.partners[0].node_key
    _, new = _add(town, "org-00")

    assert "ok" == town.send("org-00", RegistryRemoveNode(old))
    assert sorted([old, new]) == _nodes(town, "org-00")
    assert (new,) == next_record(town.state, town.record).validators[0].node_keys
    writes = town.execute().writes
    assert EPOCH not in writes
    town.turn()
    assert ([new], None) == (_nodes(town, "org-00"), node_owner(town.overlay, old))


def test_a_node_removed_late_is_trusted_for_another_epoch() -> None:
    """If the next record was made before the removal, it names the node still, and the node is trusted."""
    town = Town()
    old = town.demo.partners[0].node_key
    _, new = _add(town, "org-00")
    late = next_record(town.state, town.record)
    assert "ok" == town.send("org-00", RegistryRemoveNode(old))
    town.record = late
    town.block()

    assert sorted([old, new]) == _nodes(town, "org-00")
    town.turn()
    assert [new] == _nodes(town, "org-00")


def test_last_node_of_a_validator() -> None:
    """A validator keeps one node: also while it only still validates, and when it does not yet."""
    town = Town()
    town.spin(4)
    town.decide(town.candidacy("org-04"))
    assert "ok" == town.send("org-00", RegistryPause())

    for number in (0, 1, 4):
        name = f"org-{number:02}"
        key = town.demo.partners[number].node_key
        assert errors.LAST_NODE.name == town.send(name, RegistryRemoveNode(key))


def test_a_retired_node_may_return() -> None:
    """Who removed a node may register it again within the epoch; nobody else may."""
    town = Town()
    offer = town.demo.partners[0]
    _add(town, "org-00")
    again = RegistryAddNode(offer.certificate, ())
    assert "ok" == town.send("org-00", RegistryRemoveNode(offer.node_key))

    assert errors.NODE_KNOWN.name == town.send("org-01", again)
    assert "ok" == town.send("org-00", again)
    town.turn()
    assert offer.node_key in _nodes(town, "org-00")
    assert {} == retired_nodes(town.overlay, "org-00")


def test_invalid_number_of_replacements() -> None:
    """Within one epoch an organisation replaces at most sixteen nodes: more wait for the next."""
    town = Town()
    for _ in range(RETIRED_MAX):
        _, key = _add(town, "org-00")
        assert "ok" == town.send("org-00", RegistryRemoveNode(key))
    _, key = _add(town, "org-00")

    assert errors.NODE_LIMIT.name == town.send("org-00", RegistryRemoveNode(key))
    town.turn()
    assert "ok" == town.send("org-00", RegistryRemoveNode(key))


# -- consensus keys --------------------------------------------------------------------------------------------------


def test_rotate_key() -> None:
    """A new consensus key is in force from the next epoch on; the old one is never free again."""
    town = Town()
    old = town.record.validators[2].consensus_key
    message = town.rotation("org-02")

    assert "ok" == town.send("org-02", message)
    assert old == town.record.validators[2].consensus_key
    assert message.consensus_key == town.turn().validators[2].consensus_key
    assert consensus_key_used(town.overlay, old)


def test_invalid_keys() -> None:
    """A consensus key was never used before, is no small-order point, and proves for this organisation and chain."""
    town = Town(peers=1)
    key = town.new_key()
    foreign = key.sign(rotation_bytes(bytes(32), "org-00", key.public_key))
    others = key.sign(rotation_bytes(town.chain, "org-01", key.public_key))
    used = town.consensus["org-01"]
    proof = used.sign(rotation_bytes(town.chain, "org-00", used.public_key))

    for signature in (foreign, others, bytes(64)):
        assert errors.PROOF.name == town.send("org-00", RegistryRotateKey(key.public_key, signature))
    assert errors.KEY_USED.name == town.send("org-00", RegistryRotateKey(used.public_key, proof))
    assert errors.WEAK_KEY.name == town.send("org-00", RegistryRotateKey(WEAK, bytes(64)))
    assert errors.NOT_VALIDATOR.name == town.send("org-04", town.rotation("org-04"))


def test_keys_are_never_used_twice() -> None:
    """A key that was rotated away, paused with, or chosen and never voted with is used for ever."""
    town = Town()
    town.spin(4)
    first, second = town.rotation("org-00"), town.rotation("org-00")
    founding = town.demo.partners[0].consensus
    assert founding is not None
    for message in (first, second):
        assert "ok" == town.send("org-00", message)
    town.turn()
    assert "ok" == town.send("org-00", RegistryPause())
    town.settle()
    town.spin(8)

    for message in (first, second):
        assert errors.KEY_USED.name == town.send("org-01", message)
    back = town.receipt("org-00", key=founding)
    assert errors.KEY_USED.name == town.send(
        "org-01", RegistryPropose(replace(town.candidacy("org-00"), receipt=back), False)
    )


# -- taking part -----------------------------------------------------------------------------------------------------


def test_pause_and_return() -> None:
    """A paused organisation leaves the record at the epoch's end, keeps its nodes, and returns with a new key."""
    town = Town(5)
    town.spin(5)
    assert "ok" == town.send("org-00", RegistryPause())

    assert errors.NOT_VALIDATOR.name == town.send("org-00", RegistryPause())
    assert errors.NOT_VALIDATOR.name == town.send("org-00", town.rotation("org-00"))
    assert "org-00" in town.members
    town.turn()
    assert "org-00" not in town.members
    assert 1 == len(_nodes(town, "org-00"))
    assert "executed" in town.decide(town.candidacy("org-00"))
    town.turn()
    assert "org-00" == town.members[0]


def test_pause_of_a_newcomer() -> None:
    """A candidate that passed may pause before its first epoch."""
    town = Town()
    town.spin(4)
    town.decide(town.candidacy("org-04"))
    assert "ok" == town.send("org-04", RegistryPause())

    assert replace(next_record(town.state, town.record), epoch=0) == town.record


def test_leave() -> None:
    """Who leaves keeps name and account and loses the rest: its vote and nodes when the epoch ends, its say at once."""
    town = Town(5)
    town.spin(5)
    node = town.demo.partners[0].node_key
    assert "ok" == town.send("org-00", RegistryLeave())

    assert ("registry", "left", "org-00") == town.events[-1]
    assert [node] == _nodes(town, "org-00")
    assert errors.NOT_ACTIVE.name == town.send("org-00", RegistryLeave())
    town.turn()
    assert ([], "org-01") == (_nodes(town, "org-00"), town.members[0])
    assert Standing.LEFT is town.ask("organisations")[0].standing
    assert errors.NAME_TAKEN.name == town.send("org-01", RegistryPropose(town.admission("org-00"), False))


def test_leave_of_a_peer() -> None:
    """An organisation that does not validate is out at once."""
    town = Town()
    assert "ok" == town.send("org-04", RegistryLeave())

    assert [] == _nodes(town, "org-04")
    assert replace(next_record(town.state, town.record), epoch=0) == town.record


@pytest.mark.parametrize("message", [RegistryPause(), RegistryLeave()])
def test_invalid_departure(message: Noun) -> None:
    """Nobody goes without whom the others could not make a quorum: the last one, or one of four when one is silent."""
    alone = Town(1)
    alone.spin(3)
    assert errors.QUORUM_AT_RISK.name == alone.send("org-00", message)

    town = Town(4)
    town.hush("org-03")
    assert errors.QUORUM_AT_RISK.name == town.send("org-00", message)
    assert "ok" == town.send("org-03", message)
