"""What a node answers: the life of a transaction, how it is, and why."""

import asyncio
from typing import Any

import pytest

from cccnode.city import CITY
from cccnode.codec import encode
from cccnode.ingress import trusted_transactions
from cccnode.node.indexing import FLUSH_MS
from cccnode.node.service import BEHIND_BLOCKS, INDEX_BEHIND_BLOCKS, SKEW_MS
from cccnode.rpc.backend import Phase, Place
from cccnode.types.errors import (
    BEHIND,
    CLOCK_SKEW,
    DISK_FULL,
    DIVERGED,
    INDEX_BEHIND,
    NET_DUPLICATE,
    NET_UNREACHABLE,
    NO_HISTORY,
    NO_PEERS,
    NO_QUORUM,
    NOT_SIGNING_JOURNAL_LOST,
    OBSERVER,
    POOL_NOT_READY,
    SAFETY_ALARM,
    TX_DUPLICATE,
    Fault,
    fault,
)
from storage.history import History
from storage.memory import MemoryEngine
from storage.restoring import RECEIPTS_FROM
from tests.node.support import Watched, peer

SECOND = 1_000


def watch_phases(watched: Watched, tx_id: bytes, deadline: int, milliseconds: int) -> list[Phase]:
    """Each phase that is seen, in order, asking every millisecond."""
    seen: list[Phase] = []
    for _ in range(milliseconds):
        watched.run(1)
        phase = watched.phase(tx_id, deadline)
        if not seen or seen[-1] is not phase:
            seen.append(phase)
    return seen


def shorten_window(watched: Watched) -> None:
    """The same everywhere, as if genesis had said so."""
    for node in watched.network.nodes:
        node.replica.window.lifetime_ms = 2 * SECOND


# The life of a transaction


def test_the_life_of_a_transaction() -> None:
    """Unknown while its bytes are unread, then admitted, batched, proposed, final, executed; never backwards."""
    watched = Watched()
    watched.run(500)
    tx_id, deadline = watched.send()
    assert Phase.UNKNOWN is watched.phase(tx_id, deadline), "an id is known once its bytes are decoded"
    seen = watch_phases(watched, tx_id, deadline, 400)

    life = [Phase.ADMITTED, Phase.BATCHED, Phase.PROPOSED, Phase.FINAL, Phase.EXECUTED]
    assert life == [phase for phase in seen if phase is not Phase.UNKNOWN]
    status = watched.status(tx_id)
    assert (0, watched.node.replica.decision(tx_id).height) == (status.code, status.height)


def test_every_node_sees_the_same_decision() -> None:
    """Height, position and code are the same wherever one asks."""
    one, other = Watched(number=0), Watched(number=2)
    found = []
    for watched in (one, other):
        watched.run(300)
        tx_id, _ = watched.send(1)
        watched.run(SECOND)
        found.append(watched.status(tx_id))

    assert found[0] == found[1]
    assert Phase.EXECUTED is found[0].phase


def test_expired_is_certain() -> None:
    """Unknown until a block at or after the deadline is executed; then expired, also for what nobody saw (J6)."""
    watched = Watched()
    watched.run(300)
    nobody, deadline = bytes(32), watched.node.runtime.wall_ms() + 2 * SECOND
    watched.run(3 * SECOND)
    assert Phase.UNKNOWN is watched.phase(nobody, deadline), "the clock alone says nothing"
    watched.send()
    watched.run(SECOND)

    assert Phase.EXPIRED is watched.phase(nobody, deadline)
    assert Phase.UNKNOWN is watched.phase(nobody), "without its deadline nobody can say"
    assert Phase.UNKNOWN is watched.phase(nobody, deadline + 10 * SECOND)


def test_expired_needs_all_that_came_before() -> None:
    """With blocks below the window only a node whose index reaches there may say `expired` (J6)."""
    for index, phase in ((True, Phase.EXPIRED), (False, Phase.UNKNOWN)):
        watched = Watched(index=index)
        watched.run(SECOND)
        shorten_window(watched)
        for _ in range(9):
            watched.send(lifetime_ms=SECOND)
            watched.run(SECOND)
        assert watched.node.replica.window.first_height > 1

        assert phase is watched.phase(bytes(32), watched.node.runtime.wall_ms() - 3 * SECOND)


