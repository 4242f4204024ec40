"""Links that are up: pings, reports, flow control, and what happens when a second connection of the same node comes.

Of two connections of one identity the first stays if it answers a probe: then the second is refused by name, and both
hear of it.  If it does not, it is the remains of a node that was cut off or restarted, and the second takes its place.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from cccnode.types.errors import NET_DUPLICATE, NET_MALFORMED, NET_OVERSIZE, NET_SILENT, Fault, fault
from cccnode.types.limits import NODE_REPORT_BYTES_MAX
from cccnode.types.validators import node_id
from p2p import handshake
from p2p.connection import Link
from p2p.frames import Channel
from p2p.heard import Latest, word
from p2p.messages import Ack, Hello, Notice, Pause, Ping, Pong, Reject, Report, Resume, read_link
from p2p.peers import Heard, LastWord, Settings
from p2p.scores import Meter, Offence

WORDS_PER_SECOND_MAX: Final = 20
"""Reports and notices that one peer may send in a second; an honest one sends six."""
NOTICE_MS: Final = 1_000
"""A node is told of a second process with its key at most this often."""


@dataclass(slots=True)
class Contender:
    """A second connection of a live identity, which waits until the first is probed."""

    link: Link
    admit: Callable[[], None]
    """The first is dead: let it in, as things stand then."""
    refuse: Callable[[Fault], None]
    """The first is alive."""


@dataclass(slots=True)
class Live:
    """State of a link that is up."""

    node_key: bytes
    since_ms: int
    height: int
    listen: str
    program: str
    words: Meter
    rtt_ms: int | None = None
    skew_ms: int | None = None
    ping_number: int = 0
    pinged_ms: int | None = None
    """When the unanswered ping left; None if all are answered."""
    next_ping_ms: int = 0
    noticed_ms: int = -NOTICE_MS
    """When it was last told of a second connection of its identity."""
    contender: Contender | None = None
    contender_timer: asyncio.TimerHandle | None = None


class Company(Protocol):
    """What the network knows beside its links, and wants to hear of them."""

    @property
    def height(self) -> int:
        """What pings say."""

    def now_ms(self) -> int:
        """Monotonic time."""

    def noticed(self, live: Live, notice: Notice) -> None:
        """A peer tells something for people."""

    def offence(self, peer: bytes, offence: Offence, detail: str = "") -> None:
        """A peer broke a rule."""


class Keeping:
    """The links that are up, by node key, and what was heard on them last."""

    def __init__(self, company: Company, settings: Settings, wall_ms: Callable[[], int]) -> None:
        """No link is up."""
        self._company = company
        self._settings = settings
        self._wall_ms = wall_ms
        self._report = b""
        """What this node says of itself; empty until it says something."""
        self._told_ms = -settings.report_repeat_ms
        """When all peers were told it last."""
        self._timer: asyncio.TimerHandle | None = None
        self.links: dict[bytes, Link] = {}
        self.reports: Latest[Heard] = Latest()
        self.words: Latest[LastWord] = Latest()

    # Coming and going

    def live(self) -> Iterator[tuple[Link, Live]]:
        """The links by node key."""
        for _, link in sorted(self.links.items()):
            if isinstance(link.state, Live):
                yield link, link.state

    def add(self, link: Link, node_key: bytes, *, height: int, listen: str, program: str) -> Live:
        """A link is up."""
        words = Meter(WORDS_PER_SECOND_MAX)
        live = Live(node_key, self._company.now_ms(), height, listen, program, words)
        link.state = live
        self.links[node_key] = link
        self._ping(link, live)
        if self._report:
            link.tell(Report(self._report))
        return live

    def remove(self, link: Link, live: Live) -> Contender | None:
        """A link is gone; return who waited for its place."""
        if live.contender_timer is not None:
            live.contender_timer.cancel()
        if self.links.get(live.node_key) is link:
            del self.links[live.node_key]
        return live.contender

    def stop(self) -> None:
        """Nothing is left to be done later."""
        if self._timer is not None:
            self._timer.cancel()

    # Two connections of one identity

    def contest(self, first: Link, contender: Contender) -> None:
        """A second connection of a live identity came: it waits, while the first one is asked for a sign of life."""
        live = first.state
        assert isinstance(live, Live), "established links only"
        waiting, live.contender = live.contender, contender
        if waiting is not None:
            # The newest waits: the older one may be a try of the same process that it gave up meanwhile.
            self._refuse(waiting, live, first)
            return
        silent = fault(NET_SILENT, why="another connection of this node came, and this one did not answer")
        seconds = self._settings.probe_ms / 1000
        loop = asyncio.get_running_loop()
        live.contender_timer = loop.call_later(seconds, lambda: first.end(silent, farewell=False))
        self._ping(first, live)

    def _keep(self, link: Link, live: Live) -> None:
        """The first connection answered: both sides learn of the second."""
        contender = live.contender
        if contender is None or live.contender_timer is None:
            return
        live.contender_timer.cancel()
        live.contender = live.contender_timer = None
        if contender.link.closing:
            return
        now = self._company.now_ms()
        if now - live.noticed_ms >= NOTICE_MS:  # however often the other one tries
            live.noticed_ms = now
            text = f"a second connection of node {node_id(live.node_key).hex()}: {contender.link.address}"
            link.tell(Notice(NET_DUPLICATE.name, text))
        self._refuse(contender, live, link)

    def _refuse(self, contender: Contender, live: Live, first: Link) -> None:
        if not contender.link.closing:
            contender.refuse(fault(NET_DUPLICATE, node_id=node_id(live.node_key), live_from=first.address))

    # Reports

    def set_report(self, raw: bytes) -> None:
        """Tell all peers how this node is: at once if that changed, and not too often either way.

        Raises:
            Fault: NET_OVERSIZE, our own mistake.
        """
        if len(raw) > NODE_REPORT_BYTES_MAX:
            raise fault(NET_OVERSIZE, size=len(raw), at_most=NODE_REPORT_BYTES_MAX)
        settings, since_ms = self._settings, self._company.now_ms() - self._told_ms
        changed, self._report = raw != self._report, raw
        if self._timer is not None:  # what waits to be told is what stands here when the time comes
            return
        if changed and since_ms < settings.report_ms:
            seconds = (settings.report_ms - since_ms) / 1000
            self._timer = asyncio.get_running_loop().call_later(seconds, self._tell_report)
        elif changed or since_ms >= settings.report_repeat_ms:
            self._tell_report()

    def _tell_report(self) -> None:
        self._timer = None
        self._told_ms = self._company.now_ms()
        message = Report(self._report)
        for link, _ in self.live():
            link.tell(message)

    # What peers say

    def on_message(self, link: Link, live: Live, payload: bytes) -> None:
        """A payload on LINK."""
        try:
            message = read_link(payload)
        except Fault as reason:
            link.end(reason, farewell=True)
            return
        match message:
            case Ping(number=number, height=height):
                live.height = max(live.height, height)
                link.tell(Pong(number, self._wall_ms(), self._company.height))
            case Pong():
                self._on_pong(link, live, message)
            case Pause(channel=channel):
                link.stop_channel(Channel(channel))
            case Resume(channel=channel):
                link.open_channel(Channel(channel))
            case Reject():
                link.end(handshake.told(message), farewell=False)
            case Notice() | Report():
                self._on_word(live, message)
            case Hello() | Ack():
                link.end(fault(NET_MALFORMED, why="a handshake on a live link"), farewell=True)

    def _on_word(self, live: Live, message: Notice | Report) -> None:
        now = self._company.now_ms()
        if live.words.exceeded(now):
            self._company.offence(live.node_key, Offence.FLOOD, "reports and notices")
        elif isinstance(message, Report):
            self.reports.put(live.node_key, Heard(raw=message.raw, at_ms=now))
        else:
            self.words.put(live.node_key, word(message.name, message.text, told=True, at_ms=now))
            self._company.noticed(live, message)

    def _ping(self, link: Link, live: Live) -> None:
        now = self._company.now_ms()
        live.ping_number += 1
        live.pinged_ms = now
        live.next_ping_ms = now + self._settings.ping_ms
        link.tell(Ping(live.ping_number, self._wall_ms(), self._company.height))

    def _on_pong(self, link: Link, live: Live, pong: Pong) -> None:
        if pong.number != live.ping_number or live.pinged_ms is None:
            return
        live.rtt_ms = self._company.now_ms() - live.pinged_ms
        live.skew_ms = pong.wall_ms + live.rtt_ms // 2 - self._wall_ms()
        live.height = max(live.height, pong.height)
        live.pinged_ms = None
        self._keep(link, live)

    def beat(self) -> None:
        """Find dead links, ping the others; to be called once a second or oftener."""
        settings, now = self._settings, self._company.now_ms()
        for link, live in list(self.live()):
            if link.closing:
                continue
            blocked_ms = now - link.blocked_ms if link.blocked_ms is not None else 0
            silent_ms = now - link.heard_ms if link.reading else 0
            if max(blocked_ms, silent_ms) > settings.silence_ms:
                why = "takes nothing" if blocked_ms > settings.silence_ms else "says nothing"
                link.end(fault(NET_SILENT, node_id=node_id(live.node_key), why=why), farewell=False)
            elif now >= live.next_ping_ms:
                self._ping(link, live)
