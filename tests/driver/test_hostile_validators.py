"""Whole networks in which one validator of four lies, and the others go on and hold together."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.codec import decode, encode
from cccnode.crypto.signing import SigningKey
from cccnode.driver.dissemination import FINAL_ANYWAY, FINAL_WITHIN_MS
from cccnode.driver.messages import BatchMessage, BatchPush, BatchReply, BatchRequest, Have
from cccnode.driver.pool import Entry, make_entry
from cccnode.ingress import trusted_transactions
from cccnode.types.batch import batch_id
from cccnode.types.limits import BATCH_TXS_MAX
from cccnode.types.transaction import sign_transaction
from consensus.messages import Message, ProposalMessage, VotesMessage, decode_message, encode_message
from genesis.bootstrap import ASSET, Demo
from genesis.document import document_bytes, read_genesis
from p2p.frames import Channel
from p2p.scores import Offence
from tests.driver.support import Audited
from tests.simulation.lying import altered
from tests.simulation.nodes import FEE_MAX
from tests.simulation.world import WALL_START_MS

MINUTE = 60_000


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Audited:
    """Four validators, up and linked; number 3 is the one that may lie."""
    made = Audited(3, monkeypatch)
    made.start()
    made.run(300)
    return made


def on_batches(change: Callable[[Any], Any]) -> Callable[[bytes, Channel, bytes], bytes | None]:
    """A filter for what is said about batches; `change` returns another message, or None for nothing."""

    def filtered(peer: bytes, channel: Channel, payload: bytes) -> bytes | None:
        if channel not in {Channel.BATCH, Channel.HAVE}:
            return payload
        changed = change(decode(BatchMessage if channel is Channel.BATCH else Have, payload))
        return None if changed is None else encode(changed)

    return filtered


def on_consensus(change: Callable[[bytes, Message], Message | None]) -> Callable[[bytes, Channel, bytes], bytes | None]:
    """The same for consensus messages."""

    def filtered(peer: bytes, channel: Channel, payload: bytes) -> bytes | None:
        if channel is not Channel.CONSENSUS:
            return payload
        changed = change(peer, decode_message(payload))
        return None if changed is None else encode_message(changed)

    return filtered


def send(network: Audited, number: int, count: int = 2, lifetime_ms: int = 20_000) -> list[bytes]:
    """Hand transfers to a node; returns their ids."""
    raws = network.send(network.nodes[number], count=count, lifetime_ms=lifetime_ms)
    return [verified.id for verified in trusted_transactions(CITY, raws)]


def sound(network: Audited, *, liars: tuple[int, ...] = ()) -> None:
    """One chain, nobody honest signed a contradiction, and nobody honest was accused."""
    alarmed = tuple(f"alarm at {network.nodes[number].name}: " for number in liars)
    assert [] == [violation for violation in network.violations if not violation.startswith(alarmed)]
    assert {validator for validator, _ in network.contradictions()} <= set(liars)
    assert network.accused() <= {network.nodes[number].key for number in liars}


def test_a_leader_lists_what_only_it_has(network: Audited) -> None:
    """A batch that was never pushed nor announced is fetched from the leader that lists it, and executed by all."""
    network.filters[3] = on_batches(lambda message: None if isinstance(message, BatchPush | Have) else message)
    ids = send(network, 3)

    assert network.run(MINUTE, lambda: network.all_executed(ids))
    sound(network)


def test_a_leader_lists_what_nobody_else_can_have(network: Audited) -> None:
    """It lists its batch and never hands it out: its views are skipped, everybody else's transactions go on."""
    network.filters[3] = on_batches(lambda message: message if isinstance(message, BatchRequest) else None)
    withheld = send(network, 3)
    for _ in range(5):
        assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    network.run(20_000)
    assert network.run(MINUTE, partial_executed(network, send(network, 1)))
    network.run(MINUTE)

    assert not set(withheld) & set(network.decided)
    assert all(len(node.replica.dissemination._fetches) == 0 for node in network.nodes[:3]), "given up"
    sound(network)


def partial_executed(network: Audited, ids: list[bytes]) -> Callable[[], bool]:
    return lambda: network.all_executed(ids)