def test_expired_is_not_said_of_what_the_index_has_forgotten() -> None:
    """Whose index is pruned does not know what was decided before, however certain the deadline is over (J6)."""
    watched = Watched()
    watched.run(SECOND)
    shorten_window(watched)
    for _ in range(9):
        watched.send(lifetime_ms=SECOND)
        watched.run(SECOND)
    watched.run(2 * FLUSH_MS)
    deadline = watched.node.replica.window.time_ms - SECOND
    assert Phase.EXPIRED is watched.phase(bytes(32), deadline)
    assert list(watched.index.prune(watched.indexer.height))
    assert Phase.UNKNOWN is watched.phase(bytes(32), deadline)


def test_expired_is_not_said_of_what_lies_before_a_snapshot() -> None:
    """A node that began at a snapshot does not know what was decided before its first receipts (J6)."""
    for seconds, phase in ((-600, Phase.EXPIRED), (0, Phase.UNKNOWN)):
        watched = Watched()
        watched.run(300)
        nobody, deadline = bytes(32), watched.node.runtime.wall_ms() + 2 * SECOND
        since = watched.node.runtime.wall_ms() + seconds * SECOND
        watched.node.replica.store.put_meta(RECEIPTS_FROM, encode(since))
        watched.begin_anew()
        watched.run(3 * SECOND)
        watched.send()
        watched.run(SECOND)

        assert phase is watched.phase(nobody, deadline)


def test_executed_long_ago_is_found_in_the_index() -> None:
    """What left the window is executed still, not expired, and its receipt is found."""
    watched = Watched()
    watched.run(300)
    shorten_window(watched)
    tx_id, deadline = watched.send(lifetime_ms=SECOND)
    for _ in range(9):
        watched.run(SECOND)
        watched.send(lifetime_ms=SECOND)
    watched.run(SECOND)
    assert watched.node.replica.decision(tx_id) is None

    status = watched.status(tx_id, deadline)
    stored = watched.service.transaction(tx_id)
    assert (Phase.EXECUTED, 0) == (status.phase, status.code)
    assert (status.height, status.position) == (stored.height, stored.position)
    assert [tx_id] == [verified.id for verified in trusted_transactions(CITY, [stored.raw])]


def test_the_history_says_how_far_it_reaches() -> None:
    """An answer names the heights between which nothing is missing; a node without a history says so."""
    watched = Watched()
    with pytest.raises(Fault) as refused:
        watched.service.account_history(bytes(20), None, 5)
    assert refused.value.spec is NO_HISTORY
    watched.service._history = history = History(MemoryEngine())
    history.add([(3, [(bytes(32), [bytes(20)])]), (4, [])])
    found = watched.service.account_history(bytes(20), Place(4, 0), 5)
    assert (found.entries, found.first_height, found.last_height) == ([(Place(3, 0), bytes(32))], 3, 4)


def test_a_proposed_block_that_lost_is_not_final() -> None:
    """A batch listed by a block beside the final chain is proposed, whatever the height of the final block."""
    watched = Watched()
    watched.run(300)
    tx_id, _ = watched.send()
    watched.run(7)
    replica = watched.node.replica
    batch = replica.pool.batch_of(tx_id)
    replica.chain.bodies.clear()
    replica.chain.remember(b"orphan", replica.chain.height + 1, (batch,))
    replica.final.height = replica.chain.height + 5

    assert Phase.PROPOSED is watched.phase(tx_id)


def test_found_among_skipped_ones() -> None:
    """A transaction stands behind its receipt's position where others of its block were not decided."""
    watched = Watched()
    watched.run(300)
    ids = [watched.send(number)[0] for number in (0, 1, 2, 3)]
    watched.run(2 * SECOND)

    for tx_id in ids:
        stored = watched.service.transaction(tx_id)
        assert [tx_id] == [verified.id for verified in trusted_transactions(CITY, [stored.raw])]
    assert watched.service.transaction(bytes(32)) is None


# Submitting and waiting, on a real loop


def later(watched: Watched) -> None:
    """Let virtual time pass beside the real loop."""
    watched.run(5)
    asyncio.get_running_loop().call_soon(later, watched)


async def with_time(watched: Watched, waiting: Any) -> Any:
    later(watched)
    async with asyncio.timeout(20):
        return await waiting


def test_submit_and_wait() -> None:
    """Submit answers once durable, wait once decided; a repetition is refused as decided, and counted."""
    watched = Watched()
    watched.run(300)
    raws: list[bytes] = []
    watched.network.submit = lambda node, found, deadlines: raws.extend(found)
    tx_id, deadline = watched.send()

    async def scenario() -> None:
        assert [(tx_id, None)] == list(await with_time(watched, watched.service.submit(raws)))
        status = await watched.service.wait(tx_id, deadline, 10_000)
        assert Phase.EXECUTED is status.phase
        assert status == await watched.service.wait(tx_id, deadline, 10_000), "at once, the second time"
        ((_, refusal),) = await watched.service.submit(raws)
        assert TX_DUPLICATE is refusal.spec

    asyncio.run(scenario())
    assert b'refused_total{name="tx/DUPLICATE"} 1.0' in watched.metrics.render()
    assert 0 == len(watched.node.replica.waiters)


