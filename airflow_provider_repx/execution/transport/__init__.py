"""Reaching a target: commands and files, on this machine or over SSH."""

from typing import TYPE_CHECKING, Any

from airflow_provider_repx.execution.transport.failures import storage_error
from airflow_provider_repx.execution.transport.lab_shipping import ShippedLab, ShippingProgress, ship_lab
from airflow_provider_repx.execution.transport.local import LocalTransport
from airflow_provider_repx.execution.transport.protocol import Completed, Transport
from airflow_provider_repx.execution.transport.ssh_settings import SshSettings, ssh_settings_of_address

if TYPE_CHECKING:
    from airflow_provider_repx.execution.transport.ssh import SshTransport

__all__ = [
    "Completed",
    "LocalTransport",
    "ShippedLab",
    "ShippingProgress",
    "SshSettings",
    "SshTransport",
    "Transport",
    "ship_lab",
    "ssh_settings_of_address",
    "storage_error",
]


def __getattr__(name: str) -> Any:
    # The SSH library takes half a second to load, which reading a DAG file should not pay.
    if name == "SshTransport":
        from airflow_provider_repx.execution.transport.ssh import SshTransport  # noqa: PLC0415 - see above

        return SshTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
