"""The settings of one node: one `config.toml`, and the layers that may override it.

Strongest first: flag (`--set section.key=value`), environment (`CCCNODE_SECTION__KEY`), file, profile, default.
Unknown keys are errors with a suggestion, and all errors are reported at once.  Nothing here affects agreement between
nodes: that lives in genesis and on the chain.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cccnode.home import Home
from cccnode.types import errors
from cccnode.types.errors import fault
from cccnode.types.limits import MEMPOOL_TXS_MAX, NODE_ADDRESSES_MAX, PENDING_PER_PAYER_MAX, RPC_BODY_BYTES_MAX
from cccnode.types.retention import KEEP_PATTERN, KINDS, Keep, Retention

ENV_PREFIX: Final = "CCCNODE_"

PORTS: Final[Mapping[str, int]] = {"p2p": 27600, "rpc": 27601, "ops": 27602}
"""Default ports: between nodes, for clients, for the operator (health and metrics)."""
TESTNET_PORT_STEP: Final = 10
"""Node i of a test network on one machine listens on every default port plus i times this."""
LOOPBACK: Final = "127.0.0.1"

Text = Annotated[str, Meta(max_length=256)]
Address = Annotated[str, Meta(max_length=256, pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):[0-9]{1,5}$")]
"""`host:port`; an IPv6 host stands in brackets."""
Network = Annotated[str, Meta(max_length=64, pattern=r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$")]
"""An address or a network such as `10.0.0.0/8`."""
ApiKey = Annotated[str, Meta(max_length=160, pattern=r"^[\w.-]{1,64}:[0-9a-f]{64}:[1-9][0-9]{0,8}$")]
"""`name:SHA-256 of the key in hexadecimal:units a second`."""
LogLevel = Literal["debug", "info", "warning", "error"]
Keeping = Annotated[str, Meta(max_length=32, pattern=KEEP_PATTERN)]
"""How long something is kept."""
Contact = Annotated[str, Meta(max_length=336, pattern=r"^[0-9a-f]{64}@(\[[0-9a-fA-F:]+\]|[^\s:\[\]@]+):[0-9]{1,5}$")]
"""`key@host:port`: a node's transport key in hexadecimal, and where it is dialled."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class NodeSection(_Section, frozen=True, kw_only=True):
    """Who this node is, for people."""

    name: Text = ""
    """Label in logs and in `status`; the identity is the node key."""
    organisation: Text = ""
    """Whose node this is, for commands that act for the organisation; what counts is the registry."""
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    """Event loop: uvloop where it is installed, or the standard one."""


class P2pSection(_Section, frozen=True, kw_only=True):
    """Connections between nodes."""

    listen: Address = f"{LOOPBACK}:{PORTS['p2p']}"
    """`host:port` at which other nodes connect; 0.0.0.0 for all interfaces."""
    advertise: Annotated[tuple[Address, ...], Meta(max_length=NODE_ADDRESSES_MAX)] = ()
    """Up to 4 `host:port` at which others reach this node, the best first; none: the listening address."""
    bootstrap: tuple[Contact, ...] = ()
    """`key@host:port` of nodes to dial besides those of the registry: the contacts of a network card."""


