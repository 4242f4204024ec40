"""Where a newcomer stands, asked of the network's contacts and of his own node, and what he types next.

The steps, in order: the organisation is proposed, approved, the own node runs, catches up, is at the tip; then, for one
that wants to validate: applied, approved, and the epoch that has it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cccnode import keys
from cccnode.cli.card import card_of
from cccnode.cli.council import about, duration, progress
from cccnode.cli.options import Options
from cccnode.cli.output import table, trouble
from cccnode.cli.reach import load
from cccnode.cli.status import snapshot_text
from cccnode.client import Client, ClientError
from cccnode.types import errors
from cccnode.types.validators import node_id

TIMEOUT_S: Final = 5.0
SAMPLE_S: Final = 1.0
"""Between two looks at a node that catches up: gives its speed."""
AT_TIP_BLOCKS: Final = 20

STAGES: Final = (
    "alone",
    "not_proposed",
    "not_admitted",
    "proposed",
    "node_unregistered",
    "not_running",
    "catching_up",
    "ready",
    "applied",
    "validator_next",
    "validating",
)
"""In the order in which a newcomer comes to them."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the first contact that answered says of the network."""

    address: str
    status: Json
    organisations: Sequence[Json]
    nodes: Sequence[Json]
    proposals: Sequence[Json]
    decisions: Sequence[Json]
    members: Sequence[Json]
    """Of this epoch."""
    validators: Sequence[Json]
    """Of this epoch and the next, by the registry."""


