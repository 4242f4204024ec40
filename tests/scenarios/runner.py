"""Reads a story and plays it: real engines, real message bytes, virtual time, one network.

A story is a text file.  Each line is one thing that happens or one thing that must be true; `#` begins a comment.
README.md lists the words.  At the end of every story it must also be true that all final chains are one, that no honest
validator signed two votes that contradict each other, that none was accused, and that nobody raised an alarm which the
story does not expect.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cccnode.types.block import block_id
from cccnode.types.certificate import Certificate, make_certificate
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.effects import Alarm, Blame, EvidenceFound, Send
from consensus.events import Tick
from consensus.messages import (
    BlockMessage,
    BlockRequest,
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
)
from tests.consensus.cluster import Member
from tests.scenarios.words import KINDS, Line, Setting, Unreadable, Words, lines_of
from tests.simulation.auditor import Violation
from tests.simulation.fakes import make_header

STORIES = Path(__file__).parent / "stories"

MESSAGES: dict[str, tuple[type, ...]] = {
    "proposals": (ProposalMessage,),
    "votes": (VotesMessage,),
    "certificates": (CertificatesMessage,),
    "requests": (CertificatesRequest, BlockRequest),
    "blocks": (BlockMessage,),
    "status": (StatusMessage,),
    "everything": (object,),
}
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": lambda left, right: left == right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
    "<": lambda left, right: left < right,
}


class Failed(AssertionError):
    """The story went another way than it says."""


class Story:
    """A story being played."""

    def __init__(self, setting: Setting) -> None:
        """The network at its start: nothing has happened."""
        self.setting = setting
        self.cluster = setting.cluster()
        self.named: dict[str, Proposal] = {}
        """Blocks that the story made."""
        self.lost: list[tuple[str, list[int] | None, list[int] | None]] = []
        self.sides: dict[int, int] = {}
        self.clogged: set[int] = set()
        self.held: list[tuple[int, int, Message]] = []
        self.alarms: set[int] = set()
        self.stop_when: Kind | None = None
        self.started: dict[int, int] = {}
        """By validator: how many effects it had asked for when it was last restarted."""
        self.cluster.rules.append(self._dropped)
        for member in self.cluster.members:
            if member.alive:
                self.cluster.handle(member, Tick())

    # ----- links

    def _dropped(self, source: int, target: int, message: Message) -> bool:
        if self.sides.get(source) != self.sides.get(target):
            return True
        if any(_matches(what, sources, targets, source, target, message) for what, sources, targets in self.lost):
            return True
        if source in self.clogged or target in self.clogged:
            self.held.append((source, target, message))
            return True
        return False

    def do_partition(self, words: Words) -> None:
        """`partition 0 1 | 2 3`: the sides do not hear each other; whoever is not named is alone."""
        self.sides = {member.index: -1 - member.index for member in self.cluster.members}
        for side, part in enumerate(" ".join(words.left).split("|")):
            self.sides |= dict.fromkeys(map(int, part.split()), side)
        words.left.clear()

    def do_heal(self, words: Words) -> None:
        """`heal`: every message arrives again, those that were held back too."""
        self.sides, self.lost, self.clogged, self.stop_when = {}, [], set(), None
        held, self.held = self.held, []
        for source, target, message in held:
            self.cluster.deliver(source, target, message)

    def do_lose(self, words: Words) -> None:
        """`lose nullify from 0 1 to 2`: such messages are lost from now on."""
        what = words.take()
        if what not in KINDS and what not in MESSAGES:
            raise Unreadable(f"{what!r} is no kind of message")
        sources = words.numbers() if words.has("from") else None
        self.lost.append((what, sources, words.numbers() if words.has("to") else None))

    def do_clog(self, words: Words) -> None:
        """`clog 0 1`: whatever they send, or is sent to them, is held back."""
        self.clogged |= set(words.numbers())

    def do_unclog(self, words: Words) -> None:
        """`unclog 0`: what was held back flows, the newest first."""
        self.clogged -= set(words.numbers())
        held, self.held = self.held, []
        for source, target, message in reversed(held):
            self.cluster.deliver(source, target, message)

    # ----- time and work

    def do_run(self, words: Words) -> None:
        """`run 1000`: so many milliseconds pass."""
        self.cluster.run(words.number())

    do_tick = do_run

    def do_deliver(self, words: Words) -> None:
        """`deliver`: what is on the way arrives, with all that follows at once."""
        self.cluster.run(self.cluster.delay_ms)

    def do_work(self, words: Words) -> None:
        """`work all`, `work 0 1`: batches wait at these validators."""
        self.cluster.pending(True, *self._members(words))

    def do_rest(self, words: Words) -> None:
        """`rest all`: no batches wait any more."""
        self.cluster.pending(False, *self._members(words))

    # ----- crashes and disks

    def do_crash(self, words: Words) -> None:
        """`crash 1`, `crash 1 keeping 0`, `crash 1 after 3 effects`, `crash all after sending nullify`."""
        chosen = self._members(words)
        if words.has("after", "sending"):
            self.stop_when = words.one_of(KINDS)
            self._crash_as_they_speak(chosen)
        elif words.has("after"):
            count = words.number()
            words.expect("effects")
            for index in chosen:
                self.cluster.members[index].crash_after = count
        else:
            keep = words.number() if words.has("keeping") else None
            for index in chosen:
                self.cluster.crash(self.cluster.members[index], keep=keep)

    def _crash_as_they_speak(self, chosen: list[int]) -> None:
        """Each stops right after its first vote of the kind; nobody hears that vote."""
        transmit, kind = self.cluster.transmit, self.stop_when

        def silenced(source: Member, to: bytes | None, message: Message) -> None:
            hit = isinstance(message, VotesMessage) and any(vote.kind is kind for vote in message.votes)
            if self.stop_when is kind and hit and source.index in chosen:
                source.crash_after = 0
                return
            transmit(source, to, message)

        self.cluster.transmit = silenced  # type: ignore[method-assign]  # until the story heals

    def do_restart(self, words: Words) -> None:
        """`restart 1`, `restart 1 watching`, `restart 1 without journal`, `restart 1 with an empty journal`."""
        chosen = self._members(words)
        lost = words.has("without", "journal")
        empty = words.has("with", "an", "empty", "journal")
        watch = words.has("watching")
        for index in chosen:
            member = self.cluster.members[index]
            member.crash_after, member.watch = None, watch
            if lost or empty:
                member.journal = []
            if lost:
                member.observe = "consensus/JOURNAL_LOST"
            self.started[index] = len(member.effects)
            waiting = bool(self.cluster.batch.get(index))
            self.cluster.restart(member)
            if waiting:
                self.cluster.pending(True, index)

    # ----- drivers

    def do_withhold(self, words: Words) -> None:
        """`withhold bodies from 0 1`: what a block lists does not reach them."""
        words.expect("bodies")
        words.expect("from")
        for index in self._members(words):
            self.cluster.members[index].checks = False

    def do_give(self, words: Words) -> None:
        """`give bodies to 0`: it reaches them again, if they ask."""
        words.expect("bodies")
        words.expect("to")
        for index in self._members(words):
            self.cluster.members[index].checks = True

    def do_stop(self, words: Words) -> None:
        """`stop executing 0`: final blocks pile up there."""
        words.expect("executing")
        for index in self._members(words):
            self.cluster.members[index].executes = False

    def do_go(self, words: Words) -> None:
        """`go on executing 0`."""
        words.expect("on")
        words.expect("executing")
        for index in self._members(words):
            member = self.cluster.members[index]
            member.executes = True
            self.cluster.execute(member)

    def do_root(self, words: Words) -> None:
        """`root 7 at 0 1`: executing gives them another state."""
        root = bytes([words.number()]) * 32
        words.expect("at")
        for index in self._members(words):
            self.cluster.members[index].root = root

    def do_decline(self, words: Words) -> None:
        """`decline 0`: it cannot build, as long as it catches up."""
        for index in self._members(words):
            self.cluster.members[index].declines = True

    def do_clock(self, words: Words) -> None:
        """`clock 0 +3600000`: its wall clock is so far ahead."""
        member = self.cluster.members[words.number()]
        member.ahead_ms = words.number()

    # ----- what liars say

    def do_block(self, words: Words) -> None:
        """`block x view 1 on genesis by 3`: a block that nobody was shown; `time 5` makes it another."""
        name = words.take()
        words.expect("view")
        view = words.number()
        words.expect("on")
        parent = self._named(words.take())
        words.expect("by")
        author = words.number()
        time_ms = words.number() if words.has("time") else 0
        root = bytes([words.number()]) * 32 if words.has("root") else bytes(32)
        below = self.cluster.blocks.get(parent.block_id, self.cluster.genesis.header)
        header = make_header(
            below, view=view, parent_view=parent.view, proposer=author, time_ms=time_ms, state_root=root
        )
        self.cluster.blocks[block_id(header)] = header
        self.named[name] = Proposal(view, parent.view, header.height, block_id(header))

    def do_propose(self, words: Words) -> None:
        """`propose x to 0 1 with notarize y by 0 1 3, nullify 2 by 0 1 3`: its maker shows it, with these proofs."""
        proposal = self._named(words.take())
        header = self.cluster.blocks[proposal.block_id]
        words.expect("to")
        targets = self._members(words)
        proofs = tuple(self._certificates(words)) if words.has("with") else ()
        vote = self.cluster.vote(header.proposer, Kind.NOTARIZE, proposal)
        self._voted(vote.signer, Kind.NOTARIZE, proposal)
        message = ProposalMessage(0, proposal, header, (), proofs, None, 0, vote.signature)
        self._say(header.proposer, targets, message)

    def do_vote(self, words: Words) -> None:
        """`vote 3 notarize x to 0 1`, `vote 3 nullify 2 to 0`: a vote with a good signature."""
        signer, kind, proposal = words.number(), words.one_of(KINDS), self._subject(words)
        words.expect("to")
        vote = self.cluster.vote(signer, kind, proposal)
        self._voted(signer, kind, proposal)
        self._say(signer, self._members(words), VotesMessage(0, 0, (vote,)))

    def do_show(self, words: Words) -> None:
        """`show 0 1 notarize x by 1 2 3`: these validators get certificates, from the last signer."""
        targets = self._members(words)
        certificates = tuple(self._certificates(words))
        source = self.setting.liars[0] if self.setting.liars else len(self.cluster.members) - 1
        self._say(source, targets, CertificatesMessage(0, certificates))

    def _say(self, source: int, targets: list[int], message: Message) -> None:
        """What the story makes up arrives, whatever is lost otherwise."""
        for target in targets:
            member = self.cluster.members[target]
            self.cluster.at(self.cluster.delay_ms, partial(self.cluster.receive, member, source, message))

    def _certificates(self, words: Words) -> Iterator[Certificate]:
        while words.left:
            kind, proposal = words.one_of(KINDS), self._subject(words)
            words.expect("by")
            signers = self._members(words)
            for signer in signers:
                self._voted(signer, kind, proposal)
            signatures = {signer: self.cluster.vote(signer, kind, proposal).signature for signer in signers}
            yield make_certificate(kind, proposal, signatures, self.setting.validators)
            if words.left:
                words.expect(",")

    def _voted(self, signer: int, kind: Kind, proposal: Proposal) -> None:
        """Signatures that the story makes up count only for liars: an honest one made its own."""
        if self.cluster.audit is not None and signer in self.setting.liars:
            self.cluster.audit.vote(0, signer, kind, proposal)

    # ----- what must be true

    def do_expect(self, words: Words) -> None:
        """`expect final >= 3 at 0 1 within 5000`, `expect no alarm`, `expect evidence against 3` and so on."""
        wrong = words.has("not") or words.has("no")
        subject = words.take()
        check = getattr(self, f"_expect_{subject}", None)
        if check is None:
            raise Unreadable(f"nobody knows how to expect {subject!r}")
        holds: Callable[[], bool] = check(words)
        true = self.cluster.run(words.number(), holds) if words.has("within") else holds()
        if true == wrong:
            raise Failed(self.picture())

    def _number(self, words: Words, value: Callable[[Member], int]) -> Callable[[], bool]:
        compare, wanted = words.one_of(COMPARE), words.number()
        chosen = self._members(words) if words.has("at") else self._honest()
        return lambda: all(compare(value(self.cluster.members[index]), wanted) for index in chosen)

    def _expect_final(self, words: Words) -> Callable[[], bool]:
        return self._number(words, lambda member: member.height)

    def _expect_executed(self, words: Words) -> Callable[[], bool]:
        return self._number(words, lambda member: len(member.final) - 1)

    def _expect_view(self, words: Words) -> Callable[[], bool]:
        return self._number(words, lambda member: member.engine.status().view)

    def _expect_epoch(self, words: Words) -> Callable[[], bool]:
        return self._number(words, lambda member: member.epoch)

    def _expect_e(self, words: Words) -> Callable[[], bool]:
        return self._number(words, lambda member: self.cluster.blocks[member.delivered[-1]].exec_height)

    def _expect_listed(self, words: Words) -> Callable[[], bool]:
        """How many of the final blocks list anything."""
        blocks = self.cluster.blocks
        return self._number(words, lambda member: sum(blocks[b].tx_count > 0 for b in member.delivered[1:]))

    def _expect_votes(self, words: Words) -> Callable[[], bool]:
        """How many votes it sent since its last start, of one kind or of all: `expect votes nullify = 0 at 1`."""
        kinds = {words.one_of(KINDS)} if words.left[:1] and words.left[0] in KINDS else set(Kind)

        def votes(member: Member) -> int:
            effects = member.effects[self.started.get(member.index, 0) :]
            said = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, VotesMessage)]
            return sum(vote.kind in kinds for message in said for vote in message.votes)

        return self._number(words, votes)

    def _expect_signed(self, words: Words) -> Callable[[], bool]:
        """`expect signed nullify 1 at 0`: its memory says so."""
        kind, view = words.one_of(KINDS), words.number()
        words.expect("at")
        chosen = self._members(words)
        name = {Kind.NOTARIZE: "notarized", Kind.NULLIFY: "nullified", Kind.FINALIZE: "finalized"}[kind]
        members = self.cluster.members
        return lambda: all(getattr(members[i].engine._core.guard.of(view), name) is not None for i in chosen)

    def _expect_chain(self, words: Words) -> Callable[[], bool]:
        """`expect chain with x`, `expect not chain with x`; `expect chain with view 1`."""
        words.expect("with")
        if words.has("view"):
            view = words.number()
            return lambda: any(header.view == view for header in self._longest().final[1:])
        proposal = self._named(words.take())
        return lambda: proposal.block_id in self._longest().delivered

    def _expect_alarm(self, words: Words) -> Callable[[], bool]:
        chosen = self._members(words) if words.has("at") else self._honest()
        self.alarms |= set(chosen)
        return lambda: all(self.cluster.members[index].of(Alarm) for index in chosen)

    def _expect_observing(self, words: Words) -> Callable[[], bool]:
        name = words.take()
        words.expect("at")
        chosen = self._members(words)
        return lambda: all(self.cluster.members[index].engine.observing == name for index in chosen)

    def _expect_evidence(self, words: Words) -> Callable[[], bool]:
        words.expect("against")
        guilty = words.number()
        return lambda: any(
            effect.first.signer == guilty for member in self.cluster.members for effect in member.of(EvidenceFound)
        )

    def _expect_blame(self, words: Words) -> Callable[[], bool]:
        words.expect("of")
        guilty = words.number()
        return lambda: any(effect.validator == guilty for member in self.cluster.members for effect in member.of(Blame))

    # ----- helpers

    def _honest(self) -> list[int]:
        return [member.index for member in self.cluster.alive if member.index not in self.setting.liars]

    def _longest(self) -> Member:
        return max(self.cluster.members, key=lambda member: len(member.delivered))

    def _members(self, words: Words) -> list[int]:
        if words.has("all"):
            return [i for i in range(len(self.cluster.members)) if i not in self.setting.liars]
        chosen = words.numbers()
        if not chosen:
            raise Unreadable("nobody is named")
        return chosen

    def _named(self, name: str) -> Proposal:
        if name == "genesis":
            return Proposal(0, 0, 0, self.cluster.genesis.block_id)
        if name not in self.named:
            raise Unreadable(f"there is no block {name!r}")
        return self.named[name]

    def _subject(self, words: Words) -> Proposal:
        word = words.take()
        return nullified(int(word)) if word.isdigit() else self._named(word)

    def picture(self) -> str:
        """Where everybody stands."""
        return "; ".join(
            f"{m.index}{'' if m.alive else ' (down)'}: final {m.height}, executed {len(m.final) - 1}, "
            f"epoch {m.epoch}, view {m.engine.status().view}"
            for m in self.cluster.members
        )

    def end(self) -> None:
        """What must be true of every story."""
        self.cluster.agree()
        for member in self.cluster.members:
            if member.index in self.setting.liars:
                continue
            if member.of(Alarm) and member.index not in self.alarms:
                raise Failed(f"alarm at {member.index}: {member.of(Alarm)[0].reason}")
            for effect in (*member.of(EvidenceFound), *member.of(Blame)):
                guilty = effect.first.signer if isinstance(effect, EvidenceFound) else effect.validator
                if guilty is not None and guilty not in self.setting.liars:
                    raise Failed(f"{member.index} accuses the honest {guilty}: {effect}")


def _matches(
    what: str, sources: list[int] | None, targets: list[int] | None, source: int, target: int, message: Message
) -> bool:
    """Whether a message is one of those that are lost."""
    if (sources is not None and source not in sources) or (targets is not None and target not in targets):
        return False
    if what in KINDS:
        return isinstance(message, VotesMessage) and any(vote.kind is KINDS[what] for vote in message.votes)
    return isinstance(message, MESSAGES[what])


def play(text: str) -> Story:
    """Play a story to its end.

    Raises:
        Failed: something went another way than it says.
        Unreadable: a line means nothing.
    """
    setting, story = Setting(), None
    line = Line(0, "")
    try:
        for line in lines_of(text):
            story = _play_line(line, setting, story)
        _end(story)
    except Unreadable as error:
        raise Unreadable(f"line {line.number}, `{line.text}`: {error}") from error
    except (AssertionError, Violation) as error:
        raise Failed(f"line {line.number}, `{line.text}`: {error}") from error
    assert story is not None, "an empty story is unreadable"
    return story


def _play_line(line: Line, setting: Setting, story: Story | None) -> Story | None:
    """One line; the first that is none of the setting begins the story."""
    words = line.words
    verb = words.take()
    if story is None and setting.read(verb, words):
        return None
    story = story or Story(setting)
    action = getattr(story, f"do_{verb}", None)
    if action is None:
        raise Unreadable(f"nobody knows how to {verb!r}")
    action(words)
    words.end()
    return story


def _end(story: Story | None) -> None:
    if story is None:
        raise Unreadable("nothing happens")
    story.end()


def play_file(name: str) -> Story:
    """Play one of the stories of this folder."""
    return play((STORIES / f"{name}.txt").read_text(encoding="utf-8"))


def names() -> list[str]:
    """All stories."""
    return sorted(path.stem for path in STORIES.glob("*.txt"))
