"""Made-up requests against the documents: never a 5xx, never an answer that its schema does not describe.

REST by schemathesis over a socket, JSON-RPC by a generator over the schemas of OpenRPC.  A sample in the suite; the
full count, 6,000 cases, with `-m long`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from cccnode.city import CITY
from cccnode.config import RpcSection
from cccnode.rpc.backend import Submitted, TxStatus
from cccnode.rpc.dispatch import Dispatcher
from cccnode.rpc.documents import Table, openapi, openrpc
from cccnode.rpc.methods import method_table
from cccnode.types.proofs import EventsProof, GroupProof, TransactionProof
from tests.doctor.support import World
from tests.node.support import Watched
from tests.rpc.test_documents import validator
from tests.support.served import Served

TABLE = Table(method_table(CITY))
OPENRPC = json.loads(json.dumps(openrpc(CITY, TABLE)))
OPENAPI = json.loads(json.dumps(openapi(CITY, TABLE)))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
SAMPLE, FULL = 3, 90
"""Cases for each operation or method."""
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def rules(count: int) -> settings:
    """The same cases every time."""
    return settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


class StillNode:
    """The service of a real node, over a simulated network that has made some blocks and stands still."""

    def __init__(self) -> None:
        self.watched = Watched()
        self.watched.run(500)
        for _ in range(5):
            self.watched.send()
        self.watched.run(3_000)
        self.watched.service.observe = lambda: World().observe(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watched.service, name)

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Submitted]:
        """Only what admission would say: time does not go on."""
        return [self.watched.service.check(raw) for raw in raws]

    async def wait(self, tx_id: bytes, valid_until_ms: int | None, timeout_ms: int) -> TxStatus:
        return self.watched.service.tx_status(tx_id, valid_until_ms)

    async def wait_applied(self, height: int, timeout_ms: int) -> int:
        """No block comes."""
        return self.watched.service.applied_height()

    async def prove_group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """What can be proven at once, likewise."""
        return await self.watched.service.prove_group(group, height, 0)

    async def prove_transaction(self, tx_id: bytes, wait_ms: int) -> TransactionProof:
        return await self.watched.service.prove_transaction(tx_id, 0)

    async def prove_events(self, height: int, wait_ms: int) -> EventsProof:
        return await self.watched.service.prove_events(height, 0)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(StillNode(), wait_ms_max=100) as running:
        yield running


def rest_cases(served: Served, count: int) -> int:
    """Ask every path so many times; how many requests that were."""
    asked = 0
    schema = schemathesis.openapi.from_dict(OPENAPI)
    schema.config.update(base_url=f"http://{served.address}")
    for operation in (made.ok() for made in schema.get_all_operations()):

        @rules(count)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            wait_ms = str((case.query or {}).get("wait_ms", ""))
            assume(not wait_ms.isdigit() or int(wait_ms) <= 100)  # what waits for an event would really wait
            asked += 1
            response = case.call(base_url=f"http://{served.address}")
            case.validate_response(response, checks=CHECKS)

        ask()
    return asked


def value_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a parameter's schema allows."""
    if "$ref" in schema:
        return value_of(OPENRPC["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return st.one_of([value_of(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(value_of(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "object":
            return st.fixed_dictionaries({name: value_of(one) for name, one in schema["properties"].items()})
        case "null":
            return st.none()
        case _:
            return _text(schema)


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema.get("maxLength", 80)
    if "pattern" not in schema:
        return st.text(min_size=low, max_size=high)
    made = st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
    return made.filter(lambda text: low <= len(text) <= high)


def params_of(row: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Parameters of a method: by name or by position, good ones, and some with junk in a place."""
    fields = [(param["name"], value_of(param["schema"]), param["required"]) for param in row["params"]]
    required = {name: made for name, made, needed in fields if needed}
    optional = {name: made for name, made, needed in fields if not needed}
    good = st.fixed_dictionaries(required, optional=optional)
    return st.one_of(
        good,
        st.tuples(*(made for _, made, _ in fields)).map(list),
        st.tuples(good, st.sampled_from([name for name, _, _ in fields] or ["x"]), JUNK).map(
            lambda made: {**made[0], made[1]: made[2]}
        ),
        st.dictionaries(st.text(max_size=8), JUNK, max_size=3),
        st.lists(JUNK, max_size=4),
    )


def rpc_cases(count: int) -> int:
    """Call every method so many times; how many calls that were."""
    dispatcher = Dispatcher(StillNode(), RpcSection(wait_ms_max=100))
    with asyncio.Runner() as runner:
        return sum(
            _cases_of(row, lambda text: runner.run(dispatcher.answer(text)), count) for row in OPENRPC["methods"]
        )


def _cases_of(row: dict[str, Any], answered: Callable[[bytes], bytes], count: int) -> int:
    asked = 0
    error = validator(OPENRPC, OPENRPC["components"]["schemas"]["Error"])
    result = validator(OPENRPC, row["result"]["schema"])

    @rules(count)
    @given(params=params_of(row))
    def ask(params: Any) -> None:
        nonlocal asked
        asked += 1
        if isinstance(params, dict) and "timeout_ms" in params:
            params["timeout_ms"] = 0
        call = {"jsonrpc": "2.0", "id": asked, "method": row["name"], "params": params}
        answer = json.loads(answered(json.dumps(call).encode()))
        assert asked == answer["id"]
        if "error" in answer:
            error.validate(answer["error"])
            assert "rpc/INTERNAL" != answer["error"]["data"]["name"]
        else:
            result.validate(answer["result"])

    ask()
    return asked


def test_rest_sample(served: Served) -> None:
    """A few requests for every path."""
    assert rest_cases(served, SAMPLE) >= len(OPENAPI["paths"])


def test_rpc_sample() -> None:
    """A few calls of every method."""
    assert rpc_cases(SAMPLE) >= len(OPENRPC["methods"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_full_count(served: Served) -> None:
    """At least 5,000 cases, REST and JSON-RPC together."""
    assert rest_cases(served, FULL) + rpc_cases(FULL) >= 5_000