def test_a_hoard_for_one(network: Audited) -> None:
    """Thousands of good transactions shown to one validator only: it lists them itself, and takes in new ones soon."""
    network.filters[3] = on_batches(lambda message: message if isinstance(message, BatchPush) else None)
    hoard, deadline = [], WALL_START_MS + network.world.now_ms + MINUTE
    demo = network.demo
    for number in range(2 * FINAL_ANYWAY):
        _, raw = sign_transaction(
            chain=demo.genesis.chain,
            account=demo.account(number % 5),
            valid_until_ms=deadline,
            salt=number.to_bytes(8, "big"),
            fee_max=FEE_MAX,
            messages=[BankTransfer(demo.account(5), ASSET, 1)],
            keys=[demo.accounts[number % 5]],
        )
        hoard.append(raw)
    for first in range(0, len(hoard), BATCH_TXS_MAX):
        push = BatchPush(tuple(hoard[first : first + BATCH_TXS_MAX]))
        network.nodes[3].links.send(network.nodes[0].key, Channel.BATCH, encode(push))
    network.run(3 * FINAL_WITHIN_MS)

    assert network.nodes[0].replica.pool.waits_since(FINAL_ANYWAY) is None
    assert len(network.decided) >= len(hoard)
    assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    sound(network)


def test_a_holder_that_serves_half(network: Audited) -> None:
    """What one holder leaves out is asked of another."""
    served = []

    def half(message: Any) -> Any:
        if isinstance(message, BatchReply):
            served.append(message)
            return message if len(served) % 2 else None
        return None if isinstance(message, BatchPush | Have) else message

    network.filters[3] = on_batches(half)
    ids = [tx_id for _ in range(6) for tx_id in send(network, 3, 1)]

    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert len(served) > 1
    sound(network)


def test_a_have_without_a_batch(network: Audited) -> None:
    """A validator claims to hold everything it hears of and pushes nothing on: nobody stalls, nobody is accused."""
    links = network.nodes[3].links
    receive = links.receive

    def claim(peer: bytes, channel: Channel, payload: bytes) -> None:
        if channel is Channel.BATCH and isinstance(message := decode(BatchMessage, payload), BatchPush):
            for node in network.nodes[:3]:
                links.send(node.key, Channel.HAVE, encode(Have((batch_id(message.batch), bytes(32)))))
            return
        receive(peer, channel, payload)

    links.receive = claim
    network.filters[3] = lambda peer, channel, payload: (
        None if channel is Channel.BATCH and isinstance(decode(BatchMessage, payload), BatchReply) else payload
    )
    for _ in range(4):
        ids = send(network, 0)
        assert network.run(MINUTE, lambda: all(tx_id in network.nodes[1].replica.window for tx_id in ids))  # noqa: B023
    sound(network)


def test_garbage_and_floods_cost_the_one_who_sends_them(network: Audited) -> None:
    """Invalid batches, unknown ids by the thousand and malformed frames: every offence names the liar."""
    links = network.nodes[3].links
    for node in network.nodes[:3]:
        links.send(node.key, Channel.BATCH, encode(BatchPush((b"not a transaction",))))
        links.send(node.key, Channel.BATCH, b"\xc1")
        for first in range(300):
            ids = tuple(((first << 10) + offset).to_bytes(32, "big") for offset in range(100))
            links.send(node.key, Channel.HAVE, encode(Have(ids)))
            links.send(node.key, Channel.BATCH, encode(BatchRequest(ids)))
    ids = send(network, 0)
    assert network.run(MINUTE, partial_executed(network, ids))

    for node in network.nodes[:3]:
        offences = {offence for peer, offence, _ in node.links.punished if peer == network.nodes[3].key}
        assert {Offence.INVALID_BATCH, Offence.MALFORMED, Offence.FLOOD} <= offences
    sound(network, liars=(3,))


def test_a_batch_listed_again_after_it_was_executed(network: Audited) -> None:
    """A leader lists a batch of an earlier block: the others take it from that block and decide nothing twice."""
    ids = send(network, 0)
    assert network.run(MINUTE, partial_executed(network, ids))
    old = next(batch for block in _blocks(network) for batch in block.batches)
    liar = network.nodes[3].replica
    select = liar.pool.select

    def again(**arguments: Any) -> list[Entry]:
        return [*select(**arguments), make_entry(batch_id(old), trusted_transactions(CITY, old), None)]

    liar.pool.select = again
    for _ in range(12):
        assert network.run(MINUTE, partial_executed(network, send(network, 1, 1)))

    listed = [batch_id(batch) for block in _blocks(network) for batch in block.batches]
    assert listed.count(batch_id(old)) > 1
    sound(network)


def _blocks(network: Audited) -> list[Any]:
    store = network.nodes[0].replica.store
    return [store.block(height) for height in range(1, store.applied.height + 1)]