class RpcSection(_Section, frozen=True, kw_only=True):
    """The public JSON-RPC port."""

    listen: Address = f"{LOOPBACK}:{PORTS['rpc']}"
    """`host:port` for clients; anything but loopback makes it public."""
    body_bytes_max: Annotated[int, Meta(ge=1024, le=RPC_BODY_BYTES_MAX)] = RPC_BODY_BYTES_MAX
    """One request body."""
    inflight_bytes_max: Annotated[int, Meta(ge=RPC_BODY_BYTES_MAX, le=2**32)] = 4 * RPC_BODY_BYTES_MAX
    """All request bodies that are being read or answered."""
    promise_blocks: Annotated[int, Meta(ge=1, le=4_096)] = 256
    """Within how many blocks a transaction is decided for which a caller wants a promise."""
    requests_max: Annotated[int, Meta(ge=1, le=65_536)] = 256
    """Requests being answered at the same time, not counting those that only wait."""
    waiters_max: Annotated[int, Meta(ge=1, le=65_536)] = 1024
    """Calls of tx_wait at the same time."""
    streams_max: Annotated[int, Meta(ge=1, le=65_536)] = 512
    """Readers of GET /v1/events at the same time: streams, and pages that wait."""
    wait_ms_max: Annotated[int, Meta(ge=100, le=600_000)] = 60_000
    """The longest wait of one request."""
    read_timeout_ms: Annotated[int, Meta(ge=100, le=600_000)] = 30_000
    """A request body must have arrived after this time."""
    sockets_max: Annotated[int, Meta(ge=0, le=65_536)] = 1024
    """WebSockets at the same time."""
    socket_bytes_max: Annotated[int, Meta(ge=1024, le=RPC_BODY_BYTES_MAX)] = 1024 * 1024
    """One request on a WebSocket; larger ones go by POST."""
    socket_idle_ms: Annotated[int, Meta(ge=100, le=86_400_000)] = 600_000
    """A WebSocket that asks nothing and listens to nothing for so long is closed."""
    connections_per_address_max: Annotated[int, Meta(ge=1, le=65_536)] = 128
    """Connections of one address at the same time."""
    units_per_s: Annotated[int, Meta(ge=1, le=10**9)] = 2_000
    """What one address may take, in cost units a second: about 0.1 ms each; every method has a cost."""
    burst_s: Annotated[int, Meta(ge=1, le=3600)] = 10
    """So many seconds' worth of units a client that rested may take at once."""
    loopback_limited: bool = False
    """Whether these limits hold for programs on this machine too, when they come through no proxy."""
    trusted_proxies: Annotated[tuple[Network, ...], Meta(max_length=64)] = ()
    """Reverse proxies whose X-Forwarded-For is believed; nobody else's is."""
    api_keys: Annotated[tuple[ApiKey, ...], Meta(max_length=1024)] = ()
    """`name:SHA-256 of the key:units a second`: who sends that key in X-API-Key has a bucket of its own."""
    cors_origins: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    """Web sites whose pages may use this node, such as `https://city.example`; `*` is every site."""
    tls_cert: Text = ""
    """PEM file with the certificate chain; read again when it changes.  Without it the port speaks plain HTTP."""
    tls_key: Text = ""
    """PEM file with its key, not encrypted."""


class OpsSection(_Section, frozen=True, kw_only=True):
    """Health and metrics, on loopback only."""

    listen: Address = f"{LOOPBACK}:{PORTS['ops']}"
    """`host:port` on loopback of health, metrics and what the operator asks the running node to do."""


class StorageSection(_Section, frozen=True, kw_only=True):
    """Where state lives."""

    engine: Literal["leveldb", "memory"] = "leveldb"
    """Where the state is kept; memory forgets it at the end, for tests."""
    cache_mb: Annotated[int, Meta(ge=16, le=1_048_576)] = 512
    """Bound of the state cache; a smaller one costs reads and never changes a result."""
    index: bool = True
    """Keep the transaction index that tx_get reads."""
    history: bool = False
    """Keep which transactions concern each account, for account_transactions; costs disk and some processor time."""
    snapshot_blocks: Annotated[int, Meta(ge=0, le=2**40)] = 10_000
    """Take a snapshot at every height that this divides; nodes with the same number serve the same ones; 0: never."""
    snapshots_kept: Annotated[int, Meta(ge=1, le=64)] = 2
    """So many snapshots stay on the disk."""
    snapshot_behind: Annotated[int, Meta(ge=0, le=2**40)] = 2_000
    """Begin at a snapshot of another node when so many blocks are missing; 0: always fetch the blocks."""


