"""Registry: organisations, validators, nodes, what they decide together, and the epoch record (D9, J11, J14, J21)."""

from typing import Final

from cccnode.city.registry.blocks import end_block
from cccnode.city.registry.errors import ERRORS
from cccnode.city.registry.genesis import write_accounts, write_genesis
from cccnode.city.registry.messages import (
    NUMBER,
    RegistryAddNode,
    RegistryApprove,
    RegistryLeave,
    RegistryPause,
    RegistryPropose,
    RegistryRemoveNode,
    RegistryRotateKey,
    RegistryWithdraw,
)
from cccnode.city.registry.policies import Params
from cccnode.city.registry.preflight import Preflight
from cccnode.city.registry.proposals import approve, propose, withdraw
from cccnode.city.registry.queries import (
    NoParams,
    OrganisationAnswer,
    PolicyAnswer,
    PreflightParams,
    ProposalAnswer,
    ValidatorAnswer,
    registry_checkpoints,
    registry_decisions,
    registry_nodes,
    registry_organisations,
    registry_policies,
    registry_preflight,
    registry_proposals,
    registry_validators,
)
from cccnode.city.registry.record import RegisteredNode
from cccnode.city.registry.rules import add_node, leave, pause, remove_node, rotate_key
from cccnode.city.registry.state import Checkpoint, Decision
from cccnode.ledger.module import Message, Module, Query, Verb

_LIGHT: Final = 4
_VERIFYING: Final = 6
"""One signature check costs about as much as four transfers."""
_DECIDING: Final = 128
"""Reads every organisation and forecasts the coming epochs; carries out the change when it passes."""

