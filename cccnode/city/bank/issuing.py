"""Issuers and auditors: more of an asset, less of it, and what stands behind it (modules.md 3.2, BNK-2, BNK-3)."""

from cccnode.city.bank.errors import (
    BLOCKED,
    FLOAT_EXCEEDED,
    FLOAT_STALE,
    INDEPENDENT,
    NOT_AUDITOR,
    NOT_BACKED,
    NOT_ISSUED,
    NOT_ISSUER,
    UNKNOWN_ACCOUNT,
    ZERO_AMOUNT,
)
from cccnode.city.bank.messages import BankAttestFloat, BankBurn, BankMint, BankRedeem
from cccnode.city.bank.rules import burn, check_cap, check_free, enter, known_asset, mint
from cccnode.city.bank.state import (
    TREASURY,
    Asset,
    Float,
    Policy,
    read_float,
    read_params,
    supply,
    write_float,
)
from cccnode.city.members.state import account_exists, has_role, read_account
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault

AUDITOR = "auditor"
"""The role that attests what stands behind an asset."""


def issue(context: Context, message: BankMint) -> None:
    """Make more of an asset, as its issuer: within the cap and what an auditor saw lately."""
    state, asset = context.state, known_asset(context.state, message.asset)
    if asset.policy is not Policy.ISSUER or asset.issuer != context.account:
        raise fault(NOT_ISSUER, asset=asset.id, account=context.account)
    if message.amount == 0:
        raise fault(ZERO_AMOUNT)
    if message.to in context.module_accounts and message.to != TREASURY:
        raise fault(BLOCKED, to=message.to)
    if message.to != TREASURY and not account_exists(state, message.to):
        raise fault(UNKNOWN_ACCOUNT, to=message.to)
    check_cap(state, asset, message.amount)
    _check_float(context, asset, message.amount)
    if asset.freezable:
        check_free(state, asset.id, message.to)
    enter(context, asset, message.to, message.amount, "mint")
    mint(state, target=message.to, asset=asset.id, amount=message.amount)
    context.emit("bank", "mint", asset.id, context.account, message.to, message.amount)


def _check_float(context: Context, asset: Asset, amount: int) -> None:
    if not asset.backed:
        return
    seen = read_float(context.state, asset.id)
    issued = supply(context.state, asset.id)
    held = 0 if seen is None else seen.amount
    if issued + amount > held:
        raise fault(FLOAT_EXCEEDED, asset=asset.id, supply=issued, amount=amount, float=held)
    assert seen is not None, "what exceeds nothing was refused"
    age, limit = context.time_ms - seen.at_ms, read_params(context.state).float_max_age_ms
    if age > limit:
        raise fault(FLOAT_STALE, asset=asset.id, age_ms=age, limit_ms=limit)


def redeem(context: Context, message: BankRedeem) -> None:
    """Give an amount back; its event asks the issuer to pay out.  No experiment can forbid it."""
    state, asset = context.state, known_asset(context.state, message.asset)
    if asset.policy is not Policy.ISSUER or asset.issuer is None:
        raise fault(NOT_ISSUED, asset=asset.id)
    _leave(context, asset, message.amount)
    burn(state, source=context.account, asset=asset.id, amount=message.amount)
    context.emit("bank", "redeem", asset.id, context.account, asset.issuer, message.amount, message.reference)


def destroy(context: Context, message: BankBurn) -> None:
    """Make an own amount disappear, for nothing."""
    asset = known_asset(context.state, message.asset)
    _leave(context, asset, message.amount)
    burn(context.state, source=context.account, asset=asset.id, amount=message.amount)
    context.emit("bank", "burn", asset.id, context.account, message.amount)


def _leave(context: Context, asset: Asset, amount: int) -> None:
    if amount == 0:
        raise fault(ZERO_AMOUNT)
    if asset.freezable:
        check_free(context.state, asset.id, context.account)


def attest(context: Context, message: BankAttestFloat) -> None:
    """Say as an auditor what stands behind an asset; never as one of its issuer's own people."""
    state, account = context.state, context.account
    asset = known_asset(state, message.asset)
    if not has_role(state, account, AUDITOR):
        raise fault(NOT_AUDITOR, account=account)
    if not asset.backed:
        raise fault(NOT_BACKED, asset=asset.id)
    if asset.issuer is not None and not independent(state, account, asset.issuer):
        raise fault(INDEPENDENT, account=account, issuer=asset.issuer)
    now = supply(state, asset.id)
    write_float(state, asset.id, Float(message.amount, context.time_ms, message.document, account, now))
    context.emit("bank", "float", asset.id, account, message.amount, message.document)


def independent(state: Reader, one: bytes, other: bytes) -> bool:
    """Whether two accounts are not the same and belong to no organisation in common."""
    mine, theirs = read_account(state, one), read_account(state, other)
    if one == other or mine is None or theirs is None:
        return False
    return mine.organisation is None or mine.organisation != theirs.organisation
