"""R13: a process that has just started looks before it signs.

A home restored from a backup, or copied, holds a journal that is older than votes made elsewhere with the same key.
Whoever signs at once could contradict them.  So the first signature waits until a quorum of validators was heard, this
node has reached the view of all but f of them, and the network moved n views without it, or stood still for the time a
leader has: then it is needed.  What others show meanwhile includes own votes that the journal lacks, in certificates or
because whoever links with a validator shows it those of its votes that are not final, and one such vote silences the
node (J22, pain N23).
"""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Watch:
    """What was seen since the start of the process."""

    others: int
    """Other validators that must be heard first."""
    quiet_ms: int
    """How long nothing may move before this node is needed."""
    view: int
    """Newest view seen."""
    views_left: int
    """Views that still have to pass while the network moves."""
    until_ms: int | None = None
    """When it ends if nothing moves; None: too few are heard, or they are ahead."""

    def over(self, *, heard: int, behind: bool, view: int, now_ms: int) -> bool:
        """Whether the node, now in `view`, may sign, so many others having been heard; `behind`: of more than f."""
        if heard < self.others or behind:
            self.until_ms = None
            return False
        if self.until_ms is None:
            self.view, self.until_ms = view, now_ms + self.quiet_ms
        elif view > self.view:
            self.view, self.until_ms, self.views_left = view, now_ms + self.quiet_ms, self.views_left - 1
        return self.views_left <= 0 or now_ms >= self.until_ms
