"""A test network on disk: one folder that holds a home for every node and the funded accounts' keys.

`testnet.json` marks the folder; nothing without it is ever removed.
"""

import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from cccnode import config, keys
from cccnode.config import DEFAULT_PROFILE, LOOPBACK, PORTS, TESTNET_PORT_STEP
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home, disk_fault, lock_holder
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.errors import fault

if TYPE_CHECKING:  # the document is needed once in a network's life, as below
    from genesis.bootstrap import Demo
    from genesis.document import LimitsEntry

MARK: Final = "testnet.json"
DEMO_ACCOUNTS: Final = 3
NODES_MAX: Final = 32
"""Nodes of one machine; their ports stay below the range that the system hands out."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `testnet.json` says."""

    chain: str
    validators: Annotated[int, Meta(ge=1, le=NODES_MAX)]
    peers: Annotated[int, Meta(ge=0, le=NODES_MAX)] = 0
    accounts: Annotated[int, Meta(ge=0)] = DEMO_ACCOUNTS
    """Named key files `demo1`, `demo2` ...: at most this many."""
    ports: dict[str, int] = msgspec.field(default_factory=lambda: dict(PORTS))
    """Ports of node 0."""
    names: Annotated[tuple[str, ...], Meta(max_length=NODES_MAX)] = ()
    """Other names for those accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestnetNode:
    """One node of a test network."""

    __test__ = False  # not a test class, whatever its name begins with

    index: int
    home: Home
    p2p: str
    rpc: str
    ops: str

    @property
    def log(self) -> Path:
        """What the node says."""
        return self.home.run / "node.log"

    @property
    def process(self) -> int | None:
        """The process that runs it now: the holder of its home's lock."""
        return lock_holder(self.home)


@dataclass(frozen=True, slots=True)
class Testnet:
    """A test network that exists."""

    __test__ = False  # as above

    home: Home
    shape: Shape

    @classmethod
    def find(cls, home: Home) -> "Testnet | None":
        """The test network in this folder, None when there is none.

        Raises:
            Fault: `testnet/MISSING` when the mark is there and unreadable.
        """
        path = home.root / MARK
        try:
            return cls(home, msgspec.json.decode(path.read_bytes(), type=Shape))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise fault(errors.TESTNET_MISSING, path=str(path), why=str(error)) from error

    @classmethod
    def open(cls, home: Home) -> "Testnet":
        """The test network in this folder.  Raises `testnet/MISSING`."""
        found = cls.find(home)
        if found is None:
            raise fault(errors.TESTNET_MISSING, home=str(home.root))
        return found

    @property
    def nodes(self) -> list[TestnetNode]:
        """Validators first, then peers."""
        return [self.node(index) for index in range(self.shape.validators + self.shape.peers)]

    def node(self, index: int) -> TestnetNode:
        """Node number `index`, from 0.  Raises `testnet/NO_SUCH_NODE`."""
        count = self.shape.validators + self.shape.peers
        if not 0 <= index < count:
            raise fault(errors.TESTNET_NODE, node=index, nodes=count)
        return TestnetNode(
            index=index, home=Home(self.home.root / f"node{index}"), **_addresses(self.shape.ports, index)
        )

    def account_names(self) -> list[str]:
        """Names of the funded accounts whose keys are here."""
        if self.shape.names:
            return list(self.shape.names)
        return [f"demo{number}" for number in range(1, min(self.shape.accounts, DEMO_ACCOUNTS) + 1)]

    def remove(self) -> None:
        """Wipe the network; the folder itself stays when something foreign lies in it.

        Raises:
            Fault: `home/READ_ONLY` or `home/DISK_FAILED`.
        """
        root = self.home.root
        try:
            for node in self.nodes:
                if node.home.root.exists():
                    shutil.rmtree(node.home.root)
            for folder in (self.home.keys, self.home.run):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (self.home.genesis_file, *root.glob("allocation-*.json"), root / MARK):
                file.unlink(missing_ok=True)
            if not any(root.iterdir()):
                root.rmdir()
        except OSError as error:
            raise disk_fault(error, root) from error


