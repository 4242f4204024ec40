"""JSON Schema (2020-12) of what `values` reads and writes, derived from the same types: documents cannot disagree.

`Schemas` collects the named nouns on the way; each appears once under `components/schemas` and is referred to.  What
JSON Schema cannot say (the range of a decimal string) stands in the description.
"""

import ast
import inspect as python_inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import inspect

from cccnode.rpc.values import SAFE_INTEGER
from cccnode.types.addresses import ACCOUNT_BYTES

Schema = dict[str, Any]

DECIMAL: Final[Schema] = {"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$"}
"""An integer that may pass 2**53, in an answer."""
HEX: Final[Schema] = {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"}
HASH: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-f]{64}$"}
ACCOUNT: Final[Schema] = {"type": "string", "pattern": "^ccc1[02-9ac-hj-np-z]{6,86}$"}
TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
_REF: Final = "#/components/schemas/"


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these names and no others."""
    more = optional or {}
    return {
        "type": "object",
        "properties": {**required, **more},
        "required": list(required),
        "additionalProperties": False,
    }


def items(schema: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": schema}


def fixed(schema: Schema, count: int) -> Schema:
    """An array of so many."""
    return {**items(schema), "minItems": count, "maxItems": count}


def maybe(schema: Schema) -> Schema:
    """This or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def named(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": _REF + name}


class Schemas:
    """Schemas of types; `components` grows by every noun that is met."""

    def __init__(self, components: Mapping[str, Schema] | None = None) -> None:
        """Begin with these components."""
        self.components: dict[str, Schema] = dict(components or {})
        self._owners: dict[str, object] = {}

    def written(self, kind: Any) -> Schema:
        """What `values.writer(kind)` gives."""
        return self._schema(inspect.type_info(kind), read=False)

    def fields_read(self, kind: type[msgspec.Struct]) -> Sequence[tuple[str, Schema, bool]]:
        """(name, schema, required) of the parameters that `values.reader(kind)` takes."""
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        texts = meanings(kind)
        rows = []
        for field in info.fields:
            schema = self._schema(field.type, read=True)
            if not field.required and field.default not in (None, msgspec.NODEFAULT, msgspec.UNSET, b""):
                schema = {**schema, "default": _default(field)}
            if field.name in texts:
                schema = {**schema, "description": texts[field.name]}
            rows.append((field.name, schema, field.required))
        return rows

    def _schema(self, info: inspect.Type, *, read: bool) -> Schema:
        match info:
            case inspect.IntType():
                return _integer(info, read=read)
            case inspect.BytesType(min_length=low, max_length=high):
                return dict(ACCOUNT) if low == high == ACCOUNT_BYTES else _hex(low, high)
            case inspect.StrType():
                return _text(info)
            case inspect.BoolType():
                return dict(FLAG)
            case inspect.NoneType():
                return {"type": "null"}
            case inspect.LiteralType(values=values):
                return {"enum": list(values)}
            case inspect.EnumType(cls=cls):
                return {"enum": [str(member.name).lower() for member in cls]}
            case inspect.Metadata(type=inner):
                return self._schema(inner, read=read)
            case _:
                return self._compound(info, read=read)

    def _compound(self, info: inspect.Type, *, read: bool) -> Schema:
        match info:
            case inspect.UnionType(types=types):
                return self._union(types, read=read)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return _bounded(items(self._schema(item, read=read)), info.min_length, info.max_length)
            case inspect.TupleType(item_types=kinds):
                parts = [self._schema(kind, read=read) for kind in kinds]
                same = all(part == parts[0] for part in parts)
                return fixed(parts[0] if same else {"anyOf": parts}, len(parts))
            case inspect.DictType(value_type=item):
                return {"type": "object", "additionalProperties": self._schema(item, read=read)}
            case inspect.StructType():
                return self._noun(info, read=read, tagged=False)
            case _:
                return {}

    def _union(self, types: Sequence[inspect.Type], *, read: bool) -> Schema:
        """Several nouns carry their type's name; that is what `values` does."""
        tagged = sum(isinstance(one, inspect.StructType) for one in types) > 1
        choices = [
            self._noun(one, read=read, tagged=tagged)
            if isinstance(one, inspect.StructType)
            else self._schema(one, read=read)
            for one in types
        ]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}

    def _noun(self, info: inspect.StructType, *, read: bool, tagged: bool) -> Schema:
        name = info.cls.__name__ + ("Given" if read else "") + ("Typed" if tagged else "")
        if name not in self.components:
            self.components[name] = {}
            self._owners[name] = info.cls
            fields = {field.name: self._schema(field.type, read=read) for field in info.fields}
            must = {field.name for field in info.fields if field.required or not read}
            kind: dict[str, Schema] = {"type": {"const": info.cls.__name__}} if tagged else {}
            self.components[name] = {
                "description": python_inspect.getdoc(info.cls) or "",
                **record(
                    {**kind, **{field: schema for field, schema in fields.items() if field in must}},
                    {field: schema for field, schema in fields.items() if field not in must},
                ),
            }
        assert self._owners[name] is info.cls, f"two nouns are called {name}"
        return named(name)


def meanings(kind: type) -> Mapping[str, str]:
    """The docstrings that stand under the fields of a class; none where the source is not at hand."""
    try:
        body = ast.parse(python_inspect.getsource(kind)).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _default(field: inspect.Field) -> Any:
    kind = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    value = field.default
    if isinstance(kind, inspect.IntType) and not _small(kind):
        return str(value)
    return value


def _small(info: inspect.IntType) -> bool:
    return info.le is not None and info.le <= SAFE_INTEGER


def _integer(info: inspect.IntType, *, read: bool) -> Schema:
    if _small(info):
        return {"type": "integer", "minimum": info.ge if info.ge is not None else -SAFE_INTEGER, "maximum": info.le}
    if not read:
        return dict(DECIMAL)
    low = info.ge or 0
    high = info.le if info.le is not None else (info.lt - 1 if info.lt is not None else None)
    ranged = f"From {low}" + (f" to {high}." if high is not None else " on.")
    return {
        "description": f"A decimal string; below 2^53 also a JSON number. {ranged}",
        "anyOf": [
            {"type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$"},
            {"type": "integer", "minimum": low, "maximum": min(high or SAFE_INTEGER, SAFE_INTEGER)},
        ],
    }


def _hex(low: int | None, high: int | None) -> Schema:
    if low == high and low is not None:
        return {"type": "string", "pattern": f"^0x[0-9a-f]{{{2 * low}}}$"}
    schema = {**HEX, "minLength": 2 + 2 * (low or 0)}
    return schema if high is None else {**schema, "maxLength": 2 + 2 * high}


def _text(info: inspect.StrType) -> Schema:
    schema: Schema = {"type": "string"}
    if info.min_length is not None:
        schema["minLength"] = info.min_length
    if info.max_length is not None:
        schema["maxLength"] = info.max_length
    if info.pattern is not None:
        schema["pattern"] = info.pattern
    return schema


def _bounded(schema: Schema, low: int | None, high: int | None) -> Schema:
    if low:
        schema["minItems"] = low
    if high is not None:
        schema["maxItems"] = high
    return schema
