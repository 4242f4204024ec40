"""Module parameters: a noun of scalars whose field constraints are the bounds (modules.md R9).

par/<module>   ""   the module's noun, where it is kept here: then the city may change a value by vote
"""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.errors import GENESIS_INVALID, PARAMETER_BOUNDS, UNKNOWN_PARAMETER, fault

N = TypeVar("N", bound=Noun)
_GROUP: Final = b"par/"
_ONLY: Final = b""
Value = int | str | bool
Values = Mapping[str, Mapping[str, int | str | bool]]
"""Parameter values by module and name, as the genesis document gives them."""


def parameters(values: Values, module: str, kind: type[N]) -> N:
    """The parameters of one module; fields that are not given keep their default.

    Raises:
        Fault: genesis/INVALID, listing every unknown name, missing value and value out of bounds.
    """
    given = values.get(module, {})
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    errors = [f"parameters.{module}.{name}: no such parameter" for name in sorted(given) if name not in fields]
    chosen: list[object] = []
    for name, field in fields.items():
        if name not in given and field.default is msgspec.NODEFAULT:
            errors.append(f"parameters.{module}.{name}: is missing")
            continue
        value = given.get(name, field.default)
        try:
            chosen.append(msgspec.convert(value, field.type))
        except msgspec.ValidationError as error:
            errors.append(f"parameters.{module}.{name}: {error}")
    if errors:
        raise fault(GENESIS_INVALID, errors=errors)
    return kind(*chosen)


def read_parameters(state: Reader, module: str, kind: type[N]) -> N:
    """The values of now; the defaults where genesis wrote none."""
    return state.get(_GROUP + module.encode(), _ONLY, kind) or kind()


def write_parameters(state: Overlay, module: str, values: Noun) -> None:
    """Set all values of a module."""
    state.put(_GROUP + module.encode(), _ONLY, values)


def changed(state: Reader, module: str, kind: type[N], name: str, value: Value) -> N:
    """The values of a module with one of them set to another.

    Raises:
        Fault: core/UNKNOWN_PARAMETER or core/PARAMETER_BOUNDS.
    """
    now = state.get(_GROUP + module.encode(), _ONLY, kind)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if now is None or name not in fields:
        raise fault(UNKNOWN_PARAMETER, module=module, name=name)
    try:
        given = msgspec.convert(value, fields[name].type)
        # The kind's own checks of one value against another run when it is made.
        return msgspec.structs.replace(now, **{name: given})
    except (msgspec.ValidationError, ValueError) as error:
        raise fault(PARAMETER_BOUNDS, module=module, name=name, reason=str(error)) from None
