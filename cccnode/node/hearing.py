"""What this node hears of the validators: their reports, their links, why they left or cannot be reached."""

import errno
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol

from cccnode.codec import DecodeError, decode
from cccnode.doctor.observation import Said, Seen, Told, offset, span
from cccnode.driver.replica import Replica
from cccnode.rpc.backend import ValidatorStatus
from cccnode.types.errors import NET_CLOSED, NODE_UNREGISTERED, OBSERVER, Fault
from cccnode.types.report import Report
from p2p.peers import DialInfo, Heard, LastWord, PeerInfo

LATELY_MS: Final = 30_000
"""What happened longer ago does not count for rates and pauses."""
RATE_MS: Final = 2_000
"""A rate is told from so long a time on."""
TEXT_MAX: Final = 400


class Carrier(Protocol):
    """What carries reports between nodes: the network."""

    def set_report(self, raw: bytes) -> None:
        """Tell every peer how this node is."""

    def reports(self) -> Mapping[bytes, Heard]:
        """What nodes said last of how they are, by node key."""

    def last_words(self) -> Mapping[bytes, LastWord]:
        """Why nodes went, by node key."""

    def peers(self) -> Sequence[PeerInfo]:
        """The live links."""

    def dials(self) -> Sequence[DialInfo]:
        """The nodes that should be linked and are not."""


