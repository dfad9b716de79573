"""What an assembly has to tell its parts when they are started, wherever they run."""

from __future__ import annotations

from pathlib import PurePath

from payresil.core.protocols import Assembly
from payresil.core.topology import Node

#: The PSP tries a webhook again after these seconds. A run is short: the last one repeats.
_WEBHOOK_DELAYS_S = "0.2,0.5,1,2"


def psp_options(assembly: Assembly, webhook_ca: PurePath) -> tuple[str, ...]:
    """Options of the stub PSP, but for where it serves and keeps its data."""
    return (
        *("--seed", str(assembly.seed)),
        *("--reference-field", assembly.system.reference_field),
        f"--reference-prefix={assembly.run}-",
        *(("--epoch-header", assembly.system.epoch_header) if assembly.system.epoch_header else ()),
        *("--webhook-ca", str(webhook_ca), "--webhook-delays", _WEBHOOK_DELAYS_S),
    )


def instance_values(assembly: Assembly, node: Node) -> dict[str, str]:
    """What the templates of the system file may name, but for addresses and folders."""
    secrets = assembly.secrets
    return {
        "psp_api_key": secrets.psp_api_key,
        "webhook_secret": secrets.webhook_secret,
        "api_token": secrets.api_token,
        "admin_token": secrets.admin_token,
        "node": str(node),
        "region": node.region or "",
    }