def look(options: Options) -> Json:
    """Everything, as JSON: `stage` is one word, `next` the command to type.

    Raises:
        Fault: the home cannot be read.
        Trouble: `client/BAD_ANSWER`.
    """
    settings = load(options).config
    card = card_of(str(options.home.card_file)) if options.home.card_file.exists() else None
    own = keys.read(options.home.node_key).public_key
    contacts = card.rpc_addresses if card is not None else ()
    try:
        found = asyncio.run(_ask(contacts, options.node or settings.rpc.listen))
        return _judge(options, found, organisation=settings.node.organisation, own="0x" + own.hex())
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # A contact may be anybody's: what it answers is not always what a cccnode answers.
        raise trouble(errors.BAD_ANSWER, contacts=[*contacts, settings.rpc.listen], why=repr(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was heard."""

    silent: Sequence[str]
    """Contacts that did not answer."""
    network: Network | None
    node: Json | None
    """Status of the own node; None while it does not run."""
    eta_ms: int | None
    """Until it is at the tip, by its speed now."""


async def _ask(contacts: Sequence[str], own: str) -> Found:
    silent: list[str] = []
    network = None
    for address in contacts:
        network = await _ask_network(address)
        if network is not None:
            break
        silent.append(address)
    node, eta_ms = await _ask_own(own, network)
    if network is None and node is not None:
        network = await _ask_network(own)
    return Found(silent=silent, network=network, node=node, eta_ms=eta_ms)


async def _ask_network(address: str) -> Network | None:
    async with Client(address, timeout_s=TIMEOUT_S) as client:
        try:
            return Network(
                address=address,
                status=await client.status(),
                organisations=await client.call("registry_organisations"),
                nodes=await client.call("registry_nodes"),
                proposals=await client.call("registry_proposals"),
                decisions=await client.call("registry_decisions"),
                members=(await client.call("chain_validators"))["validators"],
                validators=await client.call("registry_validators"),
            )
        except ClientError:
            return None


async def _ask_own(address: str, network: Network | None) -> tuple[Json | None, int | None]:
    """The own node's status; while it catches up also how long it will take at its speed of now."""
    async with Client(address, timeout_s=TIMEOUT_S) as client:
        try:
            first = await client.status()
            if _behind(first, network) <= AT_TIP_BLOCKS:
                return first, None
            await asyncio.sleep(SAMPLE_S)
            second = await client.status()
        except ClientError:
            return None, None
    gained = int(second["height"]) - int(first["height"])
    return second, int(_behind(second, network) * SAMPLE_S * 1000 / gained) if gained > 0 else None


def _behind(node: Mapping[str, Any], network: Network | None) -> int:
    """Blocks that the own node lacks, by its own word and by the contact's height."""
    tip = int(network.status["height"]) if network is not None else 0
    return max(int(node["behind"]), tip - int(node["height"]))


def _judge(options: Options, found: Found, *, organisation: str, own: str) -> Json:
    who, home = organisation or "NAME", options.home.root
    shown: Json = {
        "stage": "",
        "organisation": organisation,
        "node": own,
        "node_id": node_id(bytes.fromhex(own[2:])).hex(),
        "asked": found.network.address if found.network is not None else None,
        "silent": list(found.silent),
        "own_node": None,
    }
    if found.node is not None:
        shown["own_node"] = _own(found)
    stage, why, command = _stage(options, found, who, own)
    return shown | {"stage": stage, "why": why, "next": command and f"{command} --home {home}"}


def _own(found: Found) -> Json:
    """How the own node does."""
    assert found.node is not None, "asked for a node that answered"
    height, behind = int(found.node["height"]), _behind(found.node, found.network)
    return {
        "state": found.node["state"],
        "height": str(height),
        "behind": behind,
        "percent": 100 * height // max(1, height + behind),
        "eta": None if found.eta_ms is None else duration(found.eta_ms),
        "peers": found.node["peers"],
        "reasons": [reason["code"] for reason in found.node["reasons"]],
        "snapshot": found.node.get("snapshot"),
    }


def _stage(options: Options, found: Found, who: str, own: str) -> tuple[str, str, str]:
    """(one word, why, command to type next; empty when others must act)."""
    network, text = found.network, options.text
    if network is None:
        return "alone", text("no contact answers, nor the own node", "ไม่มีโหนดใดตอบ รวมทั้งโหนดของท่าน"), "cccnode run"
    if not any(row["name"] == who and row["standing"] == "active" for row in network.organisations):
        return _not_admitted(options, network, who)
    if not any(row["node_key"] == own for row in network.nodes):
        why = text(
            "your organisation is in, this node is not: give its certificate to cccnode tx add-node",
            "องค์กรเข้าร่วมแล้ว แต่โหนดนี้ยังไม่ลงทะเบียน ใช้ใบรับรองกับ cccnode tx add-node",
        )
        return "node_unregistered", why, "cccnode keys certificate"
    if found.node is None:
        return "not_running", text("admitted; the own node does not run", "รับเข้าแล้ว แต่โหนดยังไม่ทำงาน"), "cccnode run"
    if _behind(found.node, network) > AT_TIP_BLOCKS:
        return "catching_up", text("the own node catches up", "โหนดกำลังตามบล็อก"), ""
    return _at_tip(options, found.node, network, who)


def _not_admitted(options: Options, network: Network, who: str) -> tuple[str, str, str]:
    text = options.text
    proposal = about(network.proposals, "AdmitOrganisation", who)
    if proposal is not None:
        why = f"{text('proposal', 'ข้อเสนอ')} {proposal['number']}: {progress(options, proposal)}"
        return "proposed", why, ""
    ended = [row for row in network.decisions if row["kind"] == "admit_organisation" and row["subject"] == who]
    if ended:
        last = ended[-1]
        why = text(f"proposal {last['number']} is {last['ending']}", f"ข้อเสนอ {last['number']}: {last['ending']}")
        return "not_admitted", why, f"cccnode join request --org {who} --pillar PILLAR --address HOST:PORT"
    why = text(f"nobody has proposed {who} yet", f"ยังไม่มีผู้เสนอ {who}")
    return "not_proposed", why, f"cccnode join request --org {who} --pillar PILLAR --address HOST:PORT"


def _at_tip(options: Options, node: Json, network: Network, who: str) -> tuple[str, str, str]:
    text = options.text
    if any(row["organisation"] == who for row in network.members):
        return "validating", text("a validator of this epoch", "เป็นผู้ตรวจสอบในยุคนี้"), "cccnode validator status"
    if any(row["organisation"] == who and row["next_key"] is not None for row in network.validators):
        return "validator_next", text("a validator from the next epoch on", "เป็นผู้ตรวจสอบตั้งแต่ยุคถัดไป"), ""
    proposal = about(network.proposals, "AddValidator", who)
    if proposal is not None:
        why = f"{text('proposal', 'ข้อเสนอ')} {proposal['number']}: {progress(options, proposal)}"
        return "applied", why, ""
    behind, peers = node["behind"], node["peers"]
    why = text(f"READY, {behind} behind, {peers} peers", f"พร้อม ตามหลัง {behind} บล็อก เชื่อมต่อ {peers} โหนด")
    return "ready", why, "cccnode validator check"


def shown_lines(options: Options, found: Json) -> list[str]:
    """The same for people."""
    text, node = options.text, found["own_node"]
    rows: list[tuple[object, ...]] = [
        (text("organisation", "องค์กร"), found["organisation"] or "-"),
        (text("node id", "รหัสโหนด"), found["node_id"]),
        (text("asked", "สอบถามจาก"), found["asked"] or "-"),
    ]
    if found["silent"]:
        rows.append((text("no answer", "ไม่ตอบ"), ", ".join(found["silent"])))
    if node is not None:
        eta = f", {text('about', 'อีกราว')} {node['eta']}" if node["eta"] else ""
        far = f"{node['percent']} %, {node['behind']} behind{eta}"
        how = f"{node['state']}, height {node['height']} ({far}), {node['peers']} peers"
        rows.append((text("own node", "โหนดนี้"), how))
        if node["snapshot"]:
            rows.append((text("snapshot", "สแนปช็อต"), snapshot_text(node["snapshot"], options)))
        if node["reasons"]:
            rows.append((text("reasons", "สาเหตุ"), ", ".join(node["reasons"])))
    rows.append((text("state", "สถานะ"), f"{found['stage']}: {found['why']}"))
    rows.append((text("next", "ขั้นต่อไป"), found["next"] or text("wait; the others act", "รอผู้อื่นดำเนินการ")))
    return table(rows, indent="")
