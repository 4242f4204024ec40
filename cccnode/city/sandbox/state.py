"""Experiments in the state: the only place that knows their groups and items.

sbx                       experiment   int: the number given last
sx/<experiment>           ""           Experiment
                          use          Usage
                          v<action>    tuple of Voice: regulators that said something that needs two
sxp/<experiment><account> ""           Participant
sxl/<experiment><page>    <byte>       bytes: accounts that ever joined, in their order
sxr/<experiment><page>    <byte>       OwnerReport: 256 a page
par/sandbox               ""           Params

Experiments are numbered from 1 in 8 bytes, pages from 0 in 4, both big-endian.
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.sandbox.messages import AREAS_MAX, ASSETS_MAX, REGULATORS_MAX, Area, AssetLimit, Scope
from cccnode.codec import Noun
from cccnode.ledger.pages import place, wide
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.privacy import PublicText
from cccnode.types.scalars import U32, U63, AccountId, Amount, AssetId, Hash, Millis, Name

EXPERIMENTS: Final = b"sx/"
PARTICIPANTS: Final = b"sxp/"
_COUNTERS: Final = b"sbx"
_LIST: Final = b"sxl/"
_REPORT: Final = b"sxr/"
_ONLY: Final = b""
_USE: Final = b"use"


class Status(IntEnum):
    """Where an experiment is."""

    DRAFT = 0
    APPROVED = 1
    RUNNING = 2
    PAUSED = 3
    WINDDOWN = 4
    GRADUATED = 5
    FAILED = 6
    EXPIRED = 7


OPEN: Final = frozenset({Status.DRAFT, Status.APPROVED, Status.RUNNING, Status.PAUSED})
"""Those that expire at their end."""


class Approval(Noun, frozen=True, array_like=True, gc=False):
    """A regulator's agreement."""

    regulator: AccountId
    organisation: Name
    conditions: Hash
    at_ms: Millis


class Consent(Noun, frozen=True, array_like=True, gc=False):
    """A regulator's consent to a later end."""

    regulator: AccountId
    end_ms: Millis


class Experiment(Noun, frozen=True, array_like=True, gc=False):
    """What is tried out, by whom, under whose eyes, and how far it may go."""

    id: U63
    owner: AccountId
    title: PublicText
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=len(Scope))]
    areas: Annotated[tuple[Area, ...], Meta(max_length=AREAS_MAX)]
    participants_max: U32
    limits: Annotated[tuple[AssetLimit, ...], Meta(max_length=ASSETS_MAX)]
    start_ms: Millis
    end_ms: Millis
    risk: Hash
    exit: Hash
    terms: Hash
    regulators: Annotated[tuple[AccountId, ...], Meta(max_length=REGULATORS_MAX)]
    status: Status
    changed_ms: Millis
    """When it came into this status."""
    approvals: Annotated[tuple[Approval, ...], Meta(max_length=REGULATORS_MAX)]
    report_due_ms: Millis
    """When a running one is paused unless its owner has reported."""
    reports: U63
    deadline_ms: Millis
    """When it must be looked at; 0 once it has ended."""
    consent: Consent | None
    result: Hash | None
    """SHA-256 of the final report."""


class AssetUse(Noun, frozen=True, array_like=True, gc=False):
    """What was moved of one asset."""

    asset: AssetId
    entered: Amount


class Usage(Noun, frozen=True, array_like=True, gc=False):
    """How far an experiment has gone."""

    participants: U32 = 0
    """Those that take part now."""
    joined: U63 = 0
    """Accounts that ever joined."""
    entered: Annotated[tuple[AssetUse, ...], Meta(max_length=ASSETS_MAX)] = ()
    """What participants moved into things, all together."""
    last_enter_ms: Millis = 0


