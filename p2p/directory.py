"""Who may connect: the registered nodes, their certificates, and the TLS contexts made of them (J14).

A node is its Ed25519 key.  Its certificate only carries that key through TLS: self-signed, without meaningful dates,
the same bytes whenever it is made from the same seed.  The acceptor trusts exactly the registered certificates; the
dialler pins the key it expects.  After the handshake the key is looked up in the directory, and that decides.
"""

import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from cccnode.crypto.signing import SigningKey
from cccnode.types.errors import Fault
from cccnode.types.limits import CERTIFICATE_DER_MAX
from cccnode.types.validators import node_id
from p2p.addresses import ADDRESS_CHARS_MAX, AddressRecord, split_address
from p2p.book import AddressBook

HINTS_MAX: Final = 4
"""Addresses remembered beside the signed and the registered ones, newest first."""
CONTACTS_MAX: Final = 32
"""Nodes that a newcomer dials before its registry knows any: those of a network card, and whom they name."""
_NOT_BEFORE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280 4.1.2.5: no well-defined expiration.  Identity is the registry's business; no outage by date."""


def make_certificate(seed: bytes) -> bytes:
    """The DER certificate of the node key of that 32-byte seed: always the same bytes, under 512 of them."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # A name of its own for every node: OpenSSL finds trusted certificates by name.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id(public).hex())])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=_NOT_BEFORE,
        not_valid_after=_NOT_AFTER,
    )
    return builder.sign(key, None).public_bytes(Encoding.DER)


@lru_cache(maxsize=1024)
def certificate_key(certificate: bytes) -> bytes | None:
    """The Ed25519 public key that a DER certificate carries; None if it carries none or cannot be read."""
    if len(certificate) > CERTIFICATE_DER_MAX:
        return None
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw) if isinstance(key, Ed25519PublicKey) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One registered node."""

    node_key: bytes
    certificate: bytes
    """DER."""
    addresses: tuple[str, ...]
    """Hints; its key is what counts."""
    organisation: str
    validator: bool
    """Whether its key stands in the current epoch record."""


