"""Four organisations in four folders found a network with documented commands alone, and it starts."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.main import run_cli
from cccnode.cli.testnet_files import Shape, Testnet
from cccnode.config import LOOPBACK, TESTNET_PORT_STEP
from cccnode.home import Home
from tests.end_to_end.processes import Network, advance, equal_roots, ports

NAMES = ("bma", "cmu", "psu", "siriraj")


class _Founders:
    """Four homes, and what their operators type."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        self.homes = [root / f"node{index}" for index in range(len(NAMES))]
        self.ports = ports(len(NAMES))

    def copy(self, index: int) -> Path:
        """The copy of the document in an organisation's folder."""
        return self.homes[index] / "draft.json"

    def type(self, index: int, *words: str) -> tuple[int, Any]:
        code = run_cli([*words, "--home", str(self.homes[index]), "--output", "json"])
        return code, json.loads(self._capsys.readouterr().out)

    def done(self, index: int, *words: str) -> Any:
        code, answer = self.type(index, *words)
        assert code == 0, answer
        return answer

    def add_parts(self) -> None:
        """Each adds its part to a copy of the same empty draft."""
        draft = self.root / "empty.json"
        self.done(0, "genesis", "new", "bangmod", "--to", str(draft))
        assert self.type(0, "genesis", "new", "bangmod", "--to", str(draft))[1]["error"]["name"] == "home/EXISTS"
        for index, name in enumerate(NAMES):
            for role in (["node"], ["validator"], ["account", name]):
                self.done(index, "keys", "new", *role, "--unencrypted")
            shutil.copyfile(draft, self.copy(index))
            address = f"{LOOPBACK}:{self.ports['p2p'] + index * TESTNET_PORT_STEP}"
            copy = str(self.copy(index))
            self.done(index, "genesis", "add-org", copy, name, "--pillar", "academia", "--address", address)
            self.done(index, "genesis", "add-validator", copy, name)

    def collect(self, index: int, copies: list[Path]) -> Any:
        """One of them collects into its own folder."""
        return self.done(index, "genesis", "collect", str(self.copy(index)), *map(str, copies))

    def exchange(self) -> list[Any]:
        """Everybody sends its copy to everybody, who collects in an order of its own; what each then has."""
        sent = [self.copy(index).rename(self.root / f"sent-{index}.json") for index in range(len(NAMES))]
        return [self.collect(index, sent[index:] + sent[:index]) for index in range(len(NAMES))]

    def init(self, index: int) -> tuple[int, Any]:
        place = {name: f"{LOOPBACK}:{port + index * TESTNET_PORT_STEP}" for name, port in self.ports.items()}
        sets = [word for name, address in place.items() for word in ("--set", f"{name}.listen={address}")]
        genesis = ["--genesis", str(self.copy(index)), "--org", NAMES[index]]
        return self.type(index, "init", *genesis, "--unencrypted", *sets)

    def network(self) -> Network:
        shape = Shape(chain="0x", validators=len(NAMES), accounts=0, ports=self.ports)
        return Network(Testnet(Home(self.root), shape))


async def test_four_organisations_found_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same hash and words everywhere; a signature that lacks or is altered is refused by name; then it runs."""
    founders = _Founders(tmp_path, capsys)
    founders.add_parts()
    shown = founders.exchange()
    assert len({(each["hash"], each["words"]) for each in shown}) == 1
    assert len(shown[0]["words"].split()) == 12
    assert shown[0]["unsigned"] == shown[0]["validators"] == list(NAMES)

    for index in range(3):
        assert NAMES[index] not in founders.done(index, "genesis", "sign", str(founders.copy(index)))["unsigned"]
    assert [each["unsigned"] for each in founders.exchange()] == [["siriraj"]] * 4
    code, answer = founders.init(0)
    assert (code, answer["error"]["name"], answer["error"]["details"]) == (
        78,
        "genesis/UNSIGNED",
        {"missing": ["siriraj"]},
    )
    founders.done(3, "genesis", "sign", str(founders.copy(3)))
    assert [(each["unsigned"], each["hash"]) for each in founders.exchange()] == [([], shown[0]["hash"])] * 4

    for index in range(4):
        assert founders.done(index, "genesis", "verify", str(founders.copy(index)))["valid"]
        assert founders.done(index, "genesis", "hash", str(founders.copy(index)))["hash"] == shown[0]["hash"]
        assert founders.init(index)[1]["chain"] == shown[0]["hash"]
    network = founders.network()
    try:
        await _runs(network)
        _refuses_an_altered_one(network)
    finally:
        network.stop_all()


async def _runs(network: Network) -> None:
    network.start(0, 1, 2, 3)
    async with network.clients() as clients:
        await network.validating(clients, 0, 1, 2, 3)
        await advance(clients[0], 1)
        await equal_roots(clients)


def _refuses_an_altered_one(network: Network) -> None:
    network.stop(1)
    path = network.node(1).home.genesis_file
    value = json.loads(path.read_text())
    signature = value["signatures"][0]["signature"]
    value["signatures"][0]["signature"] = signature[:-2] + ("00" if signature[-2:] != "00" else "01")
    path.write_text(json.dumps(value))
    network.start(1)
    assert network.exit_code(1) == os.EX_CONFIG
    assert "genesis/UNSIGNED" in network.log(1)
    assert "bma" in network.log(1)
