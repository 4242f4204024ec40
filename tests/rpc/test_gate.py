"""Buckets of cost units: who has one, what it holds, and which headers are believed."""

import hashlib
from dataclasses import dataclass, field

import pytest

from cccnode.config import RpcSection
from cccnode.rpc import gate
from cccnode.rpc.gate import Gate, rate_headers, retry_after
from cccnode.types.errors import Fault
from tests.rpc.test_server import STATUS, _post, _serving

KEY = "a key of the hospital"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


@dataclass
class _Head:
    remote: str | None = "203.0.113.7"
    headers: dict[str, str] = field(default_factory=dict)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _gate(clock: _Clock | None = None, **limits: object) -> Gate:
    return Gate(RpcSection(**{"units_per_s": 10, "burst_s": 2, **limits}), clock or _Clock())


def _name(made: Gate, remote: str, **headers: str) -> str | None:
    bucket = made.bucket(_Head(remote, {name.replace("_", "-"): text for name, text in headers.items()}))
    return None if bucket is None else bucket.name


def test_a_bucket_empties_and_fills() -> None:
    """A call may take more than is left; then the client waits for a unit, and a rest fills the bucket, no further."""
    clock = _Clock()
    made = _gate(clock)
    bucket = made.bucket(_Head())
    made.take(bucket, 100)
    with pytest.raises(Fault) as refused:
        made.take(bucket, 0)
    assert ("rpc/RATE_LIMITED", 8100, "9") == (
        refused.value.spec.name,
        refused.value.values["retry_ms"],
        retry_after(refused.value),
    )
    assert {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "10"} == rate_headers(bucket)
    clock.now = 8.1
    made.take(bucket, 1)
    clock.now = 1000
    made.take(bucket, 0)
    assert "20" == rate_headers(bucket)["X-RateLimit-Remaining"]


def test_clients() -> None:
    """An address, the /64 of an IPv6 address, a key; programs on this machine are free unless it is set."""
    made = _gate(api_keys=(f"hospital:{DIGEST}:500",))
    assert "203.0.113.7" == _name(made, "203.0.113.7")
    assert "203.0.113.7" == _name(made, "::ffff:203.0.113.7")
    assert _name(made, "2001:db8::1") == _name(made, "2001:db8::2") != _name(made, "2001:db8:0:1::2")
    assert None is _name(made, "127.0.0.1")
    assert "127.0.0.1" == _name(_gate(loopback_limited=True), "127.0.0.1")
    assert (
        "key hospital" == _name(made, "203.0.113.7", X_API_Key=KEY) == _name(made, "::1", Authorization=f"Bearer {KEY}")
    )
    assert 1000 == made.bucket(_Head(headers={"X-API-Key": KEY})).size


@pytest.mark.parametrize("key", ["", "wrong", "x" * 300])
def test_invalid_key(key: str) -> None:
    """An unknown key is refused, not treated as none."""
    with pytest.raises(Fault, match="rpc/KEY_UNKNOWN"):
        _name(_gate(api_keys=(f"hospital:{DIGEST}:500",)), "203.0.113.7", X_API_Key=key)


def test_forwarded_addresses() -> None:
    """Only a trusted proxy is believed, and only about the last address that is no trusted proxy itself."""
    made = _gate(trusted_proxies=("10.0.0.0/8", "127.0.0.1"))
    assert "198.51.100.9" == _name(made, "10.1.2.3", X_Forwarded_For="1.1.1.1, 198.51.100.9")
    assert "198.51.100.9" == _name(made, "127.0.0.1", X_Forwarded_For="198.51.100.9, 10.9.9.9")
    assert "203.0.113.7" == _name(made, "203.0.113.7", X_Forwarded_For="198.51.100.9")
    assert "10.1.2.3" == _name(made, "10.1.2.3", X_Forwarded_For="nonsense")
    assert "127.0.0.1" == _name(_gate(), "127.0.0.1", X_Forwarded_For="198.51.100.9"), "not trusted, and not free"


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client that has rested longest is forgotten."""
    monkeypatch.setattr(gate, "CLIENTS_MAX", 2)
    made = _gate()
    first = made.bucket(_Head("1.1.1.1"))
    made.bucket(_Head("1.1.1.2"))
    assert first is made.bucket(_Head("1.1.1.1"))
    made.bucket(_Head("1.1.1.3"))
    assert ["1.1.1.1", "1.1.1.3"] == list(made._buckets)


async def test_429() -> None:
    """A client over its share gets 429 and when to come back, on /rpc, /v1 and a WebSocket; one with a key goes on."""
    limits = {"units_per_s": 1, "burst_s": 1, "loopback_limited": True, "api_keys": (f"hospital:{DIGEST}:5000",)}
    async with _serving(**limits) as (_, server, session):
        url = f"http://{server.rpc_address}"
        async with session.ws_connect(url + "/ws") as socket:
            assert 200 == (await _post(session, server, STATUS))[0]
            code, answer = await _post(session, server, STATUS)
            assert (429, "rpc/RATE_LIMITED", True) == (
                code,
                answer["error"]["data"]["name"],
                answer["error"]["data"]["retryable"],
            )
            async with session.get(url + "/v1/status") as response:
                assert (429, "rpc/RATE_LIMITED") == (response.status, (await response.json())["name"])
                assert int(response.headers["Retry-After"]) >= 1
                assert "0" == response.headers["X-RateLimit-Remaining"]
            await socket.send_str(STATUS.decode())
            assert "rpc/RATE_LIMITED" == (await socket.receive_json())["error"]["data"]["name"]
        async with session.get(url + "/v1/status", headers={"X-API-Key": KEY}) as response:
            assert (200, "50000") == (response.status, str(int(response.headers["X-RateLimit-Limit"]) * 10))
        async with session.get(url + "/v1/status", headers={"X-API-Key": "wrong"}) as response:
            assert 401 == response.status


async def test_transactions_of_a_batch_cost() -> None:
    """Many transactions in one call cost as many calls; once the bucket is empty the rest of a batch is refused."""
    async with _serving(units_per_s=20, burst_s=1, loopback_limited=True) as (_, server, session):
        call = '{"jsonrpc":"2.0","id":1,"method":"tx_submit_batch","params":[["0x00","0x00","0x00","0x00"]]}'
        code, answers = await _post(session, server, f"[{','.join([call] * 4)}]".encode())
        assert (200, 3) == (code, sum("result" in answer for answer in answers))
        assert "rpc/RATE_LIMITED" == answers[3]["error"]["data"]["name"]
