"""From tallies to a verdict: quorums, thresholds, vetoes, and which chambers carry a proposal."""

from collections.abc import Sequence

from cccnode.city.gov.state import CITIZENS, Mode, Rule, Status, Tally
from cccnode.ledger.policies import Verdict, judge
from cccnode.types.units import BPS


class Carrying:
    """The facts by which the chambers' policy is judged."""

    owner: bytes | None = None
    approving: Sequence[bytes] = ()

    def __init__(self, carried: Sequence[bool]) -> None:
        """`carried`: whether each chamber carried it, by its number."""
        self._carried = carried

    def has_role(self, account: bytes, name: str) -> bool:
        """Nobody approves here."""
        return False

    def organisation(self, account: bytes) -> str:
        """Likewise."""
        return ""

    def pillar(self, account: bytes) -> int:
        """Likewise."""
        return 0

    def carried(self, pillar: int) -> bool:
        """Whether that chamber carried the proposal."""
        return self._carried[pillar]


def cast(tally: Tally) -> int:
    """Weight of all votes."""
    return tally.yes + tally.no + tally.abstain + tally.veto


def reached(tally: Tally, quorum: int) -> bool:
    """Whether enough have voted."""
    return tally.total > 0 and cast(tally) * BPS >= quorum * tally.total


def vetoed(tally: Tally) -> bool:
    """Whether more than a third of the votes are vetoes."""
    return tally.veto * 3 > cast(tally)


def won(tally: Tally, threshold: int) -> bool:
    """Whether yes has more than its share, and no veto stands against it."""
    said = tally.yes + tally.no + tally.veto
    return said > 0 and tally.yes * BPS > threshold * said and not vetoed(tally)


def quorum_of(rule: Rule, chamber: int) -> int:
    """The quorum of a tally."""
    if chamber == 0:
        return rule.quorum
    return rule.citizens_quorum if chamber == CITIZENS else rule.organisations_quorum


def chambers_verdict(rule: Rule, tallies: Sequence[Tally]) -> Verdict | None:
    """Which chambers carry it, and whether these suffice; None where no chamber is asked."""
    if rule.chambers is None:
        return None
    carried = [reached(t, quorum_of(rule, i)) and won(t, rule.threshold) for i, t in enumerate(tallies)]
    return judge(rule.chambers, Carrying(carried))


def quorate(rule: Rule, tallies: Sequence[Tally]) -> bool:
    """Whether everybody whose vote is needed has voted in sufficient number."""
    if rule.mode is not Mode.NOBODY and not reached(tallies[0], rule.quorum):
        return False
    if rule.chambers is None:
        return True
    enough = [reached(tally, quorum_of(rule, chamber)) for chamber, tally in enumerate(tallies)]
    return judge(rule.chambers, Carrying(enough)).holds


def outcome(rule: Rule, tallies: Sequence[Tally]) -> Status:
    """PASSED, REJECTED_QUORUM, REJECTED or VETOED."""
    verdict = chambers_verdict(rule, tallies)
    together = rule.mode is Mode.NOBODY or (reached(tallies[0], rule.quorum) and won(tallies[0], rule.threshold))
    if together and (verdict is None or verdict.holds):
        return Status.PASSED
    if not quorate(rule, tallies):
        return Status.REJECTED_QUORUM
    return Status.VETOED if _stopped_by_veto(rule, tallies) else Status.REJECTED


def _stopped_by_veto(rule: Rule, tallies: Sequence[Tally]) -> bool:
    """Whether vetoes alone keep it from passing: those counted together, or too many chambers."""
    if rule.mode is not Mode.NOBODY and vetoed(tallies[0]):
        return True
    if rule.chambers is None:
        return False
    standing = [not (reached(t, quorum_of(rule, i)) and vetoed(t)) for i, t in enumerate(tallies)]
    return not judge(rule.chambers, Carrying(standing)).holds
