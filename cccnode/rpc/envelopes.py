"""JSON-RPC answers: results and errors.  Every error has a number, `data.name`, `data.retryable` and `data.hint`."""

from collections.abc import Mapping
from typing import Final

import msgspec

from cccnode.doctor.diagnosis import Diagnosis
from cccnode.rpc.values import Json, plain
from cccnode.types.errors import ErrorSpec, Fault

_TEXT_MAX: Final = 400
_ITEMS_MAX: Final = 32
_ENCODER: Final = msgspec.json.Encoder()

CallId = str | int | float | None


def result(call_id: CallId, value: Json) -> Json:
    """The answer to a call that succeeded."""
    return {"jsonrpc": "2.0", "result": value, "id": call_id}


def failure(call_id: CallId, error: Fault) -> Json:
    """The answer to a call that failed."""
    return {"jsonrpc": "2.0", "error": error_object(error), "id": call_id}


def error_object(error: Fault) -> Json:
    """The `error` member: number, text, and what a program or a person does about it."""
    return {"code": error.spec.code, "message": error.spec.en, "data": error_data(error)}


def error_data(error: Fault) -> Json:
    """Stable name, whether the same request may succeed later, remedy, Thai text, and the values of this occurrence."""
    return {**describe(error.spec), "retryable": error.spec.retryable, "details": _details(error.values)}


def describe(spec: ErrorSpec) -> dict[str, Json]:
    """A row of the error table for people, in both languages."""
    return {"name": spec.name, "hint": spec.remedy, "text_th": spec.th, "hint_th": spec.remedy_th}


def reason_object(spec: ErrorSpec, values: Mapping[str, object]) -> Json:
    """A reason of `status` and of `/readyz`: code, text, remedy, and the same in Thai."""
    return {
        "code": spec.name,
        "text": spec.en,
        "remedy": spec.remedy,
        "text_th": spec.th,
        "remedy_th": spec.remedy_th,
        "details": _details(values),
    }


def diagnosis_object(diagnosis: Diagnosis, lang: str = "en") -> Json:
    """What the doctor says; `cccnode doctor --output json` prints exactly this."""
    return {
        "verdict": diagnosis.verdict.value,
        "causes": [
            {
                "code": cause.spec.name,
                "text": cause.text(lang),
                "validators": [
                    {"index": member.index, "organisation": member.organisation} for member in cause.members
                ],
                "evidence": _details(cause.evidence),
                "remedy": cause.remedy(lang),
            }
            for cause in diagnosis.causes
        ],
    }


def encode(answer: Json) -> bytes:
    """JSON bytes of an answer or of a list of answers."""
    return _ENCODER.encode(answer)


def ready(value: Json) -> Json:
    """The same value as JSON text that `encode` copies: a long answer is encoded in slices, not at its end."""
    return msgspec.Raw(_ENCODER.encode(value))


def _details(values: Mapping[str, object]) -> Json:
    """Values as JSON, short: an error never returns a request to its sender at full length."""
    return {name: _short(plain(value)) for name, value in list(values.items())[:_ITEMS_MAX]}


def _short(value: Json) -> Json:
    match value:
        case str() if len(value) > _TEXT_MAX:
            return value[:_TEXT_MAX] + "..."
        case list():
            return [_short(item) for item in value[:_ITEMS_MAX]]
        case dict():
            return {name: _short(item) for name, item in list(value.items())[:_ITEMS_MAX]}
        case _:
            return value
