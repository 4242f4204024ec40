"""Typed reading of plain JSON values that reports every mistake at once, each with its path.

`msgspec.convert` stops at the first; someone who writes a document by hand wants the whole list.
"""

from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec


def problems(kind: Any, value: object, path: str) -> list[str]:
    """Everything that keeps `value` from being a `kind`: "path: reason", in the order of the document."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    origin, arguments = get_origin(bare), get_args(bare)
    inner: list[str] = []
    if origin in (Union, UnionType) and NoneType in arguments:
        return [] if value is None else problems(next(k for k in arguments if k is not NoneType), value, path)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, dict):
        inner = _struct_problems(bare, value, path)
    elif origin is tuple and isinstance(value, list):
        inner = [text for i, item in enumerate(value) for text in problems(arguments[0], item, f"{path}[{i}]")]
    elif origin is dict and isinstance(value, dict):
        for name, item in value.items():
            inner += problems(arguments[0], name, f"{path}.{name}")
            inner += problems(arguments[1], item, f"{path}.{name}")
    return inner or _own_problem(kind, value, path)


def _struct_problems(kind: type[msgspec.Struct], value: dict[str, object], path: str) -> list[str]:
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found = []
    for name in value:
        if name not in fields:
            guess = get_close_matches(name, fields, n=1)
            hint = f"; did you mean {guess[0]}?" if guess else ""
            found.append(f"{path}.{name}: no such field{hint}")
    for name, field in fields.items():
        if name in value:
            found += problems(hints[name], value[name], f"{path}.{name}")
        elif field.required:
            found.append(f"{path}.{name}: is missing")
    return found


def _own_problem(kind: Any, value: object, path: str) -> list[str]:
    """The problem of the value itself, where its parts are well."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [f"{path}: {error}"]
    return []
