"""Fetches what a node joins with from the contacts of a network card; none is trusted, all is checked."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from cccnode.card import Card
from cccnode.cli.output import Trouble, trouble
from cccnode.client import Client, ClientError
from cccnode.home import disk_fault
from cccnode.rpc.downloads import ALLOCATION_FOLDER, GENESIS_PATH
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from genesis.document import ALLOCATION_BYTES_MAX, DOCUMENT_BYTES_MAX, AllocationEntry, chain_id, read_document

_TIMEOUT_S: Final = 30.0
"""For the document: small, and the next contact waits."""


async def fetch_genesis(card: Card, folder: Path) -> Path:
    """The genesis document of the card's network, with its allocation file beside it where it names one.

    Raises:
        Trouble: `card/OTHER_GENESIS` when some contact answered and none with the right document, else
            `client/UNREACHABLE`, with what each contact said.
    """
    said: list[str] = []
    wrong = False
    for address in card.rpc_addresses:
        async with Client(address) as client:
            try:
                return await _fetch(client, card.chain, folder)
            except ClientError as error:
                said.append(f"{address}: {error}")
            except Fault as error:
                if error.spec not in {errors.CARD_OTHER_GENESIS, errors.GENESIS_INVALID, errors.GENESIS_UNSIGNED}:
                    raise
                wrong = True
                said.append(f"{address}: {error}")
    raise _nobody(said, wrong=wrong)


async def _fetch(client: Client, chain: bytes, folder: Path) -> Path:
    raw = bytearray()
    await client.download(GENESIS_PATH, raw.extend, bytes_max=DOCUMENT_BYTES_MAX, timeout_s=_TIMEOUT_S)
    document = read_document(bytes(raw))
    found = chain_id(document)
    if found != chain:
        raise fault(errors.CARD_OTHER_GENESIS, chain=found)
    if document.allocation is not None:
        await _fetch_allocation(client, document.allocation, folder)
    path = folder / "genesis.json"
    path.write_bytes(raw)
    return path


async def _fetch_allocation(client: Client, entry: AllocationEntry, folder: Path) -> None:
    """The allocation file, through the disk: it may be large."""
    path = folder / entry.file_name
    digest = sha256()
    try:
        with path.open("wb") as file:

            def write(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            await client.download(ALLOCATION_FOLDER + entry.file_name, write, bytes_max=ALLOCATION_BYTES_MAX)
    except OSError as error:
        raise disk_fault(error, path) from error
    if digest.hexdigest() != entry.sha256:
        raise fault(errors.CARD_OTHER_GENESIS, file=entry.file_name, sha256=digest.hexdigest())


def _nobody(said: list[str], *, wrong: bool) -> Trouble:
    if not said:
        return trouble(errors.UNREACHABLE, why="the card names no RPC address: give the document with --genesis FILE")
    return trouble(errors.CARD_OTHER_GENESIS if wrong else errors.UNREACHABLE, contacts=said)
