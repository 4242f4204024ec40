"""Certificates: checked once, held by view, and the walk from a view down to the block it may build on."""

from collections.abc import Iterable, Sequence
from typing import Final

from cccnode.types.certificate import Certificate, Claim
from cccnode.types.vote import Kind, Proposal, vote_bytes
from consensus.config import VerifyMany

VERIFIED_PER_VALIDATOR: Final = 64
"""Remembered valid signatures per validator: the votes of some twenty views, which is when certificates repeat them."""


class Verifier:
    """Checks signatures of one epoch's validators in batches, each only once as long as it is remembered."""

    def __init__(self, *, chain: bytes, epoch: int, keys: Sequence[bytes], verify_many: VerifyMany) -> None:
        """`keys`: the validators' consensus keys in order."""
        self._chain = chain
        self._epoch = epoch
        self._keys = tuple(keys)
        self._verify_many = verify_many
        self._verified: dict[Claim, None] = {}
        self._verified_max = VERIFIED_PER_VALIDATOR * len(keys)

    def check(self, claims: Sequence[Claim]) -> list[bool]:
        """One verdict per claim, with one call for all that are not known to be valid."""
        fresh = [claim for claim in dict.fromkeys(claims) if claim not in self._verified]
        verdicts = dict(zip(fresh, self._verify(fresh), strict=True)) if fresh else {}
        for claim, valid in verdicts.items():
            if valid:
                self.trust(claim)
        return [verdicts.get(claim, True) for claim in claims]

    def known(self, claim: Claim) -> bool:
        """Whether this very signature is remembered as valid."""
        return claim in self._verified

    def trust(self, claim: Claim) -> None:
        """Remember a signature as valid: just verified, or this node's own."""
        self._verified[claim] = None
        if len(self._verified) > self._verified_max:
            del self._verified[next(iter(self._verified))]

    def _verify(self, claims: Sequence[Claim]) -> list[bool]:
        messages: dict[tuple[Kind, Proposal], bytes] = {}
        for kind, proposal, _, _ in claims:
            if (kind, proposal) not in messages:
                messages[kind, proposal] = vote_bytes(kind, self._chain, self._epoch, proposal)
        return self._verify_many(
            [messages[kind, proposal] for kind, proposal, _, _ in claims],
            [signature for _, _, _, signature in claims],
            [self._keys[signer] for _, _, signer, _ in claims],
        )


class CertificateBook:
    """The certificates above the newest final block, and that block's own."""

    __slots__ = ("_skip", "finalization", "notarized", "nullified", "top_notarized")

    def __init__(self, finalization: Certificate | None) -> None:
        """`finalization`: of the newest final block, if held."""
        self.finalization = finalization
        self.notarized: dict[int, Certificate] = {}
        self.nullified: dict[int, Certificate] = {}
        self.top_notarized = 0
        """The highest view with a notarization; 0: none."""
        self._skip: dict[int, int] = {}
        """Shortcuts of `reach`, from a view whose predecessor is nullified to a lower one; compressed by use."""

    def held(self, kind: Kind, view: int) -> Certificate | None:
        """The certificate of this kind for `view`, if held."""
        if kind is Kind.NOTARIZE:
            return self.notarized.get(view)
        if kind is Kind.NULLIFY:
            return self.nullified.get(view)
        final = self.finalization
        return final if final is not None and final.proposal.view == view else None

    def certified(self, view: int) -> Certificate | None:
        """What shows that a block of `view` may be a parent: its notarization or its finalization."""
        return self.notarized.get(view) or self.held(Kind.FINALIZE, view)

    def add(self, certificate: Certificate) -> None:
        """Keep a notarization or a nullification."""
        view = certificate.proposal.view
        if certificate.kind is Kind.NOTARIZE:
            self.notarized[view] = certificate
            self.top_notarized = max(self.top_notarized, view)
        else:
            self.nullified[view] = certificate
            self._skip[view + 1] = view

    def reach(self, view: int) -> int:
        """The lowest u such that every view of u..view-1 is nullified; `view` itself if view-1 is not."""
        path = []
        while view in self._skip:
            path.append(view)
            view = self._skip[view]
        for step in path:
            self._skip[step] = view
        return view

    def of_view(self, view: int) -> list[Certificate]:
        """Notarization and nullification of `view`, whichever are held; both may exist."""
        return [held for held in (self.notarized.get(view), self.nullified.get(view)) if held is not None]

    def prune(self, final_view: int) -> None:
        """Forget everything at and below the newest final view except what certifies its block."""
        self.notarized = {view: held for view, held in self.notarized.items() if view >= final_view}
        self.nullified = {view: held for view, held in self.nullified.items() if view > final_view}
        self._skip = {view: low for view, low in self._skip.items() if view > final_view + 1}
        if self.top_notarized <= final_view:
            self.top_notarized = 0

    def newest_first(self, lo: int, hi: int, count: int) -> list[Certificate]:
        """At most `count` certificates of the views lo..hi, from the top; huge ranges cost nothing."""
        found: list[Certificate] = []
        views: Iterable[int] = range(hi, lo - 1, -1)
        if hi - lo > len(self.notarized) + len(self.nullified):
            views = sorted({view for view in (*self.notarized, *self.nullified) if lo <= view <= hi}, reverse=True)
        for view in views:
            found += self.of_view(view)
            if len(found) >= count:
                break
        return found[:count]