class RetentionSection(_Section, frozen=True, kw_only=True):
    """How long what the node could do without is kept: `all`, an age such as `30d` `12h` `10m` `90s`, or `5000 blocks`.

    Ages are header times.  What a restart, a proof of recent heights, the newest snapshot or the trust in later epochs
    needs stays in any case.  Profiles: a validator keeps 30 days, a peer 7, an archive everything.
    """

    blocks: Keeping = "30d"
    """Final blocks: what nodes that join without a snapshot, and those that look up old transactions, ask for."""
    receipts: Keeping = "30d"
    """What transactions led to: results and events."""
    index: Keeping = "30d"
    """Where each transaction was decided; longer than the blocks, it still tells when that was."""
    history: Keeping = "all"
    """Which transactions concern each account, where storage.history keeps that."""
    headers: Keeping = "all"
    """Headers and results by height, a kilobyte each; the ends of epochs stay."""

    @property
    def policy(self) -> Retention:
        """The same as values."""
        return Retention(**{kind: Keep.parse(getattr(self, kind)) for kind in KINDS})


class MempoolSection(_Section, frozen=True, kw_only=True):
    """Transactions that wait here."""

    txs_max: Annotated[int, Meta(ge=1, le=10_000_000)] = MEMPOOL_TXS_MAX
    """Transactions that wait here at the same time; more are refused with pool/FULL."""
    pending_per_payer_max: Annotated[int, Meta(ge=1, le=1_000_000)] = PENDING_PER_PAYER_MAX
    """Of these for one payer; more are refused with pool/PAYER_LIMIT."""


class KeysSection(_Section, frozen=True, kw_only=True):
    """How key files are opened without a person."""

    passphrase_file: Text = ""
    """File whose first line opens the keys; the environment variable CCCNODE_PASSPHRASE does too."""


class SignerSection(_Section, frozen=True, kw_only=True):
    """The remote signer of this validator's votes."""

    listen: Annotated[str, Meta(pattern=r"^$|^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$")] = ""
    """Where `cccnode signer run`, which holds the consensus key elsewhere, connects to; empty: no such signer."""


class LogSection(_Section, frozen=True, kw_only=True):
    """What the node says."""

    level: LogLevel = "info"
    """Quieter events are not written; `cccnode log level` changes it while the node runs."""
    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one node."""

    home: Home
    profile: str
    node: NodeSection = NodeSection()
    p2p: P2pSection = P2pSection()
    rpc: RpcSection = RpcSection()
    ops: OpsSection = OpsSection()
    storage: StorageSection = StorageSection()
    retention: RetentionSection = RetentionSection()
    mempool: MempoolSection = MempoolSection()
    keys: KeysSection = KeysSection()
    signer: SignerSection = SignerSection()
    log: LogSection = LogSection()


SECTIONS: Final[Mapping[str, type[_Section]]] = {
    field.name: field.type
    for field in msgspec.structs.fields(Config)
    if isinstance(field.type, type) and issubclass(field.type, _Section)
}
DEFAULT_PROFILE: Final = "validator"
_KEEP_ALL: Final = dict.fromkeys(("retention.blocks", "retention.receipts", "retention.index"), "all")
PROFILES: Final[Mapping[str, Mapping[str, object]]] = {
    "validator": {},
    "peer": {
        "storage.cache_mb": 256,
        "retention.blocks": "7d",
        "retention.receipts": "7d",
        "retention.index": "7d",
    },
    "archive": {"storage.cache_mb": 256, **_KEEP_ALL},
    "dev": {"storage.cache_mb": 128, "log.level": "info", "log.format": "text", **_KEEP_ALL},
}
"""Roles: named sets of values that stand between the file and the defaults."""
_KEYS: Final = {
    f"{section}.{field.name}": field for section, kind in SECTIONS.items() for field in msgspec.structs.fields(kind)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A valid configuration and which layer set each value."""

    config: Config
    origins: Mapping[str, str]
    """`section.key` to `flag`, `env NAME`, `file PATH`, `profile NAME` or `default`."""

    def values(self) -> Mapping[str, object]:
        """Every `section.key` with its value, in the order of the file."""
        return {key: getattr(getattr(self.config, _split(key)[0]), _split(key)[1]) for key in _KEYS}