MODULE: Final = Module(
    number=NUMBER,
    name="registry",
    messages=(
        Message(
            kind=RegistryAddNode, handle=add_node, weight=_LIGHT, en="Register an own node.", th="ลงทะเบียนโหนดขององค์กร"
        ),
        Message(
            kind=RegistryRemoveNode,
            handle=remove_node,
            weight=_LIGHT,
            en="Unregister an own node.",
            th="ถอนทะเบียนโหนดขององค์กร",
        ),
        Message(
            kind=RegistryRotateKey,
            handle=rotate_key,
            weight=_VERIFYING,
            en="Vote with another consensus key from the next epoch on.",
            th="เปลี่ยนกุญแจลงคะแนนตั้งแต่ยุคถัดไป",
        ),
        Message(
            kind=RegistryPause,
            handle=pause,
            weight=_DECIDING,
            en="Stop validating from the next epoch on.",
            th="หยุดเป็นผู้ตรวจสอบตั้งแต่ยุคถัดไป",
        ),
        Message(
            kind=RegistryLeave,
            handle=leave,
            weight=_DECIDING,
            en="Leave the network for good.",
            th="ออกจากเครือข่ายอย่างถาวร",
        ),
        Message(
            kind=RegistryPropose,
            handle=propose,
            weight=_DECIDING,
            en="Propose a change to the other organisations.",
            th="เสนอการเปลี่ยนแปลงต่อองค์กรอื่น",
        ),
        Message(
            kind=RegistryApprove,
            handle=approve,
            weight=_DECIDING,
            en="Approve a proposed change.",
            th="อนุมัติการเปลี่ยนแปลงที่เสนอ",
        ),
        Message(
            kind=RegistryWithdraw,
            handle=withdraw,
            weight=_LIGHT,
            en="Take back an own proposal.",
            th="ถอนข้อเสนอขององค์กร",
        ),
    ),
    queries=(
        Query(
            method="registry_organisations",
            params=NoParams,
            result=tuple[OrganisationAnswer, ...],
            answer=registry_organisations,
            en="Every organisation of the network.",
            th="องค์กรทั้งหมดในเครือข่าย",
        ),
        Query(
            method="registry_nodes",
            params=NoParams,
            result=tuple[RegisteredNode, ...],
            answer=registry_nodes,
            en="Every registered node.",
            th="โหนดที่ลงทะเบียนทั้งหมด",
        ),
        Query(
            method="registry_validators",
            params=NoParams,
            result=tuple[ValidatorAnswer, ...],
            answer=registry_validators,
            en="Who validates now and in the next epoch, and when each led last.",
            th="ผู้ตรวจสอบในยุคนี้และยุคถัดไป และครั้งล่าสุดที่แต่ละรายเสนอบล็อก",
        ),
        Query(
            method="registry_preflight",
            params=PreflightParams,
            result=Preflight,
            answer=registry_preflight,
            en="Whether a quorum would remain if an organisation joined the validators and were dead, or left them.",
            th="หากองค์กรเข้าร่วมแต่ไม่ทำงาน หรือออกไป จะยังครบองค์ประชุมหรือไม่",
        ),
        Query(
            method="registry_proposals",
            params=NoParams,
            result=tuple[ProposalAnswer, ...],
            answer=registry_proposals,
            en="Every open proposal, with its approvals and what it still needs.",
            th="ข้อเสนอที่เปิดอยู่ การอนุมัติ และสิ่งที่ยังขาด",
        ),
        Query(
            method="registry_decisions",
            params=NoParams,
            result=tuple[Decision, ...],
            answer=registry_decisions,
            en="What became of the last 64 proposals.",
            th="ผลของข้อเสนอ 64 รายการล่าสุด",
        ),
        Query(
            method="registry_policies",
            params=NoParams,
            result=tuple[PolicyAnswer, ...],
            answer=registry_policies,
            en="When each kind of change passes.",
            th="เกณฑ์การผ่านของการเปลี่ยนแปลงแต่ละประเภท",
        ),
        Query(
            method="registry_checkpoints",
            params=NoParams,
            result=tuple[Checkpoint, ...],
            answer=registry_checkpoints,
            en="The heights and state roots that a readiness receipt may name.",
            th="ความสูงและค่ารากที่ใบรับรองความพร้อมอ้างได้",
        ),
    ),
    verbs=(
        Verb(
            name="add-node",
            kind=RegistryAddNode,
            positional=("certificate", "addresses"),
            defaults=(("addresses", []),),
            en="Register an own node.",
            th="ลงทะเบียนโหนดขององค์กร",
        ),
        Verb(
            name="remove-node",
            kind=RegistryRemoveNode,
            positional=("node_key",),
            en="Unregister an own node.",
            th="ถอนทะเบียนโหนดขององค์กร",
        ),
        Verb(
            name="rotate-consensus-key",
            kind=RegistryRotateKey,
            positional=("consensus_key", "proof"),
            en="Vote with another consensus key from the next epoch on.",
            th="เปลี่ยนกุญแจลงคะแนนตั้งแต่ยุคถัดไป",
        ),
        Verb(
            name="pause-validating",
            kind=RegistryPause,
            en="Stop validating from the next epoch on.",
            th="หยุดเป็นผู้ตรวจสอบตั้งแต่ยุคถัดไป",
        ),
        Verb(
            name="leave-network",
            kind=RegistryLeave,
            en="Leave the network for good.",
            th="ออกจากเครือข่ายอย่างถาวร",
        ),
        Verb(
            name="propose",
            kind=RegistryPropose,
            positional=("change",),
            defaults=(("flagged", False),),
            en="Propose a change to the other organisations.",
            th="เสนอการเปลี่ยนแปลงต่อองค์กรอื่น",
        ),
        Verb(
            name="approve",
            kind=RegistryApprove,
            positional=("proposal",),
            defaults=(("reached", False),),
            en="Approve a proposed change.",
            th="อนุมัติการเปลี่ยนแปลงที่เสนอ",
        ),
        Verb(
            name="withdraw",
            kind=RegistryWithdraw,
            positional=("proposal",),
            en="Take back an own proposal.",
            th="ถอนข้อเสนอขององค์กร",
        ),
    ),
    errors=ERRORS,
    parameters=Params,
    genesis=write_genesis,
    genesis_accounts=write_accounts,
    end_block=end_block,
)
