"""Whether a restart certificate holds against the state that it starts from (J22)."""

from cccnode.city.members.state import read_account
from cccnode.city.registry.state import Standing, organisation_account, organisation_names, read_organisation
from cccnode.crypto.verifying import verify
from cccnode.ledger.state import Reader
from cccnode.types.restart import EPOCHS_SKIPPED, RestartCertificate, restart_bytes
from cccnode.types.validators import EpochRecord


def restart_flaw(state: Reader, current: EpochRecord, certificate: RestartCertificate) -> str | None:
    """What is wrong with a certificate over the state `state` in the epoch of `current`; None if it holds.

    It holds when all validators of the new record are validators of the current one, each of them has signed, and more
    than two thirds of the active organisations have approved with the keys of their accounts.
    """
    restart = certificate.restart
    record, signed = restart.record, restart_bytes(restart)
    if record.epoch != current.epoch + 1 + EPOCHS_SKIPPED:
        return f"its epoch is {record.epoch}, and {current.epoch + 1 + EPOCHS_SKIPPED} comes next"
    if not set(record.validators) <= set(current.validators):
        return "it names a validator that is none in this epoch, or with other keys"
    if len(set(record.validators)) != len(record.validators):
        return "it names a validator twice"
    if (record.limits, record.timers, record.features) != (current.limits, current.timers, current.features):
        return "it changes more than the validators"
    if len(certificate.survivors) != len(record.validators):
        return "it does not hold one signature for each validator of the new epoch"
    for validator, signature in zip(record.validators, certificate.survivors, strict=True):
        if signature is None or not verify(signed, signature, validator.consensus_key):
            return f"{validator.organisation} has not signed as a survivor"
    active = [name for name in organisation_names(state) if _is_active(state, name)]
    approved = _approved(state, certificate, signed)
    if 3 * len(approved & set(active)) <= 2 * len(active):
        missing = sorted(set(active) - approved)
        return (
            f"{len(approved)} of {len(active)} organisations approve, more than two thirds must: {', '.join(missing)}"
        )
    return None


def _is_active(state: Reader, name: str) -> bool:
    record = read_organisation(state, name)
    return record is not None and record.standing is Standing.ACTIVE


def _approved(state: Reader, certificate: RestartCertificate, signed: bytes) -> set[str]:
    """Organisations whose account's threshold is reached by good signatures."""
    weights: dict[str, dict[bytes, int]] = {}
    for approval in certificate.approvals:
        account = organisation_account(state, approval.organisation)
        record = None if account is None else read_account(state, account)
        if record is None or len(approval.keys) != len(approval.signatures):
            continue
        current = {row.key: row.weight for row in record.keys}
        for key, signature in zip(approval.keys, approval.signatures, strict=True):
            if key in current and verify(signed, signature, key):
                weights.setdefault(approval.organisation, {})[key] = current[key]
    return {name for name, rows in weights.items() if sum(rows.values()) >= _threshold(state, name)}


def _threshold(state: Reader, name: str) -> int:
    account = organisation_account(state, name)
    assert account is not None, "weighed before"
    record = read_account(state, account)
    assert record is not None, "weighed before"
    return record.threshold
