"""`cccnode service`: the unit with which systemd runs a node."""

import sys
from pathlib import Path
from typing import Final

import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.home import disk_fault

UNITS: Final = Path("/etc/systemd/system")
STATE: Final = Path("/var/lib/cccnode")
"""Where the home lies when nobody says otherwise: systemd makes it, for a user that it makes too."""
_DYNAMIC: Final = """\
DynamicUser=yes
User=cccnode
StateDirectory=cccnode
StateDirectoryMode=0700"""
_OWNED: Final = """\
User={user}
ReadWritePaths={home}"""
_UNIT: Final = """\
# One node of a cccnode network.  `cccnode service install` writes this with the paths of this machine.
[Unit]
Description=cccnode, a permissioned ledger node
Documentation=https://www.freedesktop.org/software/systemd/man/systemd.exec.html
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} run --home {home}
{owner}
Environment=PYTHONUNBUFFERED=1
# systemd-creds encrypt - /etc/cccnode/passphrase.cred, then:
# LoadCredentialEncrypted=passphrase:/etc/cccnode/passphrase.cred
# Environment=CCCNODE_KEYS__PASSPHRASE_FILE=%d/passphrase
LimitNOFILE=65536
# A stop flushes what is being written; a start after a wrong setting (78) would only repeat the error.
KillSignal=SIGTERM
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 78

AmbientCapabilities=
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome={protect}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077

[Install]
WantedBy=multi-user.target
"""


@click.group(epilog="Example: cccnode service install")
def service() -> None:
    """The node as a service of systemd: install."""


@service.command(epilog="Example: cccnode service install --home /srv/city --user city")
@click.option("--user", default="", help="Who runs it and owns the home [a user of its own, made by systemd].")
@click.option("--print", "only_print", is_flag=True, help="Show the unit and write nothing.")
@click.option("--unit-dir", type=click.Path(path_type=Path, file_okay=False), help=f"Where it goes [{UNITS}].")
@also_here
@pass_options
def install(options: Options, *, user: str, only_print: bool, unit_dir: Path | None) -> None:
    """As root, write the unit for this program and a home; with --home the owner of that folder is named by --user."""
    home = options.home.root if options.home_path else STATE
    if home != STATE and not user:
        raise click.UsageError(f"--home other than {STATE} needs --user, its owner")
    text = unit_text(Path(sys.argv[0]).absolute(), home, user)
    path = (unit_dir or UNITS) / "cccnode.service"
    if not only_print:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise disk_fault(error, path) from error
    if options.json:
        output.emit_json({"unit": None if only_print else str(path), "text": text})
        return
    if only_print:
        click.echo(text, nl=False)
        return
    click.echo(options.text(f"Written: {path}", f"เขียนแล้ว: {path}"))
    click.echo("systemctl daemon-reload && systemctl enable --now cccnode")


def unit_text(program: Path, home: Path, user: str) -> str:
    """The unit; without a `user` systemd makes one, and the home is its state folder."""
    owner = _OWNED.format(user=user, home=home) if user else _DYNAMIC
    below_home = home.parts[:2] in {("/", "home"), ("/", "root")} or program.parts[:2] in {("/", "home"), ("/", "root")}
    return _UNIT.format(program=program, home=home, owner=owner, protect="no" if below_home else "yes")
