"""The commands below `airflow repx`, for Airflow's command line parser. Imports nothing heavy."""

from __future__ import annotations

from airflow.cli.cli_config import CLICommand, GroupCommand

from airflow_provider_repx.cli.airflow_commands import AIRFLOW_COMMANDS
from airflow_provider_repx.cli.lab_commands import LAB_COMMANDS

__all__ = ["get_cli_commands"]


def get_cli_commands() -> list[CLICommand]:
    """What this provider adds to Airflow's command line."""
    return [
        GroupCommand(
            name="repx",
            help="Run RepX labs",
            description="RepX labs: create one, look at it, run it, see how far it is, check that all is well.",
            subcommands=(*LAB_COMMANDS, *AIRFLOW_COMMANDS),
        )
    ]
