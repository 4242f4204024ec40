"""The consensus keys of this home, by public key; the registry decides which of them votes (J14).

A key file that appears while the node runs is opened soon, beside the loop, because its passphrase is slow to check on
purpose; at the latest when an epoch first names its key.  So a rotated key takes over at its epoch without a restart.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from cccnode import keys
from cccnode.config import Config
from cccnode.crypto.signing import SigningKey
from cccnode.driver.runtime import Runtime
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.signer.card import read_card
from cccnode.signer.remote import RemoteSigner
from cccnode.types.errors import Fault
from consensus.config import Sign
from p2p.directory import Identity as NodeIdentity

LOOK_MS: Final = 500
"""How often a running node looks for new key files: sooner than a change of keys can be ordered and come true."""
_log = structlog.get_logger("keys")


def unlock(config: Config) -> tuple[SigningKey, "Keyring"]:
    """The node key in use, and the consensus keys.

    Raises:
        Fault: a key file that cannot be read or opened.
    """
    file = Path(config.keys.passphrase_file) if config.keys.passphrase_file else None
    node_key = keys.unlock(config.home.node_key, role=Role.NODE, passphrase=keys.find_passphrase(file))
    remote = None
    if config.signer.listen:
        remote = RemoteSigner(read_card(config.home.signer_card), NodeIdentity(node_key.seed))
    return node_key, Keyring(config.home, file, remote)


class Keyring(Mapping[bytes, Sign]):
    """What signs, by public key: none at a node that only follows, several once a key was rotated."""

    def __init__(self, home: Home, passphrase_file: Path | None, remote: RemoteSigner | None = None) -> None:
        """Open every consensus key that lies in the home now; `remote` holds a further one elsewhere.

        Raises:
            Fault: a key file that cannot be read or opened.
        """
        self._home, self._passphrase_file = home, passphrase_file
        self.remote = remote
        self._signers: dict[bytes, Sign] = {} if remote is None else {remote.public_key: remote}
        self._refused: set[Path] = set()
        """Files that appeared later and did not open; told once."""
        self._seen = set(home.validator_keys)
        """Files that were opened, or tried."""
        for path in home.validator_keys:
            self._take(self._open(path))

    def watch(self, runtime: Runtime) -> None:
        """Open files that appear from now on in a thread of their own: the loop does not wait for a passphrase."""
        for path in self._home.validator_keys:
            if path not in self._seen:
                self._seen.add(path)
                runtime.run_in_writer("keys", partial(self._open, path), partial(self._opened, path))
        runtime.call_later(LOOK_MS, partial(self.watch, runtime))

    def __getitem__(self, public_key: bytes) -> Sign:
        """What signs with that key; a file that came since is opened for it."""
        if public_key not in self._signers:
            self._look_for(public_key)
        return self._signers[public_key]

    def __iter__(self) -> Iterator[bytes]:
        """The public keys that are open."""
        return iter(self._signers)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._signers)

    def _look_for(self, public_key: bytes) -> None:
        """Open the file of that key, if there is one; that another does not open is for the operator, and no crash."""
        for path in self._home.validator_keys:
            try:
                if keys.read(path).public_key == public_key:
                    self._opened(path, self._open(path))
            except Fault as refused:
                self._opened(path, refused)

    def _open(self, path: Path) -> SigningKey:
        passphrase = keys.find_passphrase(self._passphrase_file)
        return keys.unlock(path, role=Role.VALIDATOR, passphrase=passphrase)

    def _opened(self, path: Path, key: SigningKey | BaseException) -> None:
        """A file that appeared later is open, or does not open."""
        if isinstance(key, SigningKey):
            self._take(key)
            _log.info("a consensus key was added", file=str(path), key=key.public_key)
        elif not isinstance(key, Fault):
            raise key
        elif path not in self._refused:
            self._refused.add(path)
            _log.warning("a consensus key does not open", reason=str(key), remedy=key.spec.remedy)

    def _take(self, key: SigningKey) -> None:
        self._signers[key.public_key] = key.sign
