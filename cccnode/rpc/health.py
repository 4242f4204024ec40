"""`/readyz`: may a load balancer send people here?  Every failed check is listed with its code, text and remedy."""

from collections.abc import Mapping

from cccnode.rpc import envelopes
from cccnode.rpc.backend import Backend, Check, Reason
from cccnode.rpc.values import Json
from cccnode.types import errors

_DIGITS_MAX = 9


class Health:
    """Readiness of one node."""

    def __init__(self, backend: Backend) -> None:
        """Readiness of `backend`."""
        self._backend = backend

    def report(self, query: Mapping[str, str]) -> tuple[bool, Json]:
        """(ready, report); the caller may ask for `min_peers` and `max_behind` on top of the node's own checks."""
        checks = [*self._backend.readiness(), *self._asked(query)]
        failed = [
            {"check": check.name, **envelopes.reason_object(check.failed.spec, check.failed.values)}
            for check in checks
            if check.failed is not None
        ]
        return not failed, {"ready": not failed, "checks": [check.name for check in checks], "failed_checks": failed}

    def _asked(self, query: Mapping[str, str]) -> list[Check]:
        checks = []
        status = self._backend.status()
        if "min_peers" in query:
            wanted = _number(query["min_peers"])
            few = wanted is None or status.peers < wanted
            reason = Reason(spec=errors.NO_PEERS, values={"peers": status.peers, "min_peers": query["min_peers"]})
            checks.append(Check(name="min_peers", failed=reason if few else None))
        if "max_behind" in query:
            allowed = _number(query["max_behind"])
            far = allowed is None or status.behind > allowed
            reason = Reason(spec=errors.BEHIND, values={"behind": status.behind, "max_behind": query["max_behind"]})
            checks.append(Check(name="max_behind", failed=reason if far else None))
        return checks


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None
