"""`cccnode config`: checked, shown with origins, explained, and as a schema for editors."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cccnode import config
from cccnode.cli.describing import config_schema, settings
from cccnode.cli.main import run_cli


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli(["config", *arguments, "--output", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_schema_describes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key is in the schema with its meaning; what a home is made with is valid."""
    code, schema = _said(capsys, "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    keys = {f"{section}.{key}" for section in config.SECTIONS for key in schema["properties"][section]["properties"]}
    assert keys == set(settings())
    file = tomllib.loads(config.render({"rpc.listen": "127.0.0.1:1", "storage.cache_mb": 64}, profile="peer"))
    jsonschema.validate(file, schema)


@pytest.mark.parametrize(
    "text", ['[rpc]\nlsten = "a:1"', "[storage]\ncache_mb = 1", '[nod]\nname = "x"', 'profile = "king"', "rpc = 3"]
)
def test_invalid_file_against_the_schema(text: str) -> None:
    """What the node refuses, the schema refuses too."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), config_schema())


def test_docs_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings are found by a part of their name, with default and meaning; an unknown part is an error."""
    code, found = _said(capsys, "docs", "storage.cache")
    assert (code, list(found)) == (0, ["storage.cache_mb"])
    assert found["storage.cache_mb"]["default"] == 512
    assert "Bound" in found["storage.cache_mb"]["means"]
    code, refused = _said(capsys, "docs", "nonsense")
    assert (code, refused["error"]["name"]) == (78, "config/INVALID")
    assert run_cli(["config", "docs", "log"]) == 0
    assert 'log.level = "info"' in capsys.readouterr().out
