"""Evidence: votes that contradict each other, judged once and recorded for ever (consensus.md 3.13, J15)."""

from typing import Final

from cccnode.city.evidence.errors import ERRORS
from cccnode.city.evidence.messages import NUMBER, EvidenceReport
from cccnode.city.evidence.queries import EvidenceAnswer, ListParams, evidence_list
from cccnode.city.evidence.rules import report
from cccnode.ledger.module import Message, Module, Query

_WEIGHT: Final = 136
"""Two signature checks, and a proposal that may be carried out at once."""

MODULE: Final = Module(
    number=NUMBER,
    name="evidence",
    messages=(
        Message(
            kind=EvidenceReport,
            handle=report,
            weight=_WEIGHT,
            verb="report-fault",
            positional=("epoch", "first", "second"),
            en="Report two contradicting votes of a validator.",
            th="รายงานคะแนนที่ขัดแย้งกันของผู้ตรวจสอบ",
        ),
    ),
    queries=(
        Query(
            method="evidence_list",
            params=ListParams,
            result=EvidenceAnswer,
            answer=evidence_list,
            en="Proven faults of validators, by number.",
            th="ความผิดของผู้ตรวจสอบที่พิสูจน์แล้ว",
        ),
    ),
    errors=ERRORS,
)