def load(
    home: Home,
    *,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    profile: str | None = None,
    file: Path | None = None,
) -> Loaded:
    """Join all layers for the node in `home`; `flags` are `section.key=value` texts.

    Raises:
        Fault: `config/INVALID` with every problem in `problems`.
    """
    env = os.environ if environment is None else environment
    path = file or home.config_file
    problems: list[str] = []
    from_file, file_profile = _read_file(path, required=file is not None, problems=problems)
    profile = profile or file_profile or DEFAULT_PROFILE
    if profile not in PROFILES:
        problems.append(f"profile {profile!r} is unknown{_meant(profile, PROFILES)}")
    layers: list[tuple[str, Mapping[str, object]]] = [
        (f"profile {profile}", PROFILES.get(profile, {})),
        (f"file {path}", from_file),
        ("env", _read_environment(env, problems)),
        ("flag", _read_flags(flags, problems)),
    ]
    values, origins = _join(layers)
    sections = _build(values, origins, problems)
    if not problems:
        config = Config(home=home, profile=profile, **sections)
        problems.extend(_cross_checks(config))
        if not problems:
            return Loaded(config=config, origins=origins)
    raise fault(errors.CONFIG_INVALID, problems=problems)


def split_address(address: str) -> tuple[str, int]:
    """(host, port) of a valid `Address`; brackets of an IPv6 host removed."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def split_contact(contact: str) -> tuple[bytes, str]:
    """(node key, address) of a valid `Contact`."""
    key, _, address = contact.partition("@")
    return bytes.fromhex(key), address


def render(values: Mapping[str, object], *, profile: str) -> str:
    """The text of a config.toml that holds these `section.key` values and nothing else."""
    lines = [
        "# cccnode settings. Every key: `cccnode config show --origin`. Check: `cccnode config check`.",
        f"profile = {toml_text(profile)}",
    ]
    for section in SECTIONS:
        chosen = {key: value for key, value in values.items() if _split(key)[0] == section}
        if chosen:
            lines += ["", f"[{section}]", *(f"{_split(key)[1]} = {toml_text(value)}" for key, value in chosen.items())]
    return "\n".join(lines) + "\n"


def _read_file(path: Path, *, required: bool, problems: list[str]) -> tuple[Mapping[str, object], str | None]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            problems.append(f"{path}: no such file")
        return {}, None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(f"{path}: {error}")
        return {}, None
    profile = document.pop("profile", None)
    if profile is not None and not isinstance(profile, str):
        problems.append(f"{path}: profile must be text")
        profile = None
    values: dict[str, object] = {}
    for section, table in document.items():
        if not isinstance(table, dict):
            problems.append(f"{path}: {section} stands outside a section{_meant(section, ('profile', *SECTIONS))}")
        elif section not in SECTIONS:
            problems.append(f"{path}: section [{section}] is unknown{_meant(section, SECTIONS)}")
        else:
            names = {f"{section}.{name}": value for name, value in table.items()}
            values.update(_known(names, f"{path}: ", problems))
    return values, profile


def _read_environment(env: Mapping[str, str], problems: list[str]) -> Mapping[str, object]:
    names = sorted(name for name in env if name.startswith(ENV_PREFIX) and "__" in name)
    texts = {name[len(ENV_PREFIX) :].lower().replace("__", ".", 1): env[name] for name in names}
    return _typed(_known(texts, "environment: ", problems), problems)


def _read_flags(flags: Sequence[str], problems: list[str]) -> Mapping[str, object]:
    texts = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if equals:
            texts[key.strip()] = value.strip()
        else:
            problems.append(f"flag {flag!r} must read section.key=value")
    return _typed(_known(texts, "flag: ", problems), problems)


def _known(values: Mapping[str, object], where: str, problems: list[str]) -> dict[str, object]:
    problems.extend(f"{where}{key} is unknown{_meant(key, _KEYS)}" for key in values if key not in _KEYS)
    return {key: value for key, value in values.items() if key in _KEYS}


def _typed(texts: Mapping[str, object], problems: list[str]) -> Mapping[str, object]:
    """Values of flags and environment are text; read them as the key's type says."""
    values: dict[str, object] = {}
    for key, text in texts.items():
        kind = _KEYS[key].type
        if _is_list(kind):
            values[key] = [item.strip() for item in str(text).split(",") if item.strip()]
            continue
        try:
            values[key] = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{key} = {text!r}: {_why(error)}")
    return values


