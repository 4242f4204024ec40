"""What a city module is, as data: messages, queries, verbs, error rows, accounts, genesis and end-of-block hooks.

Everything outside derives from these rows: the decoder and dispatch (registry.py), RPC query routes, CLI verbs,
reference pages and the tests that every module must pass.  A module therefore needs its folder and one line in the
city's tuple, and no change elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.block import Header
from cccnode.types.errors import ErrorSpec
from cccnode.types.receipt import Field
from cccnode.types.validators import EpochRecord

Event = tuple[Field, ...]

APPLICATIONS: Final = "applications"
"""Counter of `Context.counters`: free membership applications in this block."""


@dataclass(slots=True)
class Context:
    """What a handler may see: state and block, nothing else (J15).  One object per block, re-aimed per transaction."""

    state: Overlay
    height: int
    time_ms: int
    """Time of the block: the only clock of the rules (D13)."""
    module_accounts: frozenset[bytes]
    """Accounts that belong to modules: nobody signs for them and nobody may transfer to them (modules.md R7)."""
    header: Header | None = None
    """Header of the block; None only in tests of modules that do not read it."""
    record: EpochRecord | None = None
    """The epoch record that the header names, None likewise."""
    account: bytes = b""
    """On whose behalf the message acts."""
    events: list[Event] = field(default_factory=list)
    """What the current transaction (or the block-level rules) made known; dropped when it fails."""
    counters: dict[str, int] = field(default_factory=dict)
    """Counts within this block, by name: for per-block rates."""

    def emit(self, module: str, name: str, *fields: Field) -> None:
        """Make an event known: [module, name, fields...]."""
        self.events.append((module, name, *fields))


Handler = Callable[[Context, Any], None]
"""Carries out one message: checks first (raising `Fault`), changes after.  A raised fault undoes the transaction."""
Weight = int | Callable[[Any], int]
"""Static cost of a message for the block limit (J2): a number, or a function of the message alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message type and its rule."""

    kind: type[Noun]
    """A noun with tag = module number << 8 | message number; a number is never used again."""
    handle: Handler
    weight: Weight = 1
    en: str
    """What it does, one sentence: help text and reference page."""
    th: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question that anyone may ask about the applied state; RPC serves it under `method`."""

    method: str
    """`area_verb`, such as `bank_balance`."""
    params: type[Noun]
    """A noun with the named parameters, its constraints included; RPC derives their JSON form from it."""
    result: Any
    """Type of the answer, nouns all the way down; RPC derives its JSON form from it."""
    answer: Callable[[Reader, Any], object]
    """Pure; raises `Fault` (rpc/NOT_FOUND or a row of the module)."""
    en: str
    th: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One CLI verb under `cccnode tx`: how its arguments fill a message."""

    name: str
    """Such as `transfer`."""
    kind: type[Noun]
    """The message that it sends; arguments are the fields of that noun, in order."""
    positional: tuple[str, ...] = ()
    """Fields given by place instead of by --name."""
    defaults: tuple[tuple[str, object], ...] = ()
    """Fields that need not be given, with their values in JSON form."""
    en: str
    th: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One function of the city."""

    number: int
    """High byte of its message tags; error codes are number * 1000 + n.  Never used again."""
    name: str
    messages: tuple[Message, ...] = ()
    queries: tuple[Query, ...] = ()
    verbs: tuple[Verb, ...] = ()
    errors: tuple[ErrorSpec, ...] = ()
    accounts: tuple[str, ...] = ()
    """Names of the accounts it owns (`fees`); see `state.module_account`."""
    parameters: type[Noun] | None = None
    """What genesis may set for it; see `cccnode.ledger.parameters`."""
    genesis: Callable[[Overlay, Any], None] | None = None
    """Writes the first state out of the genesis, without its accounts; raises `Fault` (genesis/INVALID)."""
    genesis_accounts: Callable[[Overlay, Any, Sequence[Any]], None] | None = None
    """Writes a part of the genesis accounts, in their order, after all modules wrote the rest."""
    end_block: Callable[[Context], None] | None = None
    """Runs after the last transaction of every block, in the order of the registry."""