def test_a_proposal_that_lists_a_batch_twice(network: Audited) -> None:
    """It is invalid for ever: the leader is blamed and its view skipped."""
    liar = network.nodes[3]

    def twice(peer: bytes, message: Message) -> Message:
        if not isinstance(message, ProposalMessage) or not message.body:
            return message
        return _altered(liar.consensus_key, network, message, body=message.body * 2)

    network.filters[3] = on_consensus(twice)
    for _ in range(12):
        assert network.run(MINUTE, partial_executed(network, send(network, 0, 1)))

    blamed = {offence for node in network.nodes[:3] for peer, offence, _ in node.links.punished if peer == liar.key}
    assert {Offence.INVALID_VOTE} == blamed
    sound(network, liars=(3,))


def _altered(key: bytes, network: Audited, message: ProposalMessage, **changes: Any) -> ProposalMessage:
    """Another block of the same leader in the same view, with a good signature."""
    return altered(key, network.demo.genesis.chain, message, **changes)


def test_a_leader_that_proposes_two_blocks(network: Audited) -> None:
    """Different blocks with real batches to different validators: one chain, every transfer once, and evidence."""
    liar = network.nodes[3]
    favoured = {network.nodes[0].key}

    def equivocate(peer: bytes, message: Message) -> Message:
        if not isinstance(message, ProposalMessage) or peer in favoured:
            return message
        return _altered(liar.consensus_key, network, message, time_ms=1)

    network.filters[3] = on_consensus(equivocate)
    for number in range(16):
        assert network.run(MINUTE, partial_executed(network, send(network, number % 3)))

    accused = {first.signer for node in network.nodes[:3] for _, first, _ in node.replica.evidence}
    assert {3} == accused
    assert all(node.replica.voting.alarm is None for node in network.nodes[:3])
    sound(network, liars=(3,))


def test_a_leader_with_false_results(network: Audited) -> None:
    """A block that reports another state than ours is not voted for, whoever proposes it."""
    liar = network.nodes[3]
    network.filters[3] = on_consensus(
        lambda peer, message: (
            _altered(liar.consensus_key, network, message, state_root=b"?" * 32)
            if isinstance(message, ProposalMessage)
            else message
        )
    )
    for _ in range(12):
        assert network.run(MINUTE, partial_executed(network, send(network, 0, 1)))

    proposers = {block.header.proposer for block in _blocks(network)}
    assert proposers == {0, 1, 2}
    sound(network, liars=(3,))


def test_a_leader_whose_clock_is_a_minute_ahead(network: Audited) -> None:
    """Its blocks wait until they are due, which is too late; the others' blocks carry the time."""
    network.crash(network.nodes[3])
    network.skews[3] = MINUTE
    network.restart(network.nodes[3])
    for _ in range(6):
        assert network.run(MINUTE, partial_executed(network, send(network, 0, 1)))

    ahead = network.nodes[0].replica.window.time_ms - network.nodes[0].runtime.wall_ms()
    assert ahead <= 2_000
    sound(network)


def test_a_second_process_with_the_same_consensus_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes vote with one key: who meets votes that it does not remember stops, and the network goes on."""
    network = Audited(4, monkeypatch, peers=1)
    network.demo = _both_nodes_validate(network.demo)
    network.nodes[4].consensus_key = network.nodes[0].consensus_key
    network.start()
    for _ in range(6):
        assert network.run(MINUTE, partial_executed(network, send(network, 1, 1)))

    votings = [network.nodes[number].replica.voting for number in (0, 4)]
    stopped = [voting for voting in votings if voting.engine.observing is not None]
    assert stopped, "at most one of them goes on"
    assert all("consensus/SAFETY_ALARM" == voting.engine.observing for voting in stopped)
    assert all("does not remember" in voting.alarm for voting in stopped)
    sound(network, liars=(0, 4))


def _both_nodes_validate(demo: Demo) -> Demo:
    """The same network, but the last organisation's node belongs to the first one."""
    first, *others, last = demo.genesis.document.organisations
    organisations = (replace(first, nodes=first.nodes + last.nodes), *others)
    accounts = tuple(row for row in demo.genesis.document.accounts if row.organisation != last.name)
    document = document_bytes(replace(demo.genesis.document, organisations=organisations, accounts=accounts))
    return dataclasses.replace(demo, genesis=read_genesis(document), document=document)


