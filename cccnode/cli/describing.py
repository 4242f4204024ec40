"""What the code says about a setting: docstrings under fields become help, the JSON Schema and the reference page."""

import ast
import inspect
from collections.abc import Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any, Final

import msgspec

from cccnode.config import PROFILES, SECTIONS

SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def meanings(owner: type | ModuleType) -> Mapping[str, str]:
    """The docstrings that stand under the fields of a class or the constants of a module."""
    body = ast.parse(inspect.getsource(owner)).body
    if isinstance(owner, type):
        assert isinstance(body[0], ast.ClassDef)
        body = body[0].body
    found = {}
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as meaning)):
                found[name] = one_line(meaning)
            case _:
                pass
    return found


def one_line(text: str) -> str:
    """White space folded."""
    return " ".join(text.split())


def settings() -> Mapping[str, str]:
    """What every `section.key` means, in the order of the file."""
    return {
        f"{section}.{field.name}": meanings(kind).get(field.name, "")
        for section, kind in SECTIONS.items()
        for field in msgspec.structs.fields(kind)
    }


def config_schema() -> dict[str, Any]:
    """The JSON Schema of config.toml: an editor that knows it completes keys and marks mistakes."""
    kinds = list(SECTIONS.values())
    _, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    texts = settings()
    properties: dict[str, Any] = {
        "profile": {"enum": list(PROFILES), "description": "The role, whose defaults stand below this file."}
    }
    for section, kind in SECTIONS.items():
        part = parts[kind.__name__]
        for name, field in part["properties"].items():
            field["description"] = texts[f"{section}.{name}"]
        part["description"] = one_line(kind.__doc__ or "")
        properties[section] = part
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "config.toml of a cccnode node",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
