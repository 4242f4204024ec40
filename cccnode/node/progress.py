"""How far a node has come that begins at a snapshot, as the RPC shows it."""

from dataclasses import asdict

from cccnode.driver.joining import Joining
from cccnode.rpc.backend import SnapshotProgress


def shown_progress(joining: Joining) -> SnapshotProgress | None:
    """The progress of the snapshot that is on its way; None when there is none."""
    progress = joining.progress
    return None if progress is None else SnapshotProgress(**asdict(progress))
