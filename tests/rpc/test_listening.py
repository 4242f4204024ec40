"""Connections before any request: how many, how long; web sites; TLS whose files change."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cccnode.rpc.listening import Certificate
from cccnode.types.errors import Fault
from tests.rpc.test_server import STATUS, _post, _serving

NAME = "localhost"
DAY = dt.timedelta(days=1)
TODAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def write_identity(folder: Path, *, serial: int) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, TODAY, TODAY + 36500 * DAY)
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


async def _serial(address: str) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der).serial_number


async def test_tls_reloads(tmp_path: Path) -> None:
    """New connections get the new certificate without a restart; a broken file leaves the old one in use."""
    chain, key = write_identity(tmp_path, serial=7)
    async with _serving(tls_cert=str(chain), tls_key=str(key)) as (_, server, _session):
        assert 7 == await _serial(server.rpc_address)
        write_identity(tmp_path, serial=9)
        assert server.certificate.refresh()
        assert 9 == await _serial(server.rpc_address)
        failures: list[Any] = []
        server.certificate._on_failure = lambda *failure: failures.append(failure)
        chain.write_text("no certificate at all")
        assert server.certificate.refresh()
        assert not server.certificate.refresh()
        assert ("tls", "rpc/TLS_FILES") == (failures[0][0], failures[0][1].spec.name)
        assert 9 == await _serial(server.rpc_address)


def test_invalid_tls_files(tmp_path: Path) -> None:
    """A missing file, or a key that is encrypted, is named instead of asked for."""
    with pytest.raises(Fault, match="rpc/TLS_FILES"):
        Certificate(tmp_path / "none", tmp_path / "nothing")
    chain, secret = write_identity(tmp_path, serial=7)
    key = serialization.load_pem_private_key(secret.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(Fault, match="rpc/TLS_FILES"):
        Certificate(chain, secret)


async def _ended(address: str) -> bool:
    """Whether the server drops a connection that says nothing."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        return b"" == await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return True
    finally:
        writer.close()


async def test_connections_of_one_address() -> None:
    """One more than allowed is dropped at once; when others have gone there is room again."""
    async with _serving(connections_per_address_max=2, loopback_limited=True) as (_, server, _session):
        async with (
            aiohttp.ClientSession() as first,
            aiohttp.ClientSession() as second,
            first.ws_connect(f"http://{server.rpc_address}/ws"),
        ):
            assert 200 == (await _post(second, server, STATUS))[0]
            assert await _ended(server.rpc_address)
            assert 1 == server.door.refused
        async with aiohttp.ClientSession() as third:
            assert 200 == (await _post(third, server, STATUS))[0]
        await server.stop()
        assert not server.door._silent


async def test_invalid_silence() -> None:
    """A connection whose first request does not come, or comes by drops, is dropped."""
    async with _serving(read_timeout_ms=100) as (_, server, session):
        assert await _ended(server.rpc_address)
        assert 200 == (await _post(session, server, STATUS))[0]


async def test_web_sites() -> None:
    """No site is allowed unless named; the node's own pages are; a browser is told which."""
    origin = {"Origin": "https://city.example"}
    async with _serving() as (_, server, session):
        url = f"http://{server.rpc_address}"
        async with session.options(url + "/rpc", headers=origin) as response:
            assert (403, "rpc/ORIGIN") == (response.status, (await response.json())["error"]["data"]["name"])
        async with session.get(url + "/v1/status", headers=origin) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url + "/ws", headers=origin)
        assert 403 == refused.value.status
        async with session.ws_connect(url + "/ws", headers={"Origin": url}) as socket:
            assert not socket.closed
    async with _serving(cors_origins=("https://city.example",)) as (_, server, session):
        url = f"http://{server.rpc_address}"
        async with session.options(url + "/rpc", headers=origin) as response:
            assert (204, "https://city.example") == (response.status, response.headers["Access-Control-Allow-Origin"])
        async with session.get(url + "/v1/nothing", headers=origin) as response:
            assert (404, "Origin") == (response.status, response.headers["Vary"])
        async with session.ws_connect(url + "/ws", headers=origin) as socket:
            assert not socket.closed
