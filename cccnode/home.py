"""The folder of one node (`--home`): where its files lie, and the lock that keeps a second process out."""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cccnode.types import errors
from cccnode.types.errors import Fault, fault


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one folder (architecture.md 8)."""

    root: Path

    @property
    def config_file(self) -> Path:
        """The settings of this node."""
        return self.root / "config.toml"

    @property
    def genesis_file(self) -> Path:
        """The genesis document of its chain."""
        return self.root / "genesis.json"

    @property
    def card_file(self) -> Path:
        """The network card with which this node joined; absent at founders."""
        return self.root / "network.card"

    @property
    def restarts(self) -> Path:
        """Restart certificates that the operator has accepted."""
        return self.root / "restarts"

    @property
    def keys(self) -> Path:
        """Key files; readable by the owner only."""
        return self.root / "keys"

    @property
    def node_key(self) -> Path:
        """The key of connections between nodes: `node.json`, or the newest `node-<number>.json` once it was rotated."""
        return self.node_keys[-1]

    @property
    def node_keys(self) -> list[Path]:
        """The first node key and those that replaced it, the newest last."""
        return [self.first_node_key, *self._numbered("node")]

    @property
    def first_node_key(self) -> Path:
        """The node key with which the data was begun; it marks the data for ever, however often the key is rotated."""
        return self.keys / "node.json"

    @property
    def next_node_key(self) -> Path:
        """A node key that is being registered and not in use yet."""
        return self.keys / "node-next.json"

    @property
    def validator_key(self) -> Path:
        """The first key that signs votes; absent on a peer."""
        return self.keys / "validator.json"

    @property
    def signer_card(self) -> Path:
        """What is public of the remote signer: which key it holds, and how it proves who it is."""
        return self.root / "signer.json"

    @property
    def validator_keys(self) -> list[Path]:
        """All keys that sign votes, the newest last: the registry decides which of them does."""
        first = [self.validator_key] if self.validator_key.exists() else []
        return [*first, *self._numbered("validator")]

    def fresh_key(self, name: str) -> Path:
        """Where a further `node` or `validator` key goes."""
        known = [int(path.stem.rpartition("-")[2]) for path in self._numbered(name)]
        first = self.keys / f"{name}.json"
        return self.keys / f"{name}-{max(known, default=1) + 1}.json" if known or first.exists() else first

    def _numbered(self, name: str) -> list[Path]:
        """`name-2.json`, `name-3.json` ... that exist, by number."""
        found = [path for path in self.keys.glob(f"{name}-*.json") if path.stem.rpartition("-")[2].isdecimal()]
        return sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))

    def account_key(self, name: str) -> Path:
        """The key of a member's account that this operator keeps here."""
        return self.keys / "accounts" / f"{name}.json"

    @property
    def data(self) -> Path:
        """Everything that can be fetched again from others, and the vote journal, which cannot."""
        return self.root / "data"

    @property
    def run(self) -> Path:
        """What lives as long as the process: lock, process id."""
        return self.root / "run"


class HomeLock:
    """Held while a process uses a home; the operating system drops it when the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        """Take over an open, locked file."""
        self._descriptor = descriptor

    @classmethod
    def take(cls, home: Home) -> "HomeLock":
        """Lock the home and write our process id into the lock file.

        Raises:
            Fault: `home/LOCKED` naming the other process, `home/READ_ONLY` or `home/DISK_FULL`.
        """
        path = home.run / "lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise disk_fault(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            process = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise fault(errors.HOME_LOCKED, home=str(home.root), process=process or "unknown") from error
        except OSError as error:
            os.close(descriptor)
            raise disk_fault(error, path) from error
        return cls(descriptor)

    def release(self) -> None:
        """Give the home back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Hold the lock for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()


def lock_holder(home: Home) -> int | None:
    """The process that holds the home's lock, None when nobody does."""
    try:
        descriptor = os.open(home.run / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def disk_fault(error: OSError, path: Path) -> Fault:
    """The named error behind an operating-system error on a file of the home."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return fault(errors.DISK_FULL, path=str(path))
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return fault(errors.DISK_READ_ONLY, path=str(path))
    return fault(errors.DISK_FAILED, path=str(path), why=error.strerror or str(error))