def test_wait_runs_out() -> None:
    """After its time the latest status is the answer, and nothing is left behind."""
    watched = Watched()
    status = asyncio.run(watched.service.wait(bytes(32), None, 1))

    assert Phase.UNKNOWN is status.phase
    assert 0 == len(watched.node.replica.waiters)


def test_not_ready() -> None:
    """A node that diverged takes no transactions: pool/NOT_READY."""
    watched = Watched()
    watched.node.replica.executor.halted = fault(DIVERGED, height=1)

    with pytest.raises(Fault, match="pool/NOT_READY") as caught:
        asyncio.run(watched.service.submit([b"x"]))
    assert POOL_NOT_READY is caught.value.spec


# How the node is


def test_all_is_well() -> None:
    """A validator at the tip: validating, no reasons, every check passes."""
    watched = Watched()
    watched.send()
    watched.run(2 * SECOND)
    status = watched.service.status()

    assert ("validating", 0, ()) == (status.state, status.behind, tuple(status.reasons))
    assert {} == watched.failed()
    assert status.height == status.final_height > 0
    assert all(validator.reachable for validator in status.validators)
    assert all(validator.executed >= status.height - 1 for validator in status.validators)
    names = [check.name for check in watched.service.readiness()]
    assert ["disk", "peers", "behind", "quorum", "clock", "signing", "index", "state"] == names


def test_a_peer_is_well_and_says_that_it_does_not_vote() -> None:
    """consensus/NOT_A_VALIDATOR is a reason to show, not one to be unready."""
    watched = Watched(number=4, peers=1)
    watched.run(SECOND)

    assert {OBSERVER} == set(watched.reasons())
    assert "observing" == watched.service.status().state
    assert {} == watched.failed()
    assert watched.service.status().validator is None


def test_nobody_is_connected() -> None:
    """net/NO_PEERS, and without a quorum in reach consensus/NO_QUORUM names who is missing."""
    watched = Watched()
    watched.run(SECOND)
    watched.connections._linked.clear()
    watched.p2p.infos.clear()

    assert {NO_PEERS, NO_QUORUM} == set(watched.reasons())
    assert {"peers": NO_PEERS, "quorum": NO_QUORUM} == watched.failed()
    assert "stalled" == watched.service.status().state
    assert {"reachable": 1, "needed": 3} == {key: watched.reasons()[NO_QUORUM][key] for key in ("reachable", "needed")}
    assert "1 (" in watched.reasons()[NO_QUORUM]["unreachable"]


def test_what_others_say_about_us_is_the_reason() -> None:
    """A refusal that names a cause is shown instead of net/NO_PEERS; a mere failure to connect is not."""
    watched = Watched(number=4, peers=1)
    watched.connections._linked.clear()
    watched.connections.refusals[b"a" * 32] = fault(NET_UNREACHABLE)
    assert {NO_PEERS, OBSERVER} == set(watched.reasons())

    watched.connections.refusals[b"b" * 32] = fault(NET_DUPLICATE)
    assert {NET_DUPLICATE, OBSERVER} == set(watched.reasons())
    assert NET_DUPLICATE is watched.failed()["peers"]


def test_a_single_validator_needs_nobody() -> None:
    """A network of one is ready alone."""
    watched = Watched(validators=1)
    watched.send()
    watched.run(2 * SECOND)

    assert {} == watched.reasons()
    assert "validating" == watched.service.status().state


def test_behind() -> None:
    """Many blocks behind what is credible: consensus/BEHIND, catching up."""
    watched = Watched()
    height = watched.node.replica.chain.height
    watched.p2p.infos = [peer(bytes([n]) * 32, height=height + BEHIND_BLOCKS + 1) for n in range(2)]

    assert {"blocks": BEHIND_BLOCKS + 1} == watched.reasons()[BEHIND]
    assert BEHIND is watched.failed()["behind"]
    assert "catching_up" == watched.service.status().state


def test_one_liar_cannot_make_a_node_look_behind() -> None:
    """The height that a single one of four claims is not credible; that of the only connected one must do."""
    watched = Watched()
    watched.p2p.infos = [peer(b"l" * 32, height=2**60), peer(b"h" * 32, height=0)]
    assert BEHIND not in watched.reasons()

    watched.p2p.infos = watched.p2p.infos[:1]
    assert BEHIND in watched.reasons()


