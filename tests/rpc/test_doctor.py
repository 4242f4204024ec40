"""`node_doctor`: one call that says what is wrong, in both languages."""

import json
from typing import Any

import pytest

from cccnode.config import RpcSection
from cccnode.doctor.observation import Observation
from cccnode.rpc.dispatch import Dispatcher
from cccnode.rpc.values import reader
from cccnode.types import errors
from tests.doctor.support import World
from tests.support.fake_node import FakeNode


async def ask(world: World, **params: Any) -> Any:
    node = FakeNode(observed=world.observe(0))
    request = {"jsonrpc": "2.0", "id": 1, "method": "node_doctor", "params": params}
    answer = await Dispatcher(node, RpcSection()).answer(json.dumps(request).encode())
    assert answer is not None
    return json.loads(answer)


async def test_a_diagnosis() -> None:
    """Verdict and causes: code, text, validators by index and organisation, evidence, remedy; nothing else."""
    result = (await ask(World().change(2, 3, runs=False)))["result"]

    assert {"verdict", "causes"} == set(result)
    assert "stalled" == result["verdict"]
    (cause,) = result["causes"]
    assert {"code", "text", "validators", "evidence", "remedy"} == set(cause)
    assert "doctor/OFFLINE" == cause["code"]
    assert [{"index": 2, "organisation": "org2"}, {"index": 3, "organisation": "org3"}] == cause["validators"]
    assert ("2", "3") == (cause["evidence"]["available"], cause["evidence"]["needed"])
    assert (errors.OFFLINE.en, errors.OFFLINE.remedy) == (cause["text"], cause["remedy"])


async def test_in_thai() -> None:
    """Texts and remedies in the language asked for; codes stay."""
    (cause,) = (await ask(World().change(3, runs=False), lang="th"))["result"]["causes"]

    assert (errors.OFFLINE.th, errors.OFFLINE.remedy_th) == (cause["text"], cause["remedy"])


async def test_with_the_observation() -> None:
    """On request what was observed comes along, in a form that can be read back."""
    world = World().change(3, clock_ms=-5_000)
    result = (await ask(world, observation=True))["result"]

    assert world.observe(0) == reader(Observation)(result["observation"], "observation")


@pytest.mark.parametrize("params", [{"lang": "fr"}, {"observation": "yes"}, {"verbose": True}])
async def test_invalid_parameters(params: dict[str, Any]) -> None:
    """Anything else is rpc/INVALID_PARAMS."""
    assert "rpc/INVALID_PARAMS" == (await ask(World(), **params))["error"]["data"]["name"]
