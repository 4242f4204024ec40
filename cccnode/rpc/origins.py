"""Which web sites' pages may use this node: none, unless the operator names them (CORS).

A program sends no `Origin`.  A browser does: it hides the answer from a page that is not allowed, but for a WebSocket
it leaves the refusal to the server.  The node's own pages are always allowed.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from cccnode.types import errors
from cccnode.types.errors import fault

_ANY: Final = "*"
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, X-API-Key, Authorization, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After"


class Origins:
    """The sites that are allowed."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """These, and the node's own."""
        self._allowed = frozenset(text.rstrip("/") for text in allowed)

    def check(self, request: web.BaseRequest) -> None:
        """Refuse a page of a site that is not allowed.  Raises `rpc/ORIGIN`."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(request, origin) and not self._allows(origin):
            raise fault(errors.RPC_ORIGIN, origin=origin[:256])

    def headers(self, request: web.BaseRequest) -> Mapping[str, str]:
        """What an answer tells the browser."""
        origin = request.headers.get("Origin")
        if origin is None or not self._allows(origin):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED, "Vary": "Origin"}

    def preflight(self, request: web.BaseRequest) -> web.Response:
        """The answer to a browser that asks whether its page may ask.  Raises `rpc/ORIGIN`."""
        self.check(request)
        return web.Response(status=204, headers=_PREFLIGHT)

    def _allows(self, origin: str) -> bool:
        return _ANY in self._allowed or origin in self._allowed

    def _is_own(self, request: web.BaseRequest, origin: str) -> bool:
        return origin.partition("://")[2] == request.headers.get("Host")
