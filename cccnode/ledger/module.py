"""What a city module is, as data: messages and their verbs, queries, error rows, accounts, hooks, invariants.

Everything outside derives from these rows: the decoder and dispatch (registry.py), RPC query routes, CLI verbs,
reference pages and the tests that every module must pass.  A module therefore needs its folder and one line in the
city's tuple, and no change elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader, Scan, module_account
from cccnode.types.block import Header
from cccnode.types.errors import RULE_FAILED, STATE_CORRUPT, ErrorSpec, Fault, fault
from cccnode.types.receipt import Field
from cccnode.types.validators import EpochRecord

Event = tuple[Field, ...]

APPLICATIONS: Final = "applications"
"""Counter of `Context.counters`: free membership applications in this block."""
PROPOSAL: Final = "proposal"
"""Counter of `Context.counters`: number of the proposal that is being carried out, while it is."""
CHARGED: Final = "charged"
"""Counter of `Context.counters`, set when a block's transactions are done: how many of them paid a fee."""
FAILURES: tuple[type[Exception], ...] = (
    Fault,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What may fail a transaction and nothing else: a refusal, or what a mistake in a rule raises on every node alike.

Not a broken disk or a lack of memory, which one node alone has.  Tests leave only the first, so that mistakes are seen.
"""
FLAWS_MAX: Final = 4
"""Mistakes of one block that are remembered: whoever has found one may send it a thousand times."""
GOVERNANCE: Final = module_account("gov")
"""Acts when the city has decided: only it may send messages that have `decided` (modules.md R6)."""


class Joined(Protocol):
    """What rules may ask of the registry that joins the modules."""

    @property
    def handlers(self) -> Mapping[type[Noun], "Handler"]:
        """Every rule, by the message that it carries out."""

    @property
    def rows(self) -> Mapping[type[Noun], "Message"]:
        """Every message's row, by its kind."""

    @property
    def hooks(self) -> Mapping[str, tuple[Callable[..., None], ...]]:
        """Who listens to which hook, in the order of the modules."""

    @property
    def parameters(self) -> Mapping[str, type[Noun]]:
        """The kind of each module's parameters, by name of the module."""

    @property
    def texts(self) -> Mapping[type[Noun], Callable[[Any], None]]:
        """What refuses personal data in the texts of a message, by its kind, where it has any."""

    @property
    def founding(self) -> Mapping[str, tuple[str, ...]]:
        """Those of them that no vote on a number changes, by name of the module."""

    def decode_message(self, raw: bytes) -> Noun:
        """One message from foreign bytes: [tag, fields...].

        Raises:
            Fault: core/MALFORMED, core/UNKNOWN_MESSAGE or core/NON_CANONICAL.
        """


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
    flaws: list[Exception] = field(default_factory=list)
    """What rules raised by our own mistake: for the log, never for the state."""
    city: Joined | None = None
    """The registry; None only in tests of rules that call no hook and carry out no message."""

    def emit(self, module: str, name: str, *fields: Field) -> None:
        """Make an event known: [module, name, fields...]."""
        self.events.append((module, name, *fields))

    def call(self, hook: str, *arguments: object) -> None:
        """Tell the modules that listen to `hook` (`market/handed_over`), in their order.

        Raises:
            Fault: a listener refuses; the transaction fails with it.
        """
        if self.city is not None:
            for listener in self.city.hooks.get(hook, ()):
                listener(self, *arguments)

    def failed(self, failure: Exception) -> Fault:
        """Why a transaction fails: its rule refused it, or made a mistake, which is remembered for the log.

        Damage that this machine alone has is raised again: elsewhere the transaction would succeed.  Stored bytes are
        compared with the tree before a rule sees them, so what cannot be decoded is alike everywhere: a mistake.
        """
        if not isinstance(failure, Fault):
            if len(self.flaws) < FLAWS_MAX:
                self.flaws.append(failure)
            return fault(RULE_FAILED, reason=type(failure).__name__)
        if failure.spec is STATE_CORRUPT:
            raise failure
        return failure

    def attempt(self, account: bytes, messages: Iterable[Noun]) -> Fault | None:
        """At the end of a block: carry out messages for `account`, all or none, and keep what was done before.

        Returns the fault of the first that fails; then nothing of them is left, events included.
        """
        assert self.city is not None, "messages are carried out by the registry's handlers"
        self.state.commit()
        acting, known = self.account, len(self.events)
        self.account = account
        try:
            for message in messages:
                self.city.handlers[type(message)](self, message)
        except FAILURES as failure:
            self.state.rollback()
            del self.events[known:]
            return self.failed(failure)
        finally:
            self.account = acting
        self.state.commit()
        return None


Handler = Callable[[Context, Any], None]
"""Carries out one message: checks first (raising `Fault`), changes after.  A raised fault undoes the transaction."""
Weight = int | Callable[[Any], int]
"""Static cost of a message for the block limit (J2): a number, or a function of the message alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message type, its rule, and the CLI verb under `cccnode tx` that sends it."""

    kind: type[Noun]
    """A noun with tag = module number << 8 | message number; a number is never used again."""
    handle: Handler
    weight: Weight = 1
    decided: str = ""
    """Name of the kind of proposal that may carry it (`param`, `spend`): only the city's vote sends it (R6)."""
    exit: bool = False
    """Whether a suspended account may send it: over its own data, debts and ways out (modules.md 3.0)."""
    check: Handler | None = None
    """For a decided message: refuses what could not be, when it is proposed.  Writes nothing."""
    packed: str = ""
    """Name of a field of encoded messages, whose texts are looked through like its own before it is admitted."""
    verb: str = ""
    """Such as `transfer`; the arguments are the fields of the noun, in order."""
    positional: tuple[str, ...] = ()
    """Fields given by place instead of by --name."""
    defaults: tuple[tuple[str, object], ...] = ()
    """Fields that need not be given, with their values in JSON form."""
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
class Invariant:
    """What must hold after every block, as a check that reads the whole state (for simulation and audits)."""

    name: str
    """Such as `BNK-1`."""
    en: str
    """What holds, one sentence."""
    th: str
    check: Callable[[Scan], Iterable[str]]
    """What breaks it, one line each; nothing where it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One function of the city."""

    number: int
    """High byte of its message tags; error codes are number * 1000 + n.  Never used again."""
    name: str
    messages: tuple[Message, ...] = ()
    queries: tuple[Query, ...] = ()
    errors: tuple[ErrorSpec, ...] = ()
    accounts: tuple[str, ...] = ()
    """Names of the accounts it owns (`fees`); see `state.module_account`."""
    parameters: type[Noun] | None = None
    """What genesis may set for it, and the city by vote; see `cccnode.ledger.parameters`."""
    founding: tuple[str, ...] = ()
    """Parameters that genesis alone sets, or a message of its own: no vote on a number changes them."""
    section: bool = False
    """Whether it reads a section of its own name in the `city` part of the genesis."""
    genesis: Callable[[Overlay, Any], None] | None = None
    """Writes the first state out of the genesis, without its accounts; raises `Fault` (genesis/INVALID)."""
    genesis_accounts: Callable[[Overlay, Any, Sequence[Any]], None] | None = None
    """Writes a part of the genesis accounts, in their order, after all modules wrote the rest."""
    genesis_end: Callable[[Overlay, Any], None] | None = None
    """Runs when all accounts are written; raises `Fault` (genesis/INVALID)."""
    features: tuple[str, ...] = ()
    """Features of the epoch record whose rules this version knows."""
    hooks: tuple[tuple[str, Callable[..., None]], ...] = ()
    """What it listens to: (name of the hook, function of the context and the hook's arguments)."""
    end_block: Callable[[Context], None] | None = None
    """Runs after the last transaction of every block, in the order of the registry."""
    close_block: Callable[[Context], None] | None = None
    """Runs after all modules' `end_block`, in the same order: the fee split (modules.md R11)."""
    invariants: tuple[Invariant, ...] = ()
