"""OpenRPC and OpenAPI 3.1 of this node's interface, both out of the method table: what is served, and what docs hold.

Each is made once, when somebody asks; a test fails when the copies in docs/ differ.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

from cccnode.ledger.registry import Registry
from cccnode.rpc import answers
from cccnode.rpc.methods import Method
from cccnode.rpc.rest import LATEST, PROBLEM_TYPE, Route, route_table, statuses_of_problems
from cccnode.rpc.schemas import Schema, Schemas, named
from cccnode.rpc.streams import EVENTS_PATH, SOCKET_METHODS, STREAM_TYPE, SocketMethod
from cccnode.rpc.values import Json
from cccnode.types.errors import ErrorSpec

OPENRPC_PATH: Final = "/openrpc.json"
OPENAPI_PATH: Final = "/openapi.json"
_TITLE: Final = "cccnode"
_VALUES: Final = (
    "Integers that may pass 2^53 (amounts, heights, views, times in milliseconds) are decimal strings; bytes are 0x "
    "and lower-case hexadecimal; accounts are bech32m. Parameters are given by name or by position."
)
_JSON: Final = "application/json"
_CALL: Final[Schema] = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "method": {"type": "string"},
        "params": {"type": ["object", "array"]},
        "id": {"type": ["string", "integer", "null"]},
    },
    "required": ["jsonrpc", "method"],
    "additionalProperties": False,
}
_ANSWER: Final[Schema] = {
    "type": "object",
    "properties": {"jsonrpc": {"const": "2.0"}, "result": {}, "error": named("Error"), "id": {}},
    "required": ["jsonrpc", "id"],
    "additionalProperties": False,
}


@lru_cache(maxsize=4)
def openrpc(registry: Registry, methods: "Table") -> Json:
    """The OpenRPC document of these methods."""
    schemas = Schemas(answers.components())
    rows = [_openrpc_method(method, registry, schemas) for _, method in sorted(methods.rows.items())]
    return {
        "openrpc": "1.3.2",
        "info": {"title": _TITLE, "version": version("cccnode"), "description": _VALUES},
        "methods": rows,
        "x-socket-methods": [_socket_method(method, schemas) for method in SOCKET_METHODS],
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "errors": {_key(spec): _error(spec) for spec in registry.errors.values() if spec.code},
        },
    }


@lru_cache(maxsize=4)
def openapi(registry: Registry, methods: "Table") -> Json:
    """The OpenAPI document of the GET routes and of `POST /rpc`."""
    schemas = Schemas({**answers.components(), "Problem": answers.PROBLEM})
    paths = {route.path: {"get": _operation(route, registry, schemas)} for route in route_table(methods.rows.values())}
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": version("cccnode"), "description": _VALUES},
        "servers": [{"url": "/"}],
        "paths": {**paths, "/rpc": {"post": _rpc_operation()}},
        "components": {"schemas": dict(sorted(schemas.components.items()))},
    }


class Table:
    """A method table that can be a key of a cache: it is made once and never changes."""

    def __init__(self, rows: Mapping[str, Method]) -> None:
        """Wrap the rows."""
        self.rows = rows


def result_schema(method: Method, registry: Registry, schemas: Schemas) -> Schema:
    """What a method answers: of a query out of its type, of a core method out of the table of answers."""
    query = registry.queries.get(method.name)
    if query is not None:
        return schemas.written(query.result)
    return answers.answer(method.name, schemas)


def _openrpc_method(method: Method, registry: Registry, schemas: Schemas) -> Json:
    result = result_schema(method, registry, schemas)
    params = [
        {"name": name, "required": required, "schema": schema}
        for name, schema, required in schemas.fields_read(method.params)
    ]
    return {
        "name": method.name,
        "summary": method.en,
        "paramStructure": "either",
        "params": params,
        "result": {"name": method.name + "_result", "schema": result},
        "x-cost": method.cost,
    }


def _socket_method(method: SocketMethod, schemas: Schemas) -> Json:
    """A method that is there on `GET /ws` only."""
    return {
        "name": method.name,
        "summary": method.en,
        "params": [
            {"name": name, "required": required, "schema": schema}
            for name, schema, required in schemas.fields_read(method.params)
        ],
        "result": {"name": method.name + "_result", "schema": answers.SOCKET_ANSWERS[method.name]},
    }


def _operation(route: Route, registry: Registry, schemas: Schemas) -> Json:
    method = route.method
    return {
        "operationId": method.name,
        "summary": method.en,
        "tags": [method.name.partition("_")[0]],
        "x-cost": method.cost,
        "parameters": [
            _parameter(name, schema, required=required, in_path=name in route.names)
            for name, schema, required in schemas.fields_read(method.params)
        ],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {_JSON: {"schema": result_schema(method, registry, schemas)}, **_streamed(route)},
            },
            **_problems(),
        },
    }


def _streamed(route: Route) -> dict[str, Any]:
    """What a client gets that accepts a stream."""
    if route.path != EVENTS_PATH:
        return {}
    text = "Server-sent events without end: `id` is the cursor, `data` an event; the message `lagged` is an error."
    return {STREAM_TYPE: {"schema": {"type": "string", "description": text}}}


def _parameter(name: str, schema: Schema, *, required: bool, in_path: bool) -> Json:
    if not in_path:
        return {"name": name, "in": "query", "required": required, "schema": schema}
    if not required:
        schema = {"anyOf": [schema, {"const": LATEST}]}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _problems() -> dict[str, Any]:
    """Every status that a refusal may have, with its form."""
    return {
        str(status): {"description": text, "content": {PROBLEM_TYPE: {"schema": named("Problem")}}}
        for status, text in statuses_of_problems().items()
    }


def _rpc_operation() -> Json:
    body = {"anyOf": [_CALL, {"type": "array", "items": _CALL, "minItems": 1, "maxItems": 64}]}
    answered = {"anyOf": [_ANSWER, {"type": "array", "items": _ANSWER}]}
    refused = {"description": "Refused before JSON-RPC.", "content": {_JSON: {"schema": _ANSWER}}}
    return {
        "operationId": "rpc",
        "summary": "JSON-RPC 2.0; the methods stand in /openrpc.json.",
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": {
            "200": {"description": "Answers, errors included.", "content": {_JSON: {"schema": answered}}},
            "204": {"description": "Only notifications."},
            **dict.fromkeys(("400", "405", "408", "413", "429", "503"), refused),
        },
    }


def _key(spec: ErrorSpec) -> str:
    return spec.name.replace("/", ".")


def _error(spec: ErrorSpec) -> Json:
    return {"code": spec.code, "message": spec.en, "data": {"name": spec.name, "hint": spec.remedy}}
