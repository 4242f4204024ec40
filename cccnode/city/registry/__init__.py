"""Registry: organisations, validators, nodes, and the epoch record; filled by genesis (D9, J11, J14)."""

from typing import Final

from cccnode.city.registry.genesis import write_genesis
from cccnode.city.registry.queries import NoParams, OrganisationAnswer, registry_nodes, registry_organisations
from cccnode.city.registry.record import RegisteredNode
from cccnode.ledger.module import Module, Query

NUMBER: Final = 3

MODULE: Final = Module(
    number=NUMBER,
    name="registry",
    queries=(
        Query(
            method="registry_organisations",
            params=NoParams,
            result=tuple[OrganisationAnswer, ...],
            answer=registry_organisations,
            en="Every organisation of the network.",
            th="องค์กรทั้งหมดในเครือข่าย",
        ),
        Query(
            method="registry_nodes",
            params=NoParams,
            result=tuple[RegisteredNode, ...],
            answer=registry_nodes,
            en="Every registered node.",
            th="โหนดที่ลงทะเบียนทั้งหมด",
        ),
    ),
    genesis=write_genesis,
)
