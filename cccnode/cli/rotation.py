"""New keys for a running validator, without a gap: the old key works until the network knows the new one.

A consensus key needs no more than a file beside the old one and a message: the node takes it up at its epoch.  A node
key is registered, taken into use at the next start, and only then is the old one removed; each call does the next step.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cccnode import keys
from cccnode.city.registry.messages import RegistryAddNode, RegistryRemoveNode, RegistryRotateKey
from cccnode.cli import output
from cccnode.cli.keys import ask_passphrase, open_key
from cccnode.cli.options import Options
from cccnode.cli.preflight import candidate_key, used_keys
from cccnode.cli.reach import talk
from cccnode.cli.tx import organisation_of, send_message
from cccnode.client import Client
from cccnode.home import Home, disk_fault
from cccnode.keys import Role
from cccnode.node.data import found
from cccnode.types import errors
from cccnode.types.errors import fault
from cccnode.types.readiness import rotation_bytes
from p2p.directory import make_certificate

POLL_S: Final = 0.5
POLLS: Final = 120
"""A minute: the epoch with the new node key begins within seconds."""


def rotate_consensus_key(options: Options, how: Mapping[str, Any], *, unencrypted: bool) -> None:
    """Make a consensus key, or take one that was made and not registered, and have the registry follow it."""
    name, secret = organisation_of(options), how["secret"]

    async def ask(node: Client) -> tuple[bytes, frozenset[str]]:
        return await node.chain(), await used_keys(node, options.home)

    chain, used = talk(options, ask)
    path = candidate_key(options.home, used)
    if path is None:
        path = options.home.fresh_key(Role.VALIDATOR)
        made = _make(path, Role.VALIDATOR, secret, unencrypted=unencrypted)
        found(options.home.data, made.public_key)
    output.say(options.text(f"New consensus key: {path}", f"กุญแจลงคะแนนใหม่: {path}"))
    key = open_key(path, Role.VALIDATOR, secret)
    proof = key.sign(rotation_bytes(chain, name, key.public_key))
    send_message(options, RegistryRotateKey(key.public_key, proof), look=_key_file(path), **how)
    output.say(
        options.text(
            "The running node votes with it from the next epoch on. Keep the old file until `cccnode validator "
            "status` shows the new key.",
            "โหนดจะใช้กุญแจนี้ตั้งแต่ยุคถัดไป เก็บไฟล์เดิมไว้จนกว่า cccnode validator status จะแสดงกุญแจใหม่",
        )
    )


def rotate_transport_key(
    options: Options, addresses: Sequence[str], how: Mapping[str, Any], *, unencrypted: bool
) -> None:
    """The next step: register a new node key; say that the node must restart; remove the old key."""
    home, name = options.home, organisation_of(options)
    status, nodes = talk(options, _look)
    mine = {row["node_key"]: row for row in nodes if row["organisation"] == name}
    newest = "0x" + keys.read(home.node_key).pubkey
    older = ["0x" + keys.read(path).pubkey for path in home.node_keys[:-1]]
    if not home.next_node_key.exists() and status["node"] in older:
        _say_restart(options, newest, printed=False)
        return
    stale = [key for key in older if key in mine]
    if not home.next_node_key.exists() and stale and status["node"] == newest:
        send_message(options, RegistryRemoveNode(bytes.fromhex(stale[0][2:])), **how)
        output.say(options.text(f"Removed the old key {stale[0]}. Done.", f"ถอนกุญแจเดิม {stale[0]} แล้ว เสร็จสิ้น"))
        return
    if status["node"] != newest:
        raise fault(errors.HOME_OTHER_CHAIN, node=status["node"], home=str(home.root), key=newest)
    _register(options, mine, addresses, how, unencrypted=unencrypted)


def _register(
    options: Options,
    mine: Mapping[str, Any],
    addresses: Sequence[str],
    how: Mapping[str, Any],
    *,
    unencrypted: bool,
) -> None:
    """Register a new node key under the addresses of the one in use, then put it into use for the next start."""
    home = options.home
    current = "0x" + keys.read(home.node_key).pubkey
    where = tuple(addresses) or tuple(mine[current]["addresses"] if current in mine else ())
    if not home.next_node_key.exists():
        _make(home.next_node_key, Role.NODE, how["secret"], unencrypted=unencrypted)
    new = "0x" + keys.read(home.next_node_key).pubkey
    sends = new not in mine
    if sends:
        seed = open_key(home.next_node_key, Role.NODE, how["secret"]).seed
        send_message(options, RegistryAddNode(make_certificate(seed), where), **how)
        if how["print_curl"] or how["offline"] or not how["do_wait"]:
            output.say(options.text("Run this again once it is executed.", "เรียกคำสั่งนี้อีกครั้งเมื่อดำเนินการแล้ว"))
            return
    talk(options, lambda node: _until_listed(node, new, printed=sends and options.json))
    path = home.fresh_key(Role.NODE)
    try:
        home.next_node_key.rename(path)
    except OSError as error:
        raise disk_fault(error, path) from error
    _say_restart(options, new, printed=sends)


async def _look(node: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return await node.status(), await node.call("registry_nodes")


async def _until_listed(node: Client, key: str, *, printed: bool) -> None:
    """Wait until the epoch lists the new key, so that votes count from it at once; a peer's key is not listed."""
    for _ in range(POLLS):
        status = await node.status()
        if status["validator"] is None:
            return
        record = await node.call("chain_validators")
        if any(key in row["node_keys"] for row in record["validators"]):
            return
        await asyncio.sleep(POLL_S)
    why = "the epoch that lists the new node key has not begun"
    raise output.trouble(errors.WAIT_TIMEOUT, printed=printed, why=why, key=key)


def _say_restart(options: Options, key: str, *, printed: bool) -> None:
    if options.json and not printed:
        output.emit_json({"next": "restart", "node_key": key})
    output.say(
        options.text(
            f"Restart the node: it then uses {key}. After that, the same command again removes the old key.",
            f"เริ่มโหนดใหม่เพื่อใช้ {key} แล้วเรียกคำสั่งเดิมอีกครั้งเพื่อถอนกุญแจเก่า",
        )
    )


def _make(path: Path, role: Role, secret: Path | None, *, unencrypted: bool) -> keys.KeyFile:
    """A new key file under the passphrase of the others, because the node opens all of them with one."""
    passphrase = None if unencrypted else ask_passphrase(secret, confirm=True, of=path.name)
    first = Home(path.parent.parent).first_node_key
    if passphrase is not None and keys.read(first).encrypted:
        keys.unlock(first, role=Role.NODE, passphrase=passphrase)
    return keys.create(path, role=role, passphrase=passphrase, description=str(role))


def _key_file(path: Path) -> Any:
    async def look(node: Client, tx_id: bytes) -> dict[str, Any]:
        return {"key_file": str(path)}

    return look