def test_a_copied_key_on_a_node_of_another_organisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its votes come over a node that is not the validator's: they never count, and cost that node its links."""
    network = Audited(4, monkeypatch, peers=1)
    network.nodes[4].consensus_key = network.nodes[0].consensus_key
    network.start()
    for _ in range(4):
        ids = send(network, 1, 1)
        network.run(2_000)
        assert all(tx_id in network.nodes[2].replica.window for tx_id in ids)

    assert all(node.replica.voting.alarm is None for node in network.nodes[:4])
    assert network.accused() <= {network.nodes[4].key}
    assert [] == network.violations


@pytest.mark.parametrize("seed", range(10))
def test_a_validator_that_does_anything(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Two blocks in a view, frames lost, damaged, repeated, and power cuts of others meanwhile: still sound."""
    network = Audited(seed, monkeypatch)
    network.start()
    network.run(300)
    liar, rng = network.nodes[3], network.rng
    seen: list[tuple[Channel, bytes]] = []

    def anything(peer: bytes, channel: Channel, payload: bytes) -> bytes | None:
        seen.append((channel, payload))
        match rng.randrange(12):
            case 0:
                return None
            case 1:
                at = rng.randrange(len(payload))
                return payload[:at] + rng.randbytes(1) + payload[at + 1 :]
            case 2:
                return rng.choice([old for kind, old in seen[-200:] if kind is channel])
            case 3 | 4 if channel is Channel.CONSENSUS:
                message = decode_message(payload)
                if isinstance(message, ProposalMessage):
                    changes = rng.choice([{"time_ms": 1}, {"body": ()}, {"state_root": bytes(32)}])
                    return encode_message(_altered(liar.consensus_key, network, message, **changes))
        return payload

    network.filters[3] = anything
    network.forgetful.add(liar.name)  # Votes are made with its key that its own engine never made.
    ids: list[bytes] = []
    for number in range(12):
        ids += send(network, number % 4, 1)
        network.run(rng.randint(50, 600))
        if number % 4 == 1:
            network.crash(network.nodes[number % 3])
            network.run(rng.randint(50, 500))
            network.restart(network.nodes[number % 3])
    honest = network.nodes[:3]
    network.run(5_000)
    last = send(network, 0, 1)

    assert network.run(MINUTE, lambda: all(last[0] in node.replica.window for node in honest))
    assert len(set(ids) & set(network.decided)) >= len(ids) // 2
    assert [] == network.violations
    assert {validator for validator, _ in network.contradictions()} <= {3}
    assert network.accused(liars=(3,)) <= {liar.key}
    assert all(node.replica.voting.alarm is None for node in honest)
    assert all(first.signer == 3 for node in honest for _, first, _ in node.replica.evidence)


def test_votes_of_another_are_an_offence(network: Audited) -> None:
    """Votes count over their signer's own connection only."""
    captured: list[VotesMessage] = []

    def watch(peer: bytes, message: Message) -> Message:
        if isinstance(message, VotesMessage):
            captured.append(message)
        return message

    network.filters[2] = on_consensus(watch)
    assert network.run(MINUTE, partial_executed(network, send(network, 0)))
    network.nodes[3].links.send(network.nodes[0].key, Channel.CONSENSUS, encode_message(captured[0]))
    network.run(1_000)

    punished = [(peer, offence) for peer, offence, _ in network.nodes[0].links.punished]
    assert [(network.nodes[3].key, Offence.INVALID_VOTE)] == punished


def test_a_creator_whose_batches_are_refused_gets_less_room(network: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator that admits what every honest one refuses is given an eighth of its quota by the others (J8)."""
    monkeypatch.setattr("cccnode.driver.quotas.JUDGED_TXS", 20)
    liar = network.nodes[3].replica
    monkeypatch.setattr(type(liar.mempool), "_refused_by_state", lambda *_, **__: None)
    stranger = SigningKey(b"s" * 32)
    raws = []
    for number in range(24):
        tx_id, raw = sign_transaction(
            chain=network.demo.genesis.chain,
            account=bytes([number]) * 20,
            valid_until_ms=WALL_START_MS + network.world.now_ms + 20_000,
            salt=bytes(8),
            fee_max=10_000,
            messages=[BankTransfer(network.demo.account(0), ASSET, 1)],
            keys=[stranger],
        )
        raws.append((tx_id, raw))
    network.submit(network.nodes[3], [raw for _, raw in raws], {})
    assert network.run(MINUTE, partial_executed(network, [tx_id for tx_id, _ in raws]))
    network.run(100)

    for node in network.nodes[:3]:
        assert node.replica.pool.quotas.is_cut(3)
        assert not node.replica.pool.quotas.is_cut(0)
    sound(network)
