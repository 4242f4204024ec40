"""Members: accounts, their keys, weights and thresholds; applications and key rotation (modules.md 3.1)."""

from typing import Final

from cccnode.city.members.errors import ERRORS
from cccnode.city.members.genesis import write_accounts, write_genesis
from cccnode.city.members.messages import NUMBER, MemApply, MemRotateKeys
from cccnode.city.members.queries import AccountAnswer, AccountParams, KeyParams, account_get, account_of_key
from cccnode.city.members.rules import apply, rotate_keys
from cccnode.city.members.state import KeyRecord, Params
from cccnode.ledger.module import Message, Module, Query, Verb

MODULE: Final = Module(
    number=NUMBER,
    name="members",
    messages=(
        Message(kind=MemApply, handle=apply, weight=4, en="Ask for membership.", th="สมัครเป็นสมาชิก"),
        Message(
            kind=MemRotateKeys,
            handle=rotate_keys,
            weight=lambda message: 2 + len(message.add) + len(message.revoke),
            en="Change the keys of the own account.",
            th="เปลี่ยนกุญแจของบัญชีตนเอง",
        ),
    ),
    queries=(
        Query(
            method="account_get",
            params=AccountParams,
            result=AccountAnswer,
            answer=account_get,
            en="The record of an account: status, keys, threshold.",
            th="ข้อมูลบัญชี: สถานะ กุญแจ และเกณฑ์ลายเซ็น",
        ),
        Query(
            method="account_of_key",
            params=KeyParams,
            result=KeyRecord,
            answer=account_of_key,
            en="Whose key this is or was, and when it was revoked.",
            th="กุญแจนี้เป็นของบัญชีใด และเพิกถอนเมื่อใด",
        ),
    ),
    verbs=(
        Verb(
            name="apply",
            kind=MemApply,
            positional=("key", "enc_key"),
            defaults=(("charter_version", 1),),
            en="Ask for membership.",
            th="สมัครเป็นสมาชิก",
        ),
        Verb(
            name="rotate-keys",
            kind=MemRotateKeys,
            defaults=(("add", []), ("revoke", []), ("threshold", 1), ("enc_key", None)),
            en="Change the keys of the own account.",
            th="เปลี่ยนกุญแจของบัญชีตนเอง",
        ),
    ),
    errors=ERRORS,
    parameters=Params,
    genesis=write_genesis,
    genesis_accounts=write_accounts,
)
