"""What organisations, regulators and participants of an experiment say.  Tags 0x09nn; a number is never used again."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.privacy import PublicText
from cccnode.types.scalars import U63, AccountId, Amount, AssetId, Hash, Millis

NUMBER: Final = 9

REGULATORS_MAX: Final = 8
ASSETS_MAX: Final = 8
AREAS_MAX: Final = 16
Area = Annotated[str, Meta(max_length=5, pattern="^[0-9b-hjkmnp-z]*$(?!\\n)")]
"""Geohash prefix; empty for everywhere."""


class Scope(IntEnum):
    """What an experiment's money may be used for."""

    BANK = 0
    """Minting and transfers."""
    MARKET = 1
    LENDING = 2
    PROJECTS = 3


class AssetLimit(Noun, frozen=True, array_like=True, gc=False):
    """How far an experiment may go with one asset, base units; nil: as far as it likes."""

    asset: AssetId
    supply: Amount | None
    """What may exist of it."""
    per_tx: Amount | None
    """What one transfer, order, loan or pledge may move; minting is not meant."""
    per_account: Amount | None
    """What one participant may move into things, over the whole experiment."""
    escrow: Amount | None
    """What may wait in the market at one time."""


class SbxPropose(Noun, tag=0x0901, frozen=True, array_like=True, gc=False):
    """Describe an experiment; the sender is the organisation that answers for it."""

    title: PublicText
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]
    areas: Annotated[tuple[Area, ...], Meta(max_length=AREAS_MAX)]
    """Where it takes place; for people, not enforced."""
    participants_max: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    limits: Annotated[tuple[AssetLimit, ...], Meta(min_length=1, max_length=ASSETS_MAX)]
    start_ms: Millis
    end_ms: Millis
    """The first millisecond after it."""
    risk: Hash
    """SHA-256 of the risk plan, which is kept elsewhere, like the two that follow."""
    exit: Hash
    """Of the plan how participants get out."""
    terms: Hash
    """Of what participants agree to."""
    regulators: Annotated[tuple[AccountId, ...], Meta(min_length=2, max_length=REGULATORS_MAX)]


class SbxApprove(Noun, tag=0x0902, frozen=True, array_like=True, gc=False):
    """A named regulator agrees to a proposed experiment."""

    experiment: U63
    conditions: Hash
    """SHA-256 of the conditions."""


class SbxStart(Noun, tag=0x0903, frozen=True, array_like=True, gc=False):
    """The owner begins an approved experiment."""

    experiment: U63


class SbxJoin(Noun, tag=0x0904, frozen=True, array_like=True, gc=False):
    """Take part, knowing the terms."""

    experiment: U63
    terms: Hash
    """SHA-256 of exactly the terms that were read."""


class SbxExit(Noun, tag=0x0905, frozen=True, array_like=True, gc=False):
    """Take part no longer.  Always possible; what is owned may still be redeemed."""

    experiment: U63


class SbxPause(Noun, tag=0x0906, frozen=True, array_like=True, gc=False):
    """One named regulator stops everything that enters, at once."""

    experiment: U63
    reason: Hash


class SbxResume(Noun, tag=0x0907, frozen=True, array_like=True, gc=False):
    """Go on after a pause; two named regulators of different organisations say so."""

    experiment: U63


class SbxOrder(Noun, tag=0x0908, frozen=True, array_like=True, gc=False):
    """Wind an experiment down; two named regulators of different organisations order it."""

    experiment: U63
    reason: Hash


class SbxReport(Noun, tag=0x0909, frozen=True, array_like=True, gc=False):
    """The owner reports; without a report in time the experiment is paused."""

    experiment: U63
    report: Hash


class Outcome(IntEnum):
    """How an experiment ended."""

    GRADUATED = 0
    FAILED = 1


class SbxFinish(Noun, tag=0x090A, frozen=True, array_like=True, gc=False):
    """Say how an experiment ended; two named regulators of different organisations agree."""

    experiment: U63
    outcome: Outcome
    report: Hash


class SbxExtend(Noun, tag=0x090B, frozen=True, array_like=True, gc=False):
    """Let an experiment end later: the city's vote, to an end that one of its regulators consented to."""

    experiment: U63
    end_ms: Millis


class SbxConsent(Noun, tag=0x090C, frozen=True, array_like=True, gc=False):
    """A named regulator consents to a later end, if the city votes for it."""

    experiment: U63
    end_ms: Millis


class SbxCityResume(Noun, tag=0x090D, frozen=True, array_like=True, gc=False):
    """Go on after a pause: the city's vote."""

    experiment: U63
