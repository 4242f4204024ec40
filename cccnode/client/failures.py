"""What can go wrong for a client, by the names of the error table."""

from dataclasses import dataclass, field
from typing import Any

from cccnode.types import errors
from cccnode.types.errors import ErrorSpec


@dataclass(slots=True, eq=False)
class ClientError(Exception):
    """What went wrong, by name.  `client/...` is this side's word, any other name the node's."""

    name: str
    code: int
    text: str
    hint: str
    retryable: bool = False
    text_th: str = ""
    hint_th: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name, text and details on one line."""
        shown = ", ".join(f"{key}={value}" for key, value in self.details.items())
        return f"{self.name}: {self.text}" + (f" ({shown})" if shown else "")


def error_from(envelope: Any) -> ClientError:
    """The exception behind a JSON-RPC `error` member; a foreign server's may lack everything but code and message."""
    if not isinstance(envelope, dict):
        return local_error(errors.BAD_ANSWER)
    data = envelope.get("data")
    data = data if isinstance(data, dict) else {}
    return ClientError(
        name=str(data.get("name", "rpc/UNKNOWN")),
        code=envelope["code"] if isinstance(envelope.get("code"), int) else 0,
        text=str(envelope.get("message", "")),
        hint=str(data.get("hint", "")),
        retryable=data.get("retryable") is True,
        text_th=str(data.get("text_th", "")),
        hint_th=str(data.get("hint_th", "")),
        details=data["details"] if isinstance(data.get("details"), dict) else {},
    )


def local_error(spec: ErrorSpec, **details: object) -> ClientError:
    """This side's word for what went wrong."""
    return ClientError(
        name=spec.name,
        code=spec.code,
        text=spec.en,
        hint=spec.remedy,
        retryable=spec.retryable,
        text_th=spec.th,
        hint_th=spec.remedy_th,
        details=dict(details),
    )
