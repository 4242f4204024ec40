"""From bytes to calls: third-party JSON vectors, garbage of every kind, and only named errors."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.rpc.requests import BadCall, Call, decode_params, parse
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec, Fault
from cccnode.types.limits import RPC_CALLS_MAX, RPC_ITEMS_MAX

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "json" / "test_parsing"
CASES = sorted(VECTORS.glob("[yn]_*.json"))
TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
"""Valid JSON that we refuse on purpose: readers disagree about which of two equal names counts."""
EMPTY = {"n_single_space.json", "n_structure_no_data.json"}
"""Nothing between brackets is an empty array, so these two are no error inside another text."""
REFUSED = {errors.RPC_PARSE, errors.RPC_LIMIT}


def _outcome(body: bytes) -> ErrorSpec | None:
    try:
        for call in parse(body).calls:
            if isinstance(call, Call):
                decode_params(call.params)
    except Fault as refused:
        return refused.spec
    return None


@pytest.mark.skipif(not CASES, reason="the third-party JSON vectors are not beside this repository")
def test_json_vectors() -> None:
    """JSONTestSuite, as whole body, as parameter of a call, and inside a batch: y_ is read, n_ is refused."""
    wrong = []
    for path in CASES:
        raw = path.read_bytes()
        inside = b'{"jsonrpc":"2.0","method":"m","id":1,"params":[' + raw + b"]}"
        for place, body in (("alone", raw), ("inside", inside), ("batch", b"[" + inside + b"]")):
            refused = _outcome(body) in REFUSED
            expected = path.name.startswith("n_") or path.name in TWICE
            if path.name in EMPTY and place != "alone":
                expected = False
            if refused != expected:
                wrong.append((path.name, place, refused))
    assert wrong == []


def _one(body: bytes) -> Call:
    (call,) = parse(body).calls
    assert isinstance(call, Call)
    return call


def test_call() -> None:
    """A call keeps its method, its raw params and its id."""
    call = _one(b' {"jsonrpc": "2.0", "method": "m", "params": {"a": [1]}, "id": "x"} ')
    assert call == Call(method="m", params=b'{"a": [1]}', id="x", answer=True)
    assert decode_params(call.params) == {"a": [1]}


def test_notification() -> None:
    """Without an id there is no answer; a null id is an id."""
    assert not _one(b'{"jsonrpc":"2.0","method":"m"}').answer
    assert _one(b'{"jsonrpc":"2.0","method":"m","id":null}').answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[",
        b"nonsense",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":["\xc3("]}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":[NaN]}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":[Infinity]}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":[1e999]}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":[' + b"9" * 5000 + b"]}",
        b'{"jsonrpc":"2.0","method":"m","id":1e999}',
        b'{"jsonrpc":"2.0","method":"m","method":"n","id":1}',
        b'{"jsonrpc":"2.0","method":"m","method":"n","params":[1],"id":1}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":{"a":1,"a":2}}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":[{"a":1,"\\u0061":2}]}',
        b'[{"jsonrpc":"2.0","method":"m","id":1,"params":{"a":1,"a":2}}]',
        b"[" * 17,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":' + b"[" * 16 + b"]" * 16 + b"}",
        b'"' + b'\\"' * 100_000,
    ],
)
def test_invalid_json(body: bytes) -> None:
    """Garbage, deep nesting, NaN, huge numbers, names given twice and broken text are `rpc/PARSE`."""
    assert _outcome(body) is errors.RPC_PARSE


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * (RPC_ITEMS_MAX + 1) + b"1]",
        b"[" + b"[]," * (RPC_ITEMS_MAX + 1) + b"1]",
        b"[" + b"[]" * (5 * RPC_ITEMS_MAX),
        b"[" + b",".join([b'{"jsonrpc":"2.0","method":"m"}'] * (RPC_CALLS_MAX + 1)) + b"]",
    ],
)
def test_invalid_amount(body: bytes) -> None:
    """More values or calls than one request may hold is `rpc/LIMIT_EXCEEDED`."""
    assert _outcome(body) is errors.RPC_LIMIT


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b" true "])
def test_invalid_request(body: bytes) -> None:
    """JSON that is no request, and the empty batch, are `rpc/INVALID_REQUEST`."""
    assert _outcome(body) is errors.RPC_INVALID_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"jsonrpc":"1.0","method":"m","id":1}',
        b'{"jsonrpc":2.0,"method":"m","id":1}',
        b'{"method":"m","id":1}',
        b'{"jsonrpc":"2.0","method":1,"id":1}',
        b'{"jsonrpc":"2.0","method":"m","id":[1]}',
        b'{"jsonrpc":"2.0","method":"m","id":true}',
        b'{"jsonrpc":"2.0","method":"m","id":{}}',
        b'{"jsonrpc":"2.0","method":"m","id":"' + b"x" * 300 + b'"}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":"bar"}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"params":null}',
        b'{"jsonrpc":"2.0","method":"m","id":1,"surplus":1}',
    ],
)
def test_invalid_envelope(body: bytes) -> None:
    """A wrong envelope is answered per call, so the rest of a batch lives."""
    (call,) = parse(body).calls
    assert isinstance(call, BadCall)
    assert call.fault.spec is errors.RPC_INVALID_REQUEST
    ok, bad = parse(b'[{"jsonrpc":"2.0","method":"m"},' + body + b"]").calls
    assert isinstance(ok, Call)
    assert isinstance(bad, BadCall)


def test_colons_in_text_are_no_names() -> None:
    """Text that holds colons takes the slow way and is still accepted."""
    call = _one(b'{"jsonrpc":"2.0","method":"m","id":"a:b","params":["x:y:z"]}')
    assert decode_params(call.params) == ["x:y:z"]


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No bytes raise anything but a named fault."""
    _outcome(body)


@given(st.lists(st.sampled_from([*b'{}[]",:\\ 1ea', 0xC3]), max_size=40).map(bytes))
def test_any_near_json_is_read_or_refused(body: bytes) -> None:
    """The same for bytes that look like JSON."""
    _outcome(b'{"jsonrpc":"2.0","method":"m","params":' + body + b"}")
    _outcome(body)