class Participant(Noun, frozen=True, array_like=True, gc=False):
    """Somebody who agreed to the terms."""

    terms: Hash
    joined_ms: Millis
    exited_ms: Millis
    """0 as long as the account takes part."""
    used: Annotated[tuple[AssetUse, ...], Meta(max_length=ASSETS_MAX)]
    """What the account moved into things; leaving and joining again does not reset it."""


class Action(IntEnum):
    """What two regulators decide together."""

    RESUME = 0
    ORDER = 1
    FINISH = 2


class Voice(Noun, frozen=True, array_like=True, gc=False):
    """One regulator's word for such an action."""

    regulator: AccountId
    organisation: Name
    subject: bytes
    """What exactly: two voices count together only if it is the same."""


class OwnerReport(Noun, frozen=True, array_like=True, gc=False):
    """What an owner handed in."""

    report: Hash
    at_ms: Millis


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.13)."""

    max_len_ms: Annotated[int, Meta(ge=86_400_000, le=94_608_000_000)] = 31_536_000_000
    """Longest experiment, milliseconds; a year."""
    report_ms: Annotated[int, Meta(ge=3_600_000, le=31_536_000_000)] = 2_592_000_000
    """How often an owner reports, milliseconds; 30 days."""


def take_number(state: Overlay) -> int:
    """The next number of an experiment."""
    number = last_number(state) + 1
    state.put(_COUNTERS, b"experiment", number)
    return number


def last_number(state: Reader) -> int:
    """The number given last; 0 if none was."""
    return state.get(_COUNTERS, b"experiment", int) or 0


def read_experiment(state: Reader, number: int) -> Experiment | None:
    """An experiment, or None."""
    return state.get(EXPERIMENTS + wide(number), _ONLY, Experiment)


def write_experiment(state: Overlay, experiment: Experiment) -> None:
    """Set an experiment."""
    state.put(EXPERIMENTS + wide(experiment.id), _ONLY, experiment)


def read_usage(state: Reader, number: int) -> Usage:
    """How far an experiment has gone."""
    return state.get(EXPERIMENTS + wide(number), _USE, Usage) or Usage()


def write_usage(state: Overlay, number: int, usage: Usage) -> None:
    """Set how far it has gone."""
    state.put(EXPERIMENTS + wide(number), _USE, usage)


def read_voices(state: Reader, number: int, action: Action) -> tuple[Voice, ...]:
    """Who spoke for an action since the status changed."""
    return state.get(EXPERIMENTS + wide(number), _voice(action), tuple[Voice, ...]) or ()


def write_voices(state: Overlay, number: int, action: Action, voices: tuple[Voice, ...]) -> None:
    """Set who spoke for it; nobody leaves no trace."""
    state.put(EXPERIMENTS + wide(number), _voice(action), voices or None)


def read_participant(state: Reader, number: int, account: bytes) -> Participant | None:
    """What is known of an account in an experiment, or None if it never joined."""
    return state.get(PARTICIPANTS + wide(number) + account, _ONLY, Participant)


def write_participant(state: Overlay, number: int, account: bytes, participant: Participant) -> None:
    """Set what is known of an account."""
    state.put(PARTICIPANTS + wide(number) + account, _ONLY, participant)


def read_joined(state: Reader, number: int, index: int) -> bytes | None:
    """The account that joined as number `index`, counted from 0."""
    return state.get(*place(_LIST + wide(number), index), bytes)


def write_joined(state: Overlay, number: int, index: int, account: bytes) -> None:
    """Note an account that joined for the first time."""
    state.put(*place(_LIST + wide(number), index), account)


def read_report(state: Reader, number: int, index: int) -> OwnerReport | None:
    """A report, counted from 0."""
    return state.get(*place(_REPORT + wide(number), index), OwnerReport)


def write_report(state: Overlay, number: int, index: int, report: OwnerReport) -> None:
    """Note a report."""
    state.put(*place(_REPORT + wide(number), index), report)


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "sandbox", Params)


def _voice(action: Action) -> bytes:
    return b"v" + bytes([action])