class Identity:
    """This node's transport key and certificate.  It never prints its key."""

    __slots__ = ("_pem", "certificate", "node_key", "sign")

    def __init__(self, seed: bytes) -> None:
        """The identity of a 32-byte seed."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        self.node_key: bytes = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """32 bytes."""
        self.certificate: bytes = make_certificate(seed)
        """DER."""
        self.sign: Callable[[bytes], bytes] = SigningKey(seed).sign
        """Makes a 64-byte signature of the node key."""
        self._pem = ssl.DER_cert_to_PEM_cert(self.certificate).encode() + key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give `context` the certificate and key.  The ssl module reads files only, so one in memory if possible."""
        if hasattr(os, "memfd_create"):
            with open(os.memfd_create("node"), "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(self._pem)
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
            return
        descriptor, name = tempfile.mkstemp()  # 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - as above
                file.write(self._pem)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()


class Directory:
    """The registered nodes by key, with the TLS contexts that follow from them."""

    __slots__ = (
        "_certificates",
        "_hints",
        "_identity",
        "_nodes",
        "_server",
        "book",
        "client_context",
        "contacts",
        "unusable",
    )

    def __init__(
        self,
        identity: Identity,
        nodes: Iterable[Node] = (),
        *,
        chain: bytes,
        contacts: Iterable[tuple[bytes, str]] = (),
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """A directory for the node of `identity` in the network of `chain`; `contacts` are named by the operator."""
        self._identity = identity
        self.book = AddressBook(chain=chain, own_key=identity.node_key, sign=identity.sign, wall_ms=wall_ms)
        """What nodes say themselves of where they are; gossip reads and feeds it."""
        self.contacts: dict[bytes, tuple[str, ...]] = {}
        """Addresses by key of nodes to dial though this node's registry may not know them yet."""
        for key, address in contacts:
            self.add_contact(key, address)
        self._nodes: dict[bytes, Node] = {}
        self._hints: dict[bytes, tuple[str, ...]] = {}
        self._certificates: frozenset[bytes] = frozenset()
        self._server: ssl.SSLContext = server_context(identity)
        self.client_context: ssl.SSLContext = client_context(identity)
        """For dialling: shows our certificate, takes any; the caller compares the key with the one it expects."""
        self.unusable: tuple[Node, ...] = ()
        """Registered nodes whose certificate does not carry their key; they cannot connect."""
        self.set_nodes(nodes)

    @property
    def nodes(self) -> Mapping[bytes, Node]:
        """All registered nodes (own one included, if registered), by key in ascending order."""
        return MappingProxyType(self._nodes)

    @property
    def server_context(self) -> ssl.SSLContext:
        """For accepting: demands a registered certificate.  Take it anew for every connection."""
        return self._server

    def node(self, node_key: bytes) -> Node | None:
        """The registered node of that key: the authoritative check after a handshake."""
        return self._nodes.get(node_key)

    def add_contact(self, node_key: bytes, address: str) -> None:
        """Another node to dial that the registry may not know yet, named by the operator or by such a node."""
        if node_key != self._identity.node_key and (node_key in self.contacts or len(self.contacts) < CONTACTS_MAX):
            known = self.contacts.get(node_key, ())
            self.contacts[node_key] = tuple(dict.fromkeys((*known, address)))[:HINTS_MAX]

    def admits(self, node_key: bytes) -> bool:
        """Whether this node may be linked with that one: it is registered, or the operator named it."""
        return node_key in self._nodes or node_key in self.contacts

    def is_validator(self, node_key: bytes) -> bool:
        """Whether that key is a validator's."""
        node = self._nodes.get(node_key)
        return node is not None and node.validator

    def addresses(self, node_key: bytes) -> tuple[str, ...]:
        """Where that node may be: as it says itself, as registered, as the operator says, then as heard of."""
        node = self._nodes.get(node_key)
        registered = node.addresses if node else ()
        others = (*self.contacts.get(node_key, ()), *self._hints.get(node_key, ()))
        return tuple(dict.fromkeys((*self.book.addresses(node_key), *registered, *others)))

    def records(self) -> tuple[AddressRecord, ...]:
        """What nodes say themselves of where they are, newest first: to be kept on disk."""
        return self.book.records()

    def learn(self, records: Iterable[AddressRecord]) -> list[Fault]:
        """Take up records that were kept; return why others were refused."""
        return self.book.learn(records)

    def hint(self, node_key: bytes, address: str) -> None:
        """Remember where a registered node was heard of; what is no address is forgotten."""
        if node_key not in self._nodes or not 0 < len(address) <= ADDRESS_CHARS_MAX:
            return
        try:
            split_address(address)
        except Fault:
            return
        others = (known for known in self._hints.get(node_key, ()) if known != address)
        self._hints[node_key] = (address, *others)[:HINTS_MAX]

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """The registry changed.  New certificates are trusted at once, removed ones no longer."""
        before = frozenset(self._nodes)
        found = sorted(nodes, key=lambda node: node.node_key)
        self.unusable = tuple(node for node in found if certificate_key(node.certificate) != node.node_key)
        self._nodes = {node.node_key: node for node in found if certificate_key(node.certificate) == node.node_key}
        self._hints = {key: hints for key, hints in self._hints.items() if key in self._nodes}
        for key in before - self._nodes.keys():  # order-free: whom the registry removed, no operator's word admits
            self.contacts.pop(key, None)
        self.book.set_registered(self._nodes)
        certificates = frozenset(node.certificate for node in self._nodes.values())
        if self._certificates - certificates:
            self._server = server_context(self._identity)
            added = certificates
        else:
            added = certificates - self._certificates
        if added:
            # One string of DERs, into the context that is in use.
            self._server.load_verify_locations(cadata=b"".join(sorted(added)))
        self._certificates = certificates


def peer_key(ssl_object: ssl.SSLObject) -> bytes | None:
    """The key of the certificate that the other side proved to own in this handshake."""
    certificate = ssl_object.getpeercert(binary_form=True)
    return certificate_key(certificate) if certificate else None


def server_context(identity: Identity) -> ssl.SSLContext:
    """For accepting whoever shows a certificate that is loaded into it; nobody as long as none is."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.verify_mode = ssl.CERT_REQUIRED
    # A registered certificate is trusted itself, though nobody issued it (X509_V_FLAG_PARTIAL_CHAIN).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.num_tickets = 0  # no resumption: every connection shows its certificate
    return context


def client_context(identity: Identity) -> ssl.SSLContext:
    """For dialling: TLS 1.3 makes any server prove the key of its certificate; the pin says if it is the right one.

    With CERT_REQUIRED a wrong server would only be "unknown"; so its key can be named, and a node can join that knows
    no more of its first partner than the key on a network card.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int, identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    identity.load_into(context)
    return context
