"""Where nodes were last reached, kept over restarts: signed records that the network passes on (p2p/book.py)."""

from typing import Final

import structlog

from cccnode.codec import DecodeError, decode, encode
from cccnode.driver.runtime import Runtime, raise_failure
from p2p.addresses import AddressRecord
from p2p.directory import Directory
from storage.files import Disk

FILE: Final = "addresses"
KEEP_MS: Final = 60_000
"""So often news goes to disk; what a crash loses comes again from the neighbours."""

_log = structlog.get_logger("addresses")


class KeptAddresses:
    """The directory's records on disk."""

    def __init__(self, directory: Directory, disk: Disk, runtime: Runtime) -> None:
        """Teach the directory what was kept; every record is verified again."""
        self._directory, self._disk, self._runtime = directory, disk, runtime
        self._kept = disk.read(FILE) if disk.exists(FILE) else b""
        try:
            records = decode(tuple[AddressRecord, ...], self._kept) if self._kept else ()
        except DecodeError as error:
            _log.warning("the kept addresses are damaged and left out", reason=str(error))
            records = ()
        for refused in directory.learn(records):
            _log.info("a kept address is left out", reason=str(refused))

    def start(self) -> None:
        """Keep what is new, from time to time."""
        self._runtime.call_later(KEEP_MS, self._keep)

    def _keep(self) -> None:
        raw = encode(self._directory.records())
        if raw != self._kept:
            self._kept = raw
            self._runtime.run_in_writer(FILE, lambda: self._disk.replace_file(FILE, raw), raise_failure)
        self.start()
