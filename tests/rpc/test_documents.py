"""OpenRPC and OpenAPI: valid schemas, every reference leads somewhere, and what methods answer is what they say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry as References
from referencing.jsonschema import DRAFT202012

from cccnode import codec
from cccnode.city import CITY
from cccnode.rpc.documents import Table, openapi, openrpc
from cccnode.rpc.events import EventLog
from cccnode.rpc.methods import method_table
from cccnode.rpc.rest import route_table
from cccnode.rpc.streams import SocketEvents
from cccnode.types.addresses import account_text
from tests.rpc.test_dispatch import RAW, TX_ID, _Rpc, hexed
from tests.support.fake_node import ACCOUNT, FakeNode

METHODS = method_table(CITY)
TABLE = Table(METHODS)
ASKED: dict[str, Any] = {
    "account_transactions": {"account": account_text(ACCOUNT)},
    "chain_header": {"height": "3"},
    "chain_light": {"height": "3"},
    "events_proof": {"height": 3},
    "node_doctor": {"observation": True},
    "pocket_content": {"account": account_text(ACCOUNT)},
    "state_bucket": {"bucket": 3},
    "state_group": {"group": "0x01"},
    "state_nodes": {"level": 0, "first": 0, "count": 2},
    "state_proof": {"group": "0x01"},
    "tx_check": {"transaction": hexed(RAW)},
    "tx_receipt": {"tx_id": hexed(TX_ID)},
    "tx_simulate": {"transaction": hexed(RAW)},
    "tx_get": {"tx_id": hexed(TX_ID)},
    "tx_proof": {"tx_id": hexed(TX_ID)},
    "tx_status": {"tx_id": hexed(TX_ID)},
    "tx_submit": {"transaction": hexed(RAW)},
    "tx_submit_batch": {"transactions": [hexed(RAW), "0x00"]},
    "tx_wait": {"tx_id": hexed(TX_ID)},
}


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("schema"), dict):
            yield value["schema"]
        for item in value.values():
            yield from schemas_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas_in(item)


def validator(document: Any, schema: dict[str, Any]) -> Draft202012Validator:
    """Checks a value against a schema that refers to the document's components."""
    whole = {"components": document["components"], **schema}
    return Draft202012Validator(whole, registry=References().with_resource("", DRAFT202012.create_resource(whole)))


@pytest.mark.parametrize("make", [openrpc, openapi])
def test_schemas_are_valid(make: Any) -> None:
    """Every schema is one of JSON Schema 2020-12, every reference names a component, and all of it is plain JSON."""
    document = json.loads(json.dumps(make(CITY, TABLE)))
    for schema in [*schemas_in(document), *document["components"]["schemas"].values()]:
        Draft202012Validator.check_schema(schema)
        for name in _references(schema):
            assert name in document["components"]["schemas"]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix("#/components/schemas/")
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_every_method_is_described() -> None:
    """OpenRPC lists the whole table with its parameters in order; OpenAPI every route, each parameter in its place."""
    rows = {row["name"]: row for row in openrpc(CITY, TABLE)["methods"]}
    assert list(rows) == sorted(METHODS)
    for name, row in rows.items():
        assert [param["name"] for param in row["params"]] == list(METHODS[name].params.__struct_fields__)
    paths = openapi(CITY, TABLE)["paths"]
    routes = route_table(METHODS.values())
    assert {route.path for route in routes} | {"/rpc"} == set(paths)
    for route in routes:
        inside = [row["name"] for row in paths[route.path]["get"]["parameters"] if row["in"] == "path"]
        assert sorted(route.names) == sorted(inside)


async def test_answers_are_what_the_documents_say() -> None:
    """What each method answers fits its schema."""
    rpc = _Rpc()
    rpc.node.decide_at_once = True
    rpc.node.history = {}
    rpc.node.state_now.apply({b"pocket/" + ACCOUNT: {b"uccc": codec.encode(5)}})
    await rpc.result("tx_submit", {"transaction": hexed(RAW)})
    document = rpc.dispatcher.document()
    for row in document["methods"]:
        answer = await rpc.result(row["name"], ASKED.get(row["name"]))
        validator(document, row["result"]["schema"]).validate(answer)


async def test_errors_are_what_the_documents_say() -> None:
    """An error fits the schema of errors, with whatever it carries."""
    rpc = _Rpc()
    document = rpc.dispatcher.document()
    check = validator(document, document["components"]["schemas"]["Error"])
    for method, params in (("tx_status", {"tx": 1}), ("nothing", None), ("tx_get", [hexed(TX_ID)])):
        check.validate(await rpc.error(method, params))


async def test_discover() -> None:
    """`rpc.discover` answers the OpenRPC document."""
    rpc = _Rpc()
    assert "1.3.2" == (await rpc.result("rpc.discover"))["openrpc"]


def test_socket_methods() -> None:
    """What only a WebSocket has is described beside the methods, and is what the server has."""
    rows = {row["name"]: row for row in openrpc(CITY, TABLE)["x-socket-methods"]}
    assert sorted(rows) == sorted(SocketEvents(EventLog(FakeNode())).calls)
    for row in rows.values():
        Draft202012Validator.check_schema(row["result"]["schema"])
