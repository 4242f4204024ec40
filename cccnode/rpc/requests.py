"""Bytes to JSON-RPC calls, strictly: text, depth, number of values, syntax, envelope, names given twice.

Everything wrong is a named error.  The cheap checks look at the bytes without building anything, so that garbage costs
less than an honest request; the common case (one call with few names in it) is decoded once, by msgspec.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from cccnode.types.limits import RPC_CALLS_MAX, RPC_DEPTH_MAX, RPC_ITEMS_MAX

_ID_BYTES_MAX: Final = 256
_STRUCTURE: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A whole string, or one bracket.  Possessive, and an unterminated string matches to the end: linear on any input."""
_RARE: Final = 8
"""Times that a mark may occur and still be looked for one by one."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: str
    method: str
    params: msgspec.Raw = msgspec.Raw()
    id: str | int | float | msgspec.UnsetType | None = msgspec.UNSET


_ONE: Final = msgspec.json.Decoder(_Envelope)
_MANY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One well-formed JSON-RPC call."""

    method: str
    params: bytes
    """JSON of an object or an array; empty when absent."""
    id: str | int | float | None
    answer: bool
    """False for a notification, which is carried out and never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadCall:
    """An element of a batch (or a single request) that is no call; answered with an error and a null id."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one HTTP body asks."""

    calls: Sequence[Call | BadCall]
    batch: bool
    """Whether answers go into an array."""


def parse(body: bytes) -> Request:
    """The calls of a request body.

    Raises:
        Fault: `rpc/PARSE`, `rpc/LIMIT_EXCEEDED` or `rpc/INVALID_REQUEST` for the request as a whole.
    """
    _check_text(body)
    _check_structure(body)
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"[":
        return _parse_batch(body)
    if start != b"{":
        _syntax(body)
        raise fault(errors.RPC_INVALID_REQUEST, why="a request is an object or an array of objects")
    call = _parse_call(body)
    _check_names(body, call)
    return Request(calls=(call,), batch=False)


def decode_params(params: bytes) -> Any:
    """The object or array in `params`; an empty object when absent.

    Raises:
        Fault: `rpc/INVALID_PARAMS` when it is anything else.
    """
    if not params:
        return {}
    value = _syntax(params)
    if not isinstance(value, (dict, list)):
        raise fault(errors.RPC_INVALID_REQUEST, why="params is an object or an array")
    return value


def _parse_batch(body: bytes) -> Request:
    elements = _raw_elements(body)
    if not elements:
        raise fault(errors.RPC_INVALID_REQUEST, why="a batch has at least one call")
    if len(elements) > RPC_CALLS_MAX:
        raise fault(errors.RPC_LIMIT, calls=len(elements), calls_max=RPC_CALLS_MAX)
    _check_names(body)
    return Request(calls=tuple(_parse_call(bytes(element)) for element in elements), batch=True)


def _raw_elements(body: bytes) -> list[msgspec.Raw]:
    try:
        return _MANY.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise fault(errors.RPC_PARSE, why=str(error)) from error


def _parse_call(raw: bytes) -> Call | BadCall:
    """One call of a body whose syntax may still be wrong.

    Raises:
        Fault: `rpc/PARSE` (a wrong envelope is answered, not raised).
    """
    try:
        envelope = _ONE.decode(raw)
    except msgspec.ValidationError as error:
        _syntax(raw)
        return BadCall(fault=fault(errors.RPC_INVALID_REQUEST, why=str(error)))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise fault(errors.RPC_PARSE, why=str(error)) from error
    params, identity = bytes(envelope.params), envelope.id
    why = _envelope_fault(envelope, params)
    if why:
        return BadCall(fault=fault(errors.RPC_INVALID_REQUEST, why=why))
    if identity is msgspec.UNSET:
        return Call(method=envelope.method, params=params, id=None, answer=False)
    return Call(method=envelope.method, params=params, id=identity, answer=True)


def _envelope_fault(envelope: _Envelope, params: bytes) -> str:
    if envelope.jsonrpc != "2.0":
        return 'jsonrpc must be "2.0"'
    if params and params[:1] not in b"{[":
        return "params is an object or an array"
    if isinstance(envelope.id, (str, int)) and len(str(envelope.id)) > _ID_BYTES_MAX:
        return f"id is longer than {_ID_BYTES_MAX} characters"
    return ""


def _check_text(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise fault(errors.RPC_PARSE, why=f"not UTF-8 at byte {error.start}") from error


def _check_structure(body: bytes) -> None:
    """Bound nesting and the number of values without building them."""
    brackets = _count(body, b"[") + _count(body, b"{")
    if brackets > RPC_DEPTH_MAX:
        _check_depth(body)
    values = max(body.count(b","), _count(body, b":"), brackets)
    if values > RPC_ITEMS_MAX:
        raise fault(errors.RPC_LIMIT, values=values, values_max=RPC_ITEMS_MAX)


def _count(body: bytes, mark: bytes) -> int:
    """`body.count`, faster where the mark is rare: to find the next one takes a tenth of counting up to it."""
    at = -1
    for found in range(_RARE):
        at = body.find(mark, at + 1)
        if at < 0:
            return found
    return body.count(mark)


def _check_depth(body: bytes) -> None:
    depth = 0
    for seen, match in enumerate(_STRUCTURE.finditer(body)):
        token = match[0]
        if seen > 4 * RPC_ITEMS_MAX:
            raise fault(errors.RPC_LIMIT, values=seen, values_max=RPC_ITEMS_MAX)
        if token in (b"[", b"{"):
            depth += 1
            if depth > RPC_DEPTH_MAX:
                raise fault(errors.RPC_PARSE, why="nests too deeply", depth_max=RPC_DEPTH_MAX)
        elif token in (b"]", b"}"):
            depth -= 1


def _check_names(body: bytes, call: Call | BadCall | None = None) -> None:
    """Refuse an object that gives a name twice: readers disagree about which one counts.

    Every name is followed by a colon.  A `call` was decoded from distinct names of the envelope; when no colons are
    left over outside its params and at most one is inside, nothing can be a repetition.  The rest is read by `json`.
    """
    if isinstance(call, Call):
        inside = _count(call.params, b":")
        names = 2 + bool(call.params) + call.answer
        if inside <= 1 and _count(body, b":") - inside == names:
            return
    try:
        json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise fault(errors.RPC_PARSE, why=str(error)) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("an object gives a name twice")
    return named


def _syntax(raw: bytes) -> Any:
    try:
        return _ANY.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise fault(errors.RPC_PARSE, why=str(error)) from error
