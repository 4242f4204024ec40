"""Who asks, and how much of this node's time it may take: one bucket of cost units for each client.

A client is an API key, or else an address (of IPv6 its /64).  Behind a trusted proxy the address is the one that the
proxy names; a header that anyone else sends counts for nothing.  Clients on this machine that come through no proxy are
free unless `rpc.loopback_limited` is set.  A bucket may go below zero by one call: then the client waits until it has
filled, so that a costly method is never out of reach of a small bucket.
"""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cccnode.config import RpcSection
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

CLIENTS_MAX: Final = 10_000
"""Buckets in memory; the one that has rested longest is forgotten, which gives it a full one."""
_KEY_HEADER: Final = "X-API-Key"
_KEY_CHARS_MAX: Final = 256
_FORWARDED: Final = "X-Forwarded-For"
_FORWARDED_MAX: Final = 16
"""Addresses looked at in that header, from the right."""
_IPV6_SITE_BITS: Final = 64

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class Bucket:
    """What one client may still take."""

    name: str
    """Of the key, or the address."""
    per_s: float
    size: float
    left: float
    filled_at: float


class Head(Protocol):
    """What the gate reads of an HTTP request."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, whatever its case."""

    @property
    def remote(self) -> str | None:
        """Address of the other end of the connection."""


class Gate:
    """All buckets of the public port."""

    def __init__(self, limits: RpcSection, clock: Callable[[], float]) -> None:
        """No client yet; `clock` gives seconds that only grow."""
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._proxies = [ipaddress.ip_network(text) for text in limits.trusted_proxies]
        self._keys: dict[str, tuple[str, float]] = {}
        for line in limits.api_keys:
            name, digest, per_s = line.rsplit(":", 2)
            self._keys[digest] = (name, float(per_s))

    def take(self, bucket: Bucket | None, units: int) -> None:
        """Take units out of a bucket that is not empty.  Raises `rpc/RATE_LIMITED`."""
        if bucket is None:
            return
        now = self._clock()
        bucket.left = min(bucket.size, bucket.left + (now - bucket.filled_at) * bucket.per_s)
        bucket.filled_at = now
        if bucket.left <= 0:
            raise fault(errors.RPC_RATE_LIMITED, client=bucket.name, retry_ms=math.ceil(_wait_s(bucket) * 1000))
        bucket.left -= units

    def free_of_limits(self, remote: str | None) -> bool:
        """Whether the connections of an address are not counted: proxies, and this machine unless it is set."""
        address = _address(remote)
        if address is None:
            return False
        return self._trusted(address) or (address.is_loopback and not self._limits.loopback_limited)

    def bucket(self, head: Head) -> Bucket | None:
        """The bucket of whoever asks; None: nothing is counted for it.  Raises `rpc/KEY_UNKNOWN`."""
        key = _key(head)
        if key is not None:
            known = self._keys.get(hashlib.sha256(key.encode()).hexdigest()) if len(key) <= _KEY_CHARS_MAX else None
            if known is None:
                raise fault(errors.RPC_KEY_UNKNOWN)
            return self._named("key " + known[0], known[1])
        forwarded = head.headers.get(_FORWARDED)
        address = _address(head.remote)
        if address is not None and address.is_loopback and forwarded is None and not self._limits.loopback_limited:
            return None
        if address is not None and forwarded is not None and self._trusted(address):
            address = self._behind(forwarded, address)
        return self._named(_site(address), float(self._limits.units_per_s))

    def _behind(self, forwarded: str, proxy: Address) -> Address:
        """The last address that a trusted proxy was not itself: whoever stands left of it could have made it up."""
        address = proxy
        for text in reversed(forwarded.rsplit(",", _FORWARDED_MAX)[-_FORWARDED_MAX:]):
            named = _address(text.strip())
            if named is None:
                break
            address = named
            if not self._trusted(named):
                break
        return address

    def _trusted(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)

    def _named(self, name: str, per_s: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            size = per_s * self._limits.burst_s
            bucket = Bucket(name, per_s, size, size, self._clock())
            self._buckets[name] = bucket
            if len(self._buckets) > CLIENTS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        return bucket


def rate_headers(bucket: Bucket | None) -> Mapping[str, str]:
    """`X-RateLimit-*` of an answer: the size of the bucket, what is left, seconds until it is full."""
    if bucket is None:
        return {}
    return {
        "X-RateLimit-Limit": str(int(bucket.size)),
        "X-RateLimit-Remaining": str(max(0, int(bucket.left))),
        "X-RateLimit-Reset": str(math.ceil((bucket.size - bucket.left) / bucket.per_s)),
    }


def retry_after(refusal: Fault) -> str:
    """Whole seconds after which `rpc/RATE_LIMITED` is over."""
    wait_ms = refusal.values["retry_ms"]
    assert isinstance(wait_ms, int)
    return str(max(1, math.ceil(wait_ms / 1000)))


def _wait_s(bucket: Bucket) -> float:
    """Until one unit is there."""
    return (1 - bucket.left) / bucket.per_s


def _key(head: Head) -> str | None:
    key = head.headers.get(_KEY_HEADER)
    if key is not None:
        return key
    scheme, _, token = head.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _address(text: str | None) -> Address | None:
    if text is None:
        return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _site(address: Address | None) -> str:
    """What a single subscriber has: an IPv4 address, or a /64."""
    if address is None:
        return "unknown"
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False))
