"""Who must agree before somebody is vouched for, changes keys or gets a role: the city's policies, and their approvals.

The evaluator is the ledger's, the same for every subject.  Where a policy is set it is asked besides the rules of the
message.  A chamber carries proposals and nothing here.
"""

from collections.abc import Sequence
from typing import Final

from cccnode.city.members.accounts import known
from cccnode.city.members.errors import POLICY
from cccnode.city.members.messages import MemApprove, PolicySet
from cccnode.city.members.queue import APPROVAL, wake
from cccnode.city.members.state import (
    PolicyRecord,
    approvals,
    has_role,
    is_active,
    read_account,
    read_params,
    read_policy,
    write_approval,
    write_policy,
)
from cccnode.ledger.module import Context
from cccnode.ledger.policies import Verdict, judge, reasons
from cccnode.ledger.policy_text import parse_policy
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault

ADMIT: Final = "admit_member"
ROTATE: Final = "rotate_keys"
_ACCOUNT_BYTES: Final = 20


def role_subject(role: str) -> str:
    """The subject of giving a role."""
    return f"role:{role}"


class Approved:
    """What a policy is judged by: who agrees, and who they are (`ledger.policies.Facts`)."""

    def __init__(self, state: Reader, owner: bytes, approving: Sequence[bytes]) -> None:
        """`approving`: active accounts, each once."""
        self._state = state
        self.owner: bytes | None = owner
        self.approving: Sequence[bytes] = approving

    def has_role(self, account: bytes, name: str) -> bool:
        """Whether an active account holds a role."""
        return has_role(self._state, account, name)

    def organisation(self, account: bytes) -> str:
        """The organisation that an account belongs to, or nothing."""
        record = read_account(self._state, account)
        return "" if record is None or record.organisation is None else record.organisation

    def pillar(self, account: bytes) -> int:
        """The pillar of an account."""
        record = read_account(self._state, account)
        return 0 if record is None else record.pillar

    def carried(self, pillar: int) -> bool:
        """No chamber votes here."""
        del pillar
        return False


def check_policy(context: Context, message: PolicySet) -> None:
    """A policy is not too large, and somebody can fulfil it."""
    del context
    if message.policy:
        parse_policy(message.policy)


def set_policy(context: Context, message: PolicySet) -> None:
    """Say who must agree from now on."""
    record = PolicyRecord(parse_policy(message.policy)) if message.policy else None
    write_policy(context.state, message.subject, record)
    context.emit("members", "policy", message.subject, record is not None)


def approve(context: Context, message: MemApprove) -> None:
    """Agree that something be done for an account."""
    known(context.state, message.account)
    until = context.time_ms + read_params(context.state).approval_ms
    write_approval(context.state, message.subject, message.account, context.account, until)
    wake(context.state, until, APPROVAL, context.account + message.account + message.subject.encode())
    context.emit("members", "approved", message.subject, message.account, context.account)


def verdict_of(state: Reader, subject: str, account: bytes, acting: bytes | None, now_ms: int) -> Verdict | None:
    """What the policy says of something for an account, done by `acting`; None where there is no policy."""
    record = read_policy(state, subject)
    if record is None:
        return None
    agreeing = {who for who, until_ms in approvals(state, subject, account).items() if now_ms < until_ms}
    if acting is not None:
        agreeing.add(acting)
    return judge(record.policy, Approved(state, account, [who for who in sorted(agreeing) if is_active(state, who)]))


def require(context: Context, subject: str, account: bytes) -> None:
    """Refuse what the city's policy does not let happen; approvals of what happens are used up.

    Raises:
        Fault: members/POLICY, with what is missing.
    """
    verdict = verdict_of(context.state, subject, account, context.account, context.time_ms)
    if verdict is None:
        return
    if not verdict.holds:
        raise fault(POLICY, subject=subject, account=account, missing="; ".join(reasons(verdict)))
    for approver in approvals(context.state, subject, account):
        write_approval(context.state, subject, account, approver, None)


def lapse(context: Context, entry: bytes, due_ms: int) -> None:
    """Forget an approval whose time is over."""
    approver, rest = entry[:_ACCOUNT_BYTES], entry[_ACCOUNT_BYTES:]
    account, subject = rest[:_ACCOUNT_BYTES], rest[_ACCOUNT_BYTES:].decode()
    if approvals(context.state, subject, account).get(approver) == due_ms:
        write_approval(context.state, subject, account, approver, None)