def prepare(
    home: Home,
    *,
    validators: int,
    peers: int = 0,
    accounts: int = DEMO_ACCOUNTS,
    balance: int | None = None,
    seed: bytes | None = None,
    ports: Mapping[str, int] = PORTS,
    settings: Mapping[str, object] | None = None,
    time_ms: int | None = None,
    limits: "LimitsEntry | None" = None,
    parameters: dict[str, dict[str, int | str | bool]] | None = None,
    city: dict[str, Any] | None = None,
    names: Sequence[str] = (),
    profile: str = DEFAULT_PROFILE,
) -> Testnet:
    """Make a test network: genesis, a home for every node, key files of the first accounts.

    `settings` are further `section.key` values of every node's config.toml; `seed` makes all keys repeatable; `limits`,
    `parameters` and `city` are those of the genesis document; `names` are those of the accounts; `profile` is that of
    the validators.

    Raises:
        Fault: `home/EXISTS`, `genesis/INVALID`, disk faults.
    """
    from genesis.bootstrap import BALANCE, make_demo  # noqa: PLC0415 - needed once in a network's life
    from p2p.directory import make_certificate  # noqa: PLC0415

    demo = make_demo(
        validators,
        certify=make_certificate,
        addresses=lambda index: [_addresses(ports, index)["p2p"]],
        peers=peers,
        accounts=accounts,
        balance=BALANCE if balance is None else balance,
        seed=seed,
        time_ms=time.time_ns() // 1_000_000 if time_ms is None else time_ms,
        limits=limits,
        parameters=parameters,
        city=city,
    )
    shape = Shape(
        chain="0x" + demo.genesis.chain.hex(),
        validators=validators,
        peers=peers,
        accounts=accounts,
        ports=dict(ports),
        names=tuple(names),
    )
    return write_network(home, demo, shape, settings=settings, profile=profile)


def write_network(
    home: Home,
    demo: "Demo",
    shape: Shape,
    *,
    settings: Mapping[str, object] | None = None,
    profile: str = DEFAULT_PROFILE,
) -> Testnet:
    """Write a network with all its secrets; `settings` and `profile` as for `prepare`.

    Raises:
        Fault: `home/EXISTS` or disk faults.
    """
    from cccnode.node.data import found  # noqa: PLC0415 - the city's rules, needed here only

    root = home.root
    if any((root / name).exists() for name in (MARK, "genesis.json", "node0")):
        raise fault(errors.HOME_EXISTS, home=str(root))
    network = Testnet(home, shape)
    files = {"genesis.json": demo.document, **({demo.allocation[0]: demo.allocation[1]} if demo.allocation else {})}
    _write_all(root, files)
    for node, partner in zip(network.nodes, demo.partners, strict=True):
        own = {"node.organisation": partner.name, **(settings or {})}
        role = "peer" if partner.consensus is None else profile
        _write_all(node.home.root, {**files, "config.toml": _settings(node, role, own)})
        keys.create(
            node.home.node_key,
            role=Role.NODE,
            passphrase=None,
            key=SigningKey(partner.node_seed),
            description=f"node {node.index}",
        )
        if partner.consensus is not None:
            keys.create(
                node.home.validator_key,
                role=Role.VALIDATOR,
                passphrase=None,
                key=partner.consensus,
                description=partner.name,
            )
            found(node.home.data, partner.consensus.public_key)
        keys.create(
            node.home.account_key(partner.name),
            role=Role.ACCOUNT,
            passphrase=None,
            key=partner.owner,
            description=partner.name,
        )
    for name, key in zip(network.account_names(), demo.accounts, strict=False):
        keys.create(home.account_key(name), role=Role.ACCOUNT, passphrase=None, key=key, description=name)
    _write_all(root, {MARK: msgspec.json.format(msgspec.json.encode(shape), indent=2) + b"\n"})  # last: now it exists
    return network


def _addresses(ports: Mapping[str, int], index: int) -> dict[str, str]:
    return {name: f"{LOOPBACK}:{ports[name] + index * TESTNET_PORT_STEP}" for name in ("p2p", "rpc", "ops")}


def check_ports(ports: Mapping[str, int], *, nodes: int) -> None:
    """Name a taken port before anything is made or started.

    Raises:
        Fault: `home/PORT_IN_USE`.
    """
    for index in range(nodes):
        for address in _addresses(ports, index).values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(config.split_address(address))
                except OSError as error:
                    raise fault(errors.PORT_IN_USE, address=address, node=index) from error


def _settings(node: TestnetNode, profile: str, further: Mapping[str, object]) -> bytes:
    values: dict[str, object] = {
        "node.name": f"node{node.index}",
        "p2p.listen": node.p2p,
        "rpc.listen": node.rpc,
        "ops.listen": node.ops,
        "storage.cache_mb": 128,
        **further,
    }
    return config.render(values, profile=profile).encode()


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise disk_fault(error, folder) from error


def describe(network: Testnet) -> list[dict[str, Any]]:
    """Nodes with their addresses, for `--output json`."""
    return [
        {
            "index": node.index,
            "validator": node.index < network.shape.validators,
            "rpc": f"http://{node.rpc}/rpc",
            "ops": f"http://{node.ops}",
            "p2p": node.p2p,
            "home": str(node.home.root),
            "log": str(node.log),
            "process": node.process,
        }
        for node in network.nodes
    ]
