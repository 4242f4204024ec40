"""Governance: the city proposes, votes by chambers, persons or the root of stake, and carries out (modules.md 3.3)."""

from typing import Final

from cccnode.city.gov.electorate import account_changed, bond_changed
from cccnode.city.gov.ending import end_block
from cccnode.city.gov.errors import ERRORS
from cccnode.city.gov.genesis import write_genesis
from cccnode.city.gov.invariants import INVARIANTS
from cccnode.city.gov.messages import (
    NUMBER,
    GovCancel,
    GovDelegate,
    GovEndorse,
    GovPropose,
    GovVote,
    ParamSet,
)
from cccnode.city.gov.queries import (
    AccountParams,
    CityProposal,
    DelegatesAnswer,
    NoParams,
    PageParams,
    PowerAnswer,
    PowerParams,
    ProposalParams,
    TallyAnswer,
    gov_delegates,
    gov_power,
    gov_proposal,
    gov_proposals,
    gov_settings,
    gov_tally,
)
from cccnode.city.gov.rules import (
    cancel,
    check_parameter,
    delegate,
    endorse,
    propose,
    set_parameter,
    vote,
)
from cccnode.city.gov.state import Params, Setting
from cccnode.ledger.module import Message, Module, Query

__all__ = ["MODULE", "GovCancel", "GovDelegate", "GovEndorse", "GovPropose", "GovVote", "ParamSet"]

_PROPOSING: Final = 64
"""Reads what is open, decodes and checks what is proposed."""
_VOTING: Final = 6

MODULE: Final = Module(
    number=NUMBER,
    name="gov",
    messages=(
        Message(
            kind=GovPropose,
            handle=propose,
            weight=_PROPOSING,
            packed="messages",
            verb="gov-propose",
            positional=("kind", "title"),
            defaults=(("messages", []), ("expedited", False), ("endorsed", False)),
            en="Propose that the city decides something.",
            th="เสนอเรื่องให้เมืองตัดสินใจ",
        ),
        Message(
            kind=GovEndorse,
            handle=endorse,
            weight=_VOTING,
            verb="gov-endorse",
            positional=("proposal",),
            en="Support a proposal that was made without a deposit.",
            th="รับรองข้อเสนอที่ไม่ได้วางเงินประกัน",
        ),
        Message(
            kind=GovVote,
            handle=vote,
            weight=_VOTING,
            verb="gov-vote",
            positional=("proposal", "choice"),
            en="Vote on a proposal, or vote anew.",
            th="ลงคะแนนข้อเสนอ หรือเปลี่ยนคะแนน",
        ),
        Message(
            kind=GovDelegate,
            handle=delegate,
            weight=_VOTING,
            verb="gov-delegate",
            positional=("space", "to"),
            en="Let another person vote in your place from the next proposal on.",
            th="มอบให้ผู้อื่นลงคะแนนแทนตั้งแต่ข้อเสนอถัดไป",
        ),
        Message(
            kind=GovCancel,
            handle=cancel,
            weight=_VOTING,
            verb="gov-cancel",
            positional=("proposal",),
            en="Take back an own proposal before the first vote.",
            th="ถอนข้อเสนอของตนก่อนมีผู้ลงคะแนน",
        ),
        Message(
            kind=ParamSet,
            handle=set_parameter,
            weight=_VOTING,
            decided="param",
            check=check_parameter,
            verb="gov-param-set",
            positional=("module", "name", "value"),
            en="Set a parameter of a module.",
            th="กำหนดค่าพารามิเตอร์ของโมดูล",
        ),
    ),
    queries=(
        Query(
            method="gov_proposal",
            params=ProposalParams,
            result=CityProposal,
            answer=gov_proposal,
            en="A proposal, its votes and what it carries.",
            th="ข้อเสนอ คะแนน และสิ่งที่จะดำเนินการ",
        ),
        Query(
            method="gov_proposals",
            params=PageParams,
            result=tuple[CityProposal, ...],
            answer=gov_proposals,
            en="Proposals, newest first.",
            th="ข้อเสนอทั้งหมด ใหม่สุดก่อน",
        ),
        Query(
            method="gov_tally",
            params=ProposalParams,
            result=TallyAnswer,
            answer=gov_tally,
            en="How a vote stands, and what it lacks to pass.",
            th="คะแนนขณะนี้ และสิ่งที่ยังขาด",
        ),
        Query(
            method="gov_power",
            params=PowerParams,
            result=PowerAnswer,
            answer=gov_power,
            en="What an account's vote is worth in a proposal.",
            th="น้ำหนักเสียงของบัญชีในข้อเสนอ",
        ),
        Query(
            method="gov_delegates",
            params=AccountParams,
            result=DelegatesAnswer,
            answer=gov_delegates,
            en="To whom an account delegates, and what is delegated to it.",
            th="ผู้รับมอบเสียงของบัญชี และเสียงที่ได้รับมอบ",
        ),
        Query(
            method="gov_settings",
            params=NoParams,
            result=tuple[Setting, ...],
            answer=gov_settings,
            en="Every parameter that the city has set by vote.",
            th="พารามิเตอร์ทั้งหมดที่เมืองกำหนดด้วยการลงมติ",
        ),
    ),
    errors=ERRORS,
    accounts=("gov",),
    parameters=Params,
    genesis=write_genesis,
    hooks=(("members/changed", account_changed), ("staking/bonded", bond_changed)),
    end_block=end_block,
    invariants=INVARIANTS,
)
