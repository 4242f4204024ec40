"""The registry joins the modules: one decoder, one dispatch table, one error table, one list of queries and verbs.

It is built once from the ordered tuple of modules (the order is consensus-critical: genesis and end-of-block hooks run
in it) and never changes.  Two modules that claim the same number, name, tag, code or account are our own mistake and
stop the program at import.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, Union

import msgspec

from cccnode import codec
from cccnode.codec import Noun
from cccnode.ledger.fees import Fees
from cccnode.ledger.module import GOVERNANCE, Context, Handler, Invariant, Message, Module, Query
from cccnode.ledger.opening import Rules
from cccnode.ledger.parameters import Values
from cccnode.ledger.state import (
    DictState,
    Overlay,
    Reader,
    StateView,
    WholeState,
    Writes,
    module_account,
    writes_of,
)
from cccnode.types.errors import (
    CORE_ERRORS,
    DECIDED_BY_VOTE,
    GENESIS_INVALID,
    MALFORMED,
    NON_CANONICAL,
    UNKNOWN_MESSAGE,
    ErrorSpec,
    Fault,
    fault,
)
from cccnode.types.limits import BLOCK_WEIGHT_MAX, TX_BYTES_MAX
from cccnode.types.privacy import checker
from cccnode.types.transaction import TRANSACTION_VERSION, Transaction, Verified

_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What the decoder raises."""
_encode = codec.encode
GENESIS_ACCOUNTS = 10_000
"""Accounts of a genesis that are written at once: what a million would take in memory is not there at one time."""
_MESSAGES_FIELD = 7
"""Index of the messages in an encoded transaction."""


class Authority(Protocol):
    """The module that knows whose keys may act for an account (D4)."""

    def refusal(self, state: Reader, transaction: Transaction[Any], exits: frozenset[type[Noun]]) -> Fault | None:
        """Why the signers may not do this now, or None.  Reads current keys, weights, thresholds and status.

        `exits`: what a suspended account may still send.
        """

    def sponsored(self, state: Reader, transaction: Transaction[Any]) -> bool:
        """Whether another account pays that did not sign, so that it must have granted it."""

    def is_application(self, transaction: Transaction[Any]) -> bool:
        """Whether it is exactly one membership application: free, and from an account that does not exist yet."""


class GenesisDocument(Protocol):
    """What the registry itself reads of a genesis; modules read the rest."""

    @property
    def parameters(self) -> Values:
        """Parameter values by module and name."""

    @property
    def accounts(self) -> Iterable[Any]:
        """Every account that exists from the beginning."""

    @property
    def city(self) -> Mapping[str, Any]:
        """Sections of modules, by name: plain JSON values that the module itself reads."""


