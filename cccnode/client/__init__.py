"""The Python client of a node: calls that believe it here, and `cccnode.client.light`, which believes nobody."""

from cccnode.client.calls import (
    ANSWER_BYTES_MAX,
    FEE_MAX,
    LIFETIME_MS,
    TIMEOUT_S,
    Account,
    Client,
    ClientError,
    Sent,
    Signed,
    Signer,
    error_from,
    from_hex,
    to_hex,
    wall_ms,
)

__all__ = [
    "ANSWER_BYTES_MAX",
    "FEE_MAX",
    "LIFETIME_MS",
    "TIMEOUT_S",
    "Account",
    "Client",
    "ClientError",
    "Sent",
    "Signed",
    "Signer",
    "error_from",
    "from_hex",
    "to_hex",
    "wall_ms",
]