class Pace:
    """Heights at times, as far as they are not long ago."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._steps: deque[tuple[int, int]] = deque()

    def add(self, at_ms: int, height: int) -> None:
        """At that time it stood there; the same time again says nothing new."""
        if self._steps and self._steps[-1][0] >= at_ms:
            return
        self._steps.append((at_ms, height))
        while self._steps[0][0] < at_ms - LATELY_MS:
            self._steps.popleft()

    @property
    def rate(self) -> int | None:
        """Blocks in a minute; None while too little is known."""
        if not self._steps or self._steps[-1][0] - self._steps[0][0] < RATE_MS:
            return None
        (first_ms, first), (last_ms, last) = self._steps[0], self._steps[-1]
        return max(0, last - first) * 60_000 // (last_ms - first_ms)

    def pause(self, since_ms: int) -> int:
        """The longest time between two steps after `since_ms`."""
        times = [at_ms for at_ms, _ in self._steps if at_ms >= since_ms]
        return max((later - earlier for earlier, later in pairwise(times)), default=0)


class Hearing:
    """The validators of the current epoch, as the network shows them."""

    def __init__(self, replica: Replica, carrier: Carrier) -> None:
        """Bind; `listen` is to be called about as often as reports come."""
        self._replica, self._carrier = replica, carrier
        self._read: dict[bytes, tuple[int, Report | None]] = {}
        """The newest report of each validator's node, with the time of its arrival; None: not readable."""
        self._paces: dict[bytes, Pace] = {}
        self._since: dict[bytes, tuple[int, int]] = {}
        """Epoch and view in which each of their nodes was connected."""
        self._awake_ms = 0

    def listen(self) -> None:
        """Take in what came since the last time; forget who is no validator any more."""
        nodes, voting = self._replica.epoch.nodes, self._replica.voting
        place = (self._replica.epoch.number, voting.engine.status().view if voting is not None else 0)
        linked = {peer.node_key for peer in self._carrier.peers()} & nodes.keys()
        self._since = {key: self._since.get(key, place) for key in sorted(linked)}
        for key, heard in self._carrier.reports().items():
            if key in nodes and (key not in self._read or self._read[key][0] != heard.at_ms):
                report = _decoded(heard.raw)
                self._read[key] = (heard.at_ms, report)
                if report is not None:
                    self._paces.setdefault(key, Pace()).add(heard.at_ms, report.height)
        for known in (self._read, self._paces):
            for key in [key for key in known if key not in nodes]:
                del known[key]

    def woke(self) -> None:
        """This node did nothing for a while: what it heard late is not the others' fault."""
        self._awake_ms = self._replica.runtime.now_ms()

    def seen(self, validators: Sequence[ValidatorStatus], me: int | None) -> list[Seen]:
        """Every validator, as this node sees it now."""
        peers = {peer.node_key: peer for peer in self._carrier.peers()}
        dials = {dial.node_key: dial for dial in self._carrier.dials()}
        found = []
        for row, validator in zip(validators, self._replica.record.validators, strict=True):
            key = self._speaker(validator.node_keys, peers)
            found.append(
                Seen(index=row.index, organisation=row.organisation, consensus_key=row.consensus_key, linked=True)
                if row.index == me
                else self._one(row, key, peers.get(key), dials.get(key))
            )
        return found

    def _speaker(self, keys: Sequence[bytes], peers: Mapping[bytes, PeerInfo]) -> bytes:
        """The node of an organisation that votes, as far as can be told: linked, no mere follower, heard of late."""

        def merit(key: bytes) -> tuple[bool, bool, int]:
            at_ms, report = self._read.get(key, (-1, None))
            return key in peers, report is None or OBSERVER.name not in report.reasons, at_ms

        return max(sorted(keys, reverse=True), key=merit, default=b"")

    def _one(self, row: ValidatorStatus, key: bytes, peer: PeerInfo | None, dial: DialInfo | None) -> Seen:
        now = self._replica.runtime.now_ms()
        at_ms, report = self._read.get(key, (None, None))
        silent = [row.silent_ms] if row.silent_ms is not None else []
        silent += [now - at_ms] if at_ms is not None else []
        silent += [peer.connected_ms] if silent and peer is not None else []  # It may have been away before.
        executed = max(row.executed or 0, report.height if report is not None else 0)
        failed = dial.last_fault if dial is not None and peer is None else None
        return Seen(
            index=row.index,
            organisation=row.organisation,
            consensus_key=row.consensus_key,
            linked=peer is not None,
            silent_ms=span(min(silent)) if silent else None,
            rtt_ms=None if peer is None or peer.rtt_ms is None else span(peer.rtt_ms),
            ahead_ms=None if peer is None or peer.clock_skew_ms is None else offset(peer.clock_skew_ms),
            executed=executed or None,
            told=self._told(key, report, now - at_ms, peer) if report is not None and at_ms is not None else None,
            left=self._words(key),
            failed=None if failed is None else Said(name=failed.spec.name, text=one_line(failed.values)),
            closed=failed is not None and _was_closed(failed),
            unreadable=at_ms is not None and report is None,
            quiet_views=self._quiet_views(row.index, key),
        )

    def _quiet_views(self, index: int, key: bytes) -> int | None:
        """Views without a vote of a validator, counted from when its node was connected."""
        voting, since = self._replica.voting, self._since.get(key)
        if voting is None or since is None:
            return None
        engine = voting.engine.status()
        joined = since[1] if since[0] == engine.epoch else 0
        return span(engine.view - max(engine.validators[index].active_view, joined))

    def _told(self, key: bytes, report: Report, age_ms: int, peer: PeerInfo | None) -> Told:
        pace = self._paces.get(key, Pace())
        since_ms = self._replica.runtime.now_ms() - peer.connected_ms if peer is not None else 0
        return Told(
            report=report,
            age_ms=span(age_ms),
            gap_ms=span(pace.pause(max(since_ms, self._awake_ms))),
            same=self._same(report),
            rate=pace.rate,
        )

    def _same(self, report: Report) -> bool | None:
        """Whether a node's results are ours, where both are known."""
        chain, known = self._replica.chain, []
        if 0 < report.root_height <= chain.height and (roots := chain.roots_at(report.root_height)) is not None:
            known.append(roots.results_root == report.root)
        if report.height <= chain.height and (roots := chain.roots_at(report.height)) is not None:
            known.append(roots.state_root == report.state_root)
        return all(known) if known else None

    def _words(self, key: bytes) -> Said | None:
        """What a node itself said when it left; what this side saw then stands in the dials."""
        word = self._carrier.last_words().get(key)
        if word is None or not word.told:
            return None
        age_ms = span(self._replica.runtime.now_ms() - word.at_ms)
        return Said(name=word.name[:64], text=word.text[:TEXT_MAX], age_ms=age_ms)


def _decoded(raw: bytes) -> Report | None:
    """The report, if this program can read it."""
    try:
        return decode(Report, raw)
    except DecodeError:
        return None


def _was_closed(failed: Fault) -> bool:
    """Whether the connection was refused, reset or ended by the other side, which a cut network never does."""
    if failed.spec is NET_CLOSED or failed.spec is NODE_UNREGISTERED:
        return True  # That a stranger's certificate was refused is a guess; that the other side closed is not.
    cause = failed.__cause__
    if isinstance(cause, (ConnectionRefusedError, ConnectionResetError)):
        return True
    # Several addresses of one name: asyncio joins what each of them gave.
    return isinstance(cause, OSError) and f"Errno {errno.ECONNREFUSED}]" in str(cause)


def one_line(values: Mapping[str, object]) -> str:
    """Values of an error on one line."""
    shown = (f"{key}={value.hex() if isinstance(value, bytes) else value}" for key, value in values.items())
    return ", ".join(shown)[:TEXT_MAX]
