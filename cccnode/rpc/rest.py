"""`GET /v1/...`: every method that reads, at one path made from the method table; errors are RFC 9457 problems.

`area_verb` is read at `/v1/area/verb` with its parameters in the query, unless the table of paths says better.  A
parameter in the path that may be left out is left out by the word `latest`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import msgspec
from msgspec import inspect

from cccnode.rpc import envelopes
from cccnode.rpc.methods import Method
from cccnode.rpc.values import SAFE_INTEGER, Json, ValueFault
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec, Fault

PREFIX: Final = "/v1/"
PROBLEM_TYPE: Final = "application/problem+json"
LATEST: Final = "latest"
"""In a path, for a parameter that may be left out."""
_DIGITS_MAX: Final = 16
_PATHS: Final[Mapping[str, str]] = {
    "chain_status": "/v1/status",
    "chain_header": "/v1/headers/{height}",
    "chain_block": "/v1/blocks/{height}",
    "chain_results": "/v1/results/{height}",
    "chain_light": "/v1/light",
    "chain_validators": "/v1/validators",
    "chain_features": "/v1/features",
    "events_proof": "/v1/blocks/{height}/proof",
    "tx_get": "/v1/transactions/{tx_id}",
    "tx_status": "/v1/transactions/{tx_id}/status",
    "tx_wait": "/v1/transactions/{tx_id}/wait",
    "tx_receipt": "/v1/transactions/{tx_id}/receipt",
    "tx_proof": "/v1/transactions/{tx_id}/proof",
    "account_get": "/v1/accounts/{account}",
    "account_transactions": "/v1/accounts/{account}/transactions",
    "bank_balances": "/v1/accounts/{account}/balances",
    "events_read": "/v1/events",
    "net_peers": "/v1/peers",
    "node_doctor": "/v1/doctor",
}
_STATUS_OF: Final[Mapping[ErrorSpec, int]] = {
    errors.RPC_BUSY: 503,
    errors.RPC_RATE_LIMITED: 429,
    errors.RPC_KEY_UNKNOWN: 401,
    errors.RPC_ORIGIN: 403,
    errors.RPC_INTERNAL: 500,
    errors.NO_STATE: 503,
    errors.POOL_NOT_READY: 503,
    errors.OVERSIZE: 413,
    errors.RPC_TIMEOUT: 408,
    errors.WAIT_TIMEOUT: 408,
    errors.RPC_HTTP: 405,
    errors.NOT_FOUND: 404,
    errors.NO_HISTORY: 404,
    errors.PRUNED: 410,
    errors.EVENTS_LAGGED: 410,
    errors.NOT_PROVABLE: 409,
    errors.INCIDENT_BUSY: 503,
    errors.INCIDENT_NOTHING: 409,
    errors.SNAPSHOT_BUSY: 503,
    errors.BACKUP_BUSY: 503,
}
_OTHERWISE: Final = 400
_MEANINGS: Final[Mapping[int, str]] = {
    400: "A parameter is wrong, or a rule of the node says no.",
    401: "The API key is unknown.",
    403: "Not for pages of that web site.",
    404: "There is no such thing here.",
    405: "Another verb.",
    408: "Not in time.",
    409: "Not in the present state.",
    410: "It was, and is kept no more.",
    413: "Too large.",
    429: "The client's bucket is empty.",
    500: "The node failed.",
    503: "Busy, or not ready.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method at one path."""

    path: str
    """With `{name}` for a parameter."""
    method: Method
    names: Sequence[str]
    """Parameters in the path, in order."""


class Routes:
    """Finds the method behind a path."""

    def __init__(self, methods: Iterable[Method]) -> None:
        """Routes of every method that reads."""
        self._by_shape: dict[tuple[int, str], list[tuple[list[str], Route]]] = {}
        for route in route_table(methods):
            parts = route.path.split("/")
            self._by_shape.setdefault((len(parts), parts[2]), []).append((parts, route))

    def find(self, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route of a raw path and the texts in it; None: there is none."""
        given = path.split("/")
        for parts, route in self._by_shape.get((len(given), given[2] if len(given) > 2 else ""), ()):
            texts = {}
            for part, text in zip(parts, given, strict=True):
                if part[:1] == "{":
                    texts[part[1:-1]] = unquote(text)
                elif part != text:
                    break
            else:
                return route, texts
        return None


def route_table(methods: Iterable[Method]) -> Sequence[Route]:
    """Every method that reads and whose parameters fit a query, at its path; sorted by path, the fixed ones first."""
    routes = [_route(method) for method in methods if method.reads and all(map(_fits, _kinds(method).values()))]
    routes.sort(key=lambda route: (len(route.names), route.path))
    assert len({route.path for route in routes}) == len(routes), "two methods have one path"
    return routes


def path_of(method: Method) -> str:
    """Where a method is read."""
    area, _, verb = method.name.partition("_")
    return _PATHS.get(method.name) or f"{PREFIX}{area}/{verb.replace('_', '-')}"


def parameters(route: Route, in_path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Json:
    """Named parameters in JSON form out of texts.

    Raises:
        ValueFault: a name is given twice, or a text is no number or truth value where one must stand.
    """
    kinds, given = _kinds(route.method), {}
    for name, text in (*in_path.items(), *query):
        if name in given:
            raise ValueFault(f"params.{name[:64]}", "is given twice")
        given[name] = text
    return {
        name: _value(kinds.get(name), name, text)
        for name, text in given.items()
        if not (name in in_path and text == LATEST)
    }


def status_of(spec: ErrorSpec) -> int:
    """The HTTP status of an error outside a JSON-RPC answer."""
    return _STATUS_OF.get(spec, _OTHERWISE)


def statuses_of_problems() -> Mapping[int, str]:
    """Every status that a problem may have, with a sentence."""
    return _MEANINGS


def problem(error: Fault) -> Json:
    """RFC 9457 with the members of the error table."""
    return {
        "type": f"urn:cccnode:{error.spec.name}",
        "title": error.spec.en,
        "status": status_of(error.spec),
        "code": error.spec.code,
        **envelopes.error_data(error),
    }


def _route(method: Method) -> Route:
    path = path_of(method)
    return Route(path=path, method=method, names=[part[1:-1] for part in path.split("/") if part[:1] == "{"])


def _kinds(method: Method) -> Mapping[str, inspect.Type]:
    return {field.name: _bare(inspect.type_info(field.type)) for field in msgspec.structs.fields(method.params)}


def _bare(info: inspect.Type) -> inspect.Type:
    """Without its metadata and without None."""
    match info:
        case inspect.Metadata(type=inner):
            return _bare(inner)
        case inspect.UnionType(types=types) if len(types) == 2 and any(
            isinstance(one, inspect.NoneType) for one in types
        ):
            return _bare(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case _:
            return info


def _fits(info: inspect.Type) -> bool:
    scalars = (
        inspect.IntType,
        inspect.BytesType,
        inspect.StrType,
        inspect.BoolType,
        inspect.LiteralType,
        inspect.EnumType,
    )
    return isinstance(info, scalars)


def _value(kind: inspect.Type | None, name: str, text: str) -> Json:
    if isinstance(kind, inspect.BoolType):
        if text not in ("true", "false"):
            raise ValueFault(f"params.{name}", "must be true or false")
        return text == "true"
    if isinstance(kind, inspect.IntType) and kind.le is not None and kind.le <= SAFE_INTEGER:
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
            raise ValueFault(f"params.{name}", "must be a whole number")
        return int(text)
    return text
