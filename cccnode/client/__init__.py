"""The Python client of a node: calls that believe it here, and `cccnode.client.light`, which believes nobody."""

from cccnode.client.accounts import Account, Signer
from cccnode.client.calls import (
    ANSWER_BYTES_MAX,
    FEE_MAX,
    LIFETIME_MS,
    TIMEOUT_S,
    Client,
    Sent,
    Signed,
    from_hex,
    to_hex,
    wall_ms,
)
from cccnode.client.events import Event
from cccnode.client.failures import ClientError, error_from
from cccnode.client.sending import Sender
from cccnode.client.sync import SyncClient, SyncSender

__all__ = [
    "ANSWER_BYTES_MAX",
    "FEE_MAX",
    "LIFETIME_MS",
    "TIMEOUT_S",
    "Account",
    "Client",
    "ClientError",
    "Event",
    "Sender",
    "Sent",
    "Signed",
    "Signer",
    "SyncClient",
    "SyncSender",
    "error_from",
    "from_hex",
    "to_hex",
    "wall_ms",
]
