"""A step as a sentence: who, what the module says of its message, with which values, and what became of it."""

from collections.abc import Mapping
from typing import Any

from cccnode.ledger.registry import Registry
from cccnode.week.building import kinds
from cccnode.week.script import Step

_HIDDEN = ("text:", "key:")


def sentence(registry: Registry, step: Step, lang: str) -> str:
    """`D2 10:00 consumer-1: Order goods (listing 1, quantity 100000, ...)`, in the language asked for."""
    kind = kinds(registry).get(step.message)
    row = None if kind is None else registry.rows[kind]
    what = step.message if row is None else (row.th if lang == "th" else row.en)
    told = ", ".join(_values(step.values))
    paid = f" [{'ผู้จ่ายค่าธรรมเนียม' if lang == 'th' else 'fee paid by'} {step.payer}]" if step.payer else ""
    return f"D{step.day} {step.time}  {step.step:<5} {step.actor}: {what}{f' ({told})' if told else ''}{paid}"


def _values(values: Mapping[str, Any]) -> list[str]:
    """Field and value of everything that people can read; hashes and keys say nothing to them."""
    shown = []
    for name, value in values.items():
        if value in (None, [], "", 0) or (isinstance(value, str) and value.startswith(_HIDDEN)):
            continue
        shown.append(f"{name.replace('_', ' ')} {_shown(value)}".rstrip())
    return shown


def _shown(value: Any) -> str:
    match value:
        case dict() if "message" in value:
            return f"{value['message']}: {', '.join(_values(value['values']))}"
        case dict():
            return "; ".join(_values(value))
        case list():
            return ", ".join(_shown(one) for one in value if not str(one).startswith(_HIDDEN))
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
