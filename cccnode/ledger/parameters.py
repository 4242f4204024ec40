"""Module parameters: a noun of scalars whose field constraints are the bounds (modules.md R9)."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from cccnode.codec import Noun
from cccnode.types.errors import GENESIS_INVALID, fault

N = TypeVar("N", bound=Noun)
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
