"""Module parameters out of the genesis document: bounds and all mistakes at once."""

from typing import Annotated

import pytest
from msgspec import Meta

from cccnode.codec import Noun
from cccnode.ledger.parameters import parameters
from cccnode.types.errors import GENESIS_INVALID, Fault


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Three parameters."""

    size: Annotated[int, Meta(ge=1, le=9)]
    name: str = "x"
    open: bool = False


def test_defaults_and_values() -> None:
    """Given values replace defaults; other modules' values do not matter."""
    assert Params(3, "x", True) == parameters({"m": {"size": 3, "open": True}, "other": {"size": 99}}, "m", Params)


def test_invalid_parameters() -> None:
    """Unknown, missing and out-of-bounds parameters are all reported."""
    with pytest.raises(Fault) as caught:
        parameters({"m": {"sise": 3, "name": 5}}, "m", Params)

    assert caught.value.spec is GENESIS_INVALID
    assert [
        "parameters.m.sise: no such parameter",
        "parameters.m.size: is missing",
        "parameters.m.name: Expected `str`, got `int`",
    ] == caught.value.values["errors"]