def _is_list(kind: Any) -> bool:
    return isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.VarTupleType)


def _join(layers: Sequence[tuple[str, Mapping[str, object]]]) -> tuple[dict[str, object], dict[str, str]]:
    values: dict[str, object] = {}
    origins = dict.fromkeys(_KEYS, "default")
    for name, layer in layers:
        for key, value in layer.items():
            values[key] = value
            origins[key] = f"env {ENV_PREFIX}{key.upper().replace('.', '__')}" if name == "env" else name
    return values, origins


def _build(values: Mapping[str, object], origins: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Convert value by value, so that every wrong one is named."""
    good: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    for key, value in values.items():
        section, name = _split(key)
        try:
            good[section][name] = msgspec.convert(value, _KEYS[key].type)
        except msgspec.ValidationError as error:
            problems.append(f"{key} = {value!r} ({origins[key]}): {_why(error)}")
    return {section: kind(**good[section]) for section, kind in SECTIONS.items()}


def _why(error: msgspec.ValidationError) -> str:
    """The reason for people; the patterns in this file are those of addresses and of ages."""
    if "regex" not in str(error):
        return str(error)
    if "blocks)" in str(error):
        return "must read all, an age such as 30d 12h 10m 90s, or 5000 blocks"
    if "{64}:[1-9]" in str(error):
        return "must read name:SHA-256 of the key in hexadecimal:units a second"
    return "must read key@host:port" if "@(" in str(error) else "must read host:port"


def _cross_checks(config: Config) -> list[str]:
    problems = []
    listening = {"p2p.listen": config.p2p.listen, "rpc.listen": config.rpc.listen, "ops.listen": config.ops.listen}
    if config.signer.listen:
        listening["signer.listen"] = config.signer.listen
    for key, address in listening.items():
        if split_address(address)[1] > 65_535:
            problems.append(f"{key} = {address!r}: a port is at most 65535")
    for address in config.p2p.advertise:
        host, port = split_address(address)
        if not 0 < port <= 65_535 or host in {"0.0.0.0", "::"}:  # noqa: S104 - told, not bound
            problems.append(f"p2p.advertise = {address!r}: others cannot dial that")
    if not _is_loopback(split_address(config.ops.listen)[0]):
        problems.append(f"ops.listen = {config.ops.listen!r}: health and metrics are served on loopback only")
    problems += _rpc_checks(config.rpc)
    used: dict[int, str] = {}
    for key, address in listening.items():
        port = split_address(address)[1]
        if port and port in used:
            problems.append(f"{key} and {used[port]} use the same port {port}")
        used[port] = key
    return problems


def _rpc_checks(rpc: RpcSection) -> list[str]:
    problems = []
    for text in rpc.trusted_proxies:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            problems.append(f"rpc.trusted_proxies: {error}")
    if bool(rpc.tls_cert) != bool(rpc.tls_key):
        problems.append("rpc.tls_cert and rpc.tls_key are given together")
    return problems


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(key: str) -> tuple[str, str]:
    section, _, name = key.partition(".")
    return section, name


def _meant(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def toml_text(value: object) -> str:
    """A setting as the file spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return msgspec.json.encode(str(value)).decode()  # a JSON string is a TOML basic string