@pytest.mark.parametrize("skew_ms", [SKEW_MS + 1, -SKEW_MS - 1])
def test_clock_skew(skew_ms: int) -> None:
    """The median of the peers' clocks differs: node/CLOCK_SKEW; one wrong clock among them does not matter."""
    watched = Watched()
    watched.p2p.infos = [peer(bytes([n]) * 32, skew_ms=skew_ms) for n in range(3)]
    assert {"milliseconds": skew_ms} == watched.reasons()[CLOCK_SKEW]
    assert CLOCK_SKEW is watched.failed()["clock"]

    watched.p2p.infos = [
        peer(b"a" * 32, skew_ms=skew_ms),
        peer(b"b" * 32),
        peer(b"c" * 32),
        peer(b"d" * 32, skew_ms=None),
    ]
    assert CLOCK_SKEW not in watched.reasons()


def test_journal_lost() -> None:
    """A validator without its journal observes: consensus/JOURNAL_LOST is shown, and fails `signing`."""
    watched = Watched(number=3)
    watched.network.crash(watched.node, wipe=True)
    watched.network.restart(watched.node)
    watched.service._replica = watched.node.replica
    watched.run(SECOND)

    assert {NOT_SIGNING_JOURNAL_LOST} == set(watched.reasons()) - {BEHIND}
    assert NOT_SIGNING_JOURNAL_LOST is watched.failed()["signing"]
    assert "observing" == watched.service.status().state


def test_safety_alarm() -> None:
    """Conflicting certificates, or our key in other hands: consensus/SAFETY_ALARM with what was seen."""
    watched = Watched()
    watched.node.replica.voting.alarm = "two final chains"

    assert {"reason": "two final chains"} == watched.reasons()[SAFETY_ALARM]
    assert SAFETY_ALARM is watched.failed()["signing"]


def test_diverged() -> None:
    """storage/DIVERGED comes first, with what differed, and decides the state."""
    watched = Watched()
    watched.node.replica.executor.halted = fault(DIVERGED, height=7)

    status = watched.service.status()
    assert DIVERGED is status.reasons[0].spec
    assert {"height": 7} == dict(status.reasons[0].values)
    assert "diverged" == status.state
    assert DIVERGED is watched.failed()["state"]


def test_index_behind() -> None:
    """storage/INDEX_BEHIND when the index lags far; an index ahead of the chain is not behind."""
    watched = Watched()
    watched.indexer.height = watched.node.replica.chain.height + 5
    assert 0 == watched.service.index_lag()
    watched.indexer.height = -INDEX_BEHIND_BLOCKS - 1

    assert INDEX_BEHIND_BLOCKS + 1 == watched.reasons()[INDEX_BEHIND]["blocks"]
    assert INDEX_BEHIND is watched.failed()["index"]


def test_disk_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """home/DISK_FULL is reported before a write fails."""
    watched = Watched()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1})())

    assert DISK_FULL is watched.failed()["disk"]


# Reads


def test_reads_see_the_applied_height() -> None:
    """Headers, blocks, receipts, and record are those of executed blocks."""
    watched = Watched()
    watched.send()
    watched.run(SECOND)
    service, height = watched.service, watched.service.status().height
    header = service.header(height)

    assert header == service.block(height).header
    assert service.header(height + 1) is None
    assert service.block(height + 1) is None
    assert service.receipts(height) is not None
    assert 4 == len(service.record().validators)
    assert service.state() is watched.node.replica.store.state


async def test_a_node_that_left_promises_nothing() -> None:
    """Once the registry lists it no more, what it acknowledged would reach nobody."""
    watched = Watched()
    watched.service._registered = lambda: False
    with pytest.raises(Fault) as refused:
        await watched.service.submit([b"anything"])
    assert (refused.value.spec, refused.value.values) == (POOL_NOT_READY, {"state": "not registered"})


def test_a_node_that_learns_that_it_left_promises_nothing_more() -> None:
    """It took a transaction while it was registered, and is not when that is durable: the client is sent elsewhere."""
    watched = Watched()
    watched.run(300)
    raws: list[bytes] = []
    watched.network.submit = lambda node, found, deadlines: raws.extend(found)
    tx_id, _ = watched.send()
    listed = iter([True, False])
    watched.service._registered = lambda: next(listed)

    ((found, refusal),) = asyncio.run(with_time(watched, watched.service.submit(raws)))

    assert (tx_id, POOL_NOT_READY, {"state": "not registered"}) == (found, refusal.spec, refusal.values)