class Registry:
    """The modules of a city, joined."""

    def __init__(self, modules: Sequence[Module], *, authority: Authority, fees: Fees) -> None:
        """Join `modules`, in this order; `authority` and `fees` are two of them, seen from the ledger."""
        self.modules = tuple(modules)
        self.authority = authority
        self.fees = fees
        self.messages: Mapping[int, Message] = _table(
            (_tag(module, message), message) for module in modules for message in module.messages
        )
        """Every message by tag."""
        self.rows: Mapping[type[Noun], Message] = {row.kind: row for row in self.messages.values()}
        """Every message by kind."""
        self.handlers: Mapping[type[Noun], Handler] = {kind: _guarded(row) for kind, row in self.rows.items()}
        self.texts = {kind: check for kind, row in self.rows.items() if (check := self._reads(row)) is not None}
        """What looks through the texts of a message, by its kind, where it has any: refuses personal data."""
        self.exits = frozenset(row.kind for row in self.messages.values() if row.exit)
        """What a suspended account may still send."""
        listeners: dict[str, list[Callable[..., None]]] = {}
        for module in self.modules:
            for hook, listener in module.hooks:
                listeners.setdefault(hook, []).append(listener)
        self.hooks: Mapping[str, tuple[Callable[..., None], ...]] = {hook: (*row,) for hook, row in listeners.items()}
        """Who listens to which hook, in the order of the modules."""
        self.parameters = {module.name: module.parameters for module in modules if module.parameters is not None}
        """The kind of each module's parameters."""
        self.features = frozenset(feature for module in modules for feature in module.features)
        """Every feature that this program knows; one that it does not know is a reason to stop."""
        self.founding: Mapping[str, tuple[str, ...]] = {module.name: module.founding for module in modules}
        self.invariants: Mapping[str, Invariant] = _table(
            (row.name, row) for module in modules for row in module.invariants
        )
        self.queries: Mapping[str, Query] = _table((row.method, row) for module in modules for row in module.queries)
        """Every query by method name: RPC routes."""
        self.verbs: Mapping[str, Message] = _table((row.verb, row) for row in self.messages.values() if row.verb)
        """Every CLI verb by name."""
        errors = [*CORE_ERRORS, *(row for module in modules for row in module.errors)]
        self.errors: Mapping[int, ErrorSpec] = _table((row.code, row) for row in errors)
        """The whole error table by number; names are unique too."""
        _table((row.name, row) for row in errors)
        self.by_name: Mapping[str, Module] = _table((module.name, module) for module in modules)
        _table((module.number, module) for module in modules)
        self.accounts: Mapping[bytes, str] = _table(
            (module_account(name), name) for module in modules for name in module.accounts
        )
        """Module accounts and their names."""
        self.module_accounts = frozenset(self.accounts)
        self._weights = {row.kind: row.weight for row in self.messages.values()}
        self._fixed_weights = {kind: weight for kind, weight in self._weights.items() if isinstance(weight, int)}
        kinds = tuple(row.kind for row in self.messages.values())
        # The union of all message types exists only at run time, so no checker can follow it.
        self.transaction: Any = Transaction[Union[kinds]]  # type: ignore[valid-type]  # noqa: UP007
        self._decode: Callable[[bytes], Transaction[Any]] = codec.decoder(self.transaction).decode
        self._decode_message: Callable[[bytes], Noun] = codec.decoder(Union[kinds]).decode  # noqa: UP007

    def decode(self, raw: bytes) -> Transaction[Any]:
        """A transaction from foreign bytes.

        Raises:
            Fault: core/MALFORMED, core/UNKNOWN_MESSAGE or core/NON_CANONICAL.
        """
        try:
            transaction = self._decode(raw)
        except _UNREADABLE as error:
            raise self._diagnosis(raw, str(error)) from None
        if _encode(transaction) != raw:
            raise fault(NON_CANONICAL, bytes=len(raw))
        return transaction

    def decode_trusted(self, raw: bytes) -> Transaction[Any]:
        """A transaction from bytes whose canonical form was checked before (own store, final blocks).

        Raises:
            Fault: core/MALFORMED or core/UNKNOWN_MESSAGE.
        """
        try:
            return self._decode(raw)
        except _UNREADABLE as error:
            raise self._diagnosis(raw, str(error)) from None

    def unknown(self, features: Iterable[str]) -> tuple[str, ...]:
        """Those features whose rules this program does not know: with them it would compute another state."""
        return tuple(sorted(feature for feature in features if feature not in self.features))

    def _reads(self, row: Message) -> Callable[[Any], None] | None:
        """What looks through the texts of a message and of those that are packed in it; None where there are none."""
        own = checker(row.kind)
        if not row.packed:
            return own

        def check(message: Any) -> None:
            if own is not None:
                own(message)
            for raw in getattr(message, row.packed):
                noun = self.decode_message(raw)
                inner = self.texts.get(type(noun))
                if inner is not None:
                    inner(noun)

        return check

    def decode_message(self, raw: bytes) -> Noun:
        """One message from foreign bytes: [tag, fields...].

        Raises:
            Fault: core/MALFORMED, core/UNKNOWN_MESSAGE or core/NON_CANONICAL.
        """
        try:
            message = self._decode_message(raw)
        except _UNREADABLE as error:
            raise fault(MALFORMED, reason=str(error)) from None
        if _encode(message) != raw:
            raise fault(NON_CANONICAL, bytes=len(raw))
        return message

    def broken(self, state: DictState) -> list[str]:
        """What breaks the modules' invariants in a state: "NAME: what", nothing where all hold."""
        whole = WholeState(state)
        return [f"{name}: {text}" for name, row in self.invariants.items() for text in row.check(whole)]

    def _diagnosis(self, raw: bytes, reason: str) -> Fault:
        """Why a transaction does not decode; the slow way, for refused bytes only."""
        try:
            fields = codec.decode_trusted(list[Any], raw)
            tags = [message[0] for message in fields[_MESSAGES_FIELD]]
        except (codec.DecodeError, LookupError, TypeError):
            return fault(MALFORMED, reason=reason)
        for tag in tags:
            if isinstance(tag, int) and tag not in self.messages:
                return fault(UNKNOWN_MESSAGE, tag=tag)
        return fault(MALFORMED, reason=reason)

    def usual(self, chain: bytes) -> Rules:
        """What is usual on a chain, for `open_usual`."""
        return Rules(
            self._decode,
            _UNREADABLE,
            _encode,
            Verified,
            self._fixed_weights,
            chain,
            TRANSACTION_VERSION,
            TX_BYTES_MAX,
            BLOCK_WEIGHT_MAX,
        )

    def weight(self, messages: Iterable[Noun]) -> int:
        """The static weight of a transaction's messages (J2)."""
        total, weights = 0, self._weights
        for message in messages:
            weight = weights[type(message)]
            total += weight if type(weight) is int else weight(message)
        return total

    def answer(self, method: str, view: StateView, params: Noun) -> object:
        """The answer to a query over a committed state; its type is the query's `result`.

        Raises:
            Fault: the query's own, such as rpc/NOT_FOUND.
            KeyError: there is no such query (the caller looks it up in `queries` first).
        """
        return self.queries[method].answer(Overlay(view), params)

    def genesis_writes(self, genesis: GenesisDocument) -> Writes:
        """The first state at once.

        Raises:
            Fault: genesis/INVALID, whose `errors` list what all modules found wrong.
        """
        state = DictState()
        for writes in self.genesis_parts(genesis, state):
            state.apply(writes)
        return {group: {**items} for group, items in state.groups.items()}

    def genesis_parts(self, genesis: GenesisDocument, view: StateView) -> Iterator[Writes]:
        """The first state in parts; `view` must show each before the next is asked for, and be empty at first.

        Raises:
            Fault: genesis/INVALID, whose `errors` list what all modules found wrong; before the first part.
        """
        yield self._genesis_head(genesis, view)
        accounts = iter(genesis.accounts)
        while entries := [*islice(accounts, GENESIS_ACCOUNTS)]:
            state = Overlay(view)
            for module in self.modules:
                if module.genesis_accounts is not None:
                    module.genesis_accounts(state, genesis, entries)
            state.commit()
            yield writes_of(state)
        ending = Overlay(view)
        if errors := self._run_genesis(ending, genesis, lambda module: module.genesis_end):
            raise fault(GENESIS_INVALID, errors=errors)
        yield writes_of(ending)

    def _genesis_head(self, genesis: GenesisDocument, view: StateView) -> Writes:
        """Every module's genesis hook, in order."""
        state = Overlay(view)
        errors: list[object] = [
            f"parameters.{name}: no module of that name has parameters"
            for name in sorted(genesis.parameters)
            if name not in self.by_name or self.by_name[name].parameters is None
        ]
        sections = {module.name for module in self.modules if module.section}
        errors += [
            f"city.{name}: no module of that name has a section" for name in sorted(set(genesis.city) - sections)
        ]
        errors += self._run_genesis(state, genesis, lambda module: module.genesis)
        if errors:
            raise fault(GENESIS_INVALID, errors=errors)
        return writes_of(state)

    def _run_genesis(
        self, state: Overlay, genesis: GenesisDocument, step: Callable[[Module], Callable[[Overlay, Any], None] | None]
    ) -> list[object]:
        """One step of every module, in order; what they found wrong."""
        errors: list[object] = []
        for module in self.modules:
            hook = step(module)
            if hook is None:
                continue
            try:
                hook(state, genesis)
            except Fault as refused:
                state.rollback()
                found = refused.values.get("errors")
                errors += found if isinstance(found, list) else [f"{module.name}: {refused}"]
            state.commit()
        return errors


def _guarded(row: Message) -> Handler:
    """The rule of a message; one that needs a vote refuses everybody else (modules.md R6, GOV-6)."""
    if not row.decided:
        return _read_first(row)
    handle = _read_first(row)

    def decided(context: Context, message: Any) -> None:
        if context.account != GOVERNANCE:
            raise fault(DECIDED_BY_VOTE, kind=row.decided)
        handle(context, message)

    return decided


def _read_first(row: Message) -> Handler:
    """The rule of a message whose texts are looked through before it."""
    check, handle = checker(row.kind), row.handle
    if check is None:
        return handle

    def read(context: Context, message: Any) -> None:
        check(message)
        handle(context, message)

    return read


def _tag(module: Module, message: Message) -> int:
    """The wire tag of a message; it must carry its module's number."""
    tag = message.kind.__struct_config__.tag
    assert isinstance(tag, int), f"{message.kind.__name__} has no number"
    assert tag >> 8 == module.number, f"{message.kind.__name__} is not numbered in module {module.name}"
    return tag


def _table(rows: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping in which no key is claimed twice."""
    table: dict[Any, Any] = {}
    for key, value in rows:
        assert key not in table, f"{key!r} is claimed twice"
        table[key] = value
    return table
