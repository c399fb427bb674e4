"""The commands below `airflow repx`, for Airflow's command line parser. Imports nothing heavy."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

__all__ = ["get_cli_commands"]

_LAB = Arg(("--lab",), help="Lab directory or out link (default: the configured lab)")
_LAB_NAME = Arg(("--lab-name",), help="Which of several configured labs, by name")
_BASE_PATH = Arg(("--base-path",), help="Base path of the target, which holds the output store (default: configured)")
_OUTPUT = Arg(
    ("-o", "--output"),
    help="table for people; csv and json for programs",
    choices=("table", "csv", "json"),
    default="table",
)

_INIT = ActionCommand(
    name="init",
    help="Write a new lab and its DAG file",
    description="Write a small working lab in Nix, with a copy of repx-lib beside it, and a DAG file. Works offline.",
    func=lazy_load_command("airflow_provider_repx.cli.init.init"),
    args=(
        Arg(("directory",), help="Where to write; must not exist, or be empty", metavar="DIR"),
        Arg(("--name",), help="What the lab is called (default: the directory's name)"),
    ),
)
_RESULTS = ActionCommand(
    name="results",
    help="Show a run's jobs with parameters, status and outputs",
    description="One row per job: parameters (own and upstream), status, output paths.",
    func=lazy_load_command("airflow_provider_repx.cli.results.results"),
    args=(Arg(("run",), help="Name of the run", metavar="RUN"), _LAB, _LAB_NAME, _BASE_PATH, _OUTPUT),
)
_POOLS = ActionCommand(
    name="pools",
    help="Show the pools that the labs' DAGs need, or create them",
    description="Compare the pools that RepX's DAGs ask for with those that exist. The scheduler creates them by"
    " itself; this shows what it would do.",
    func=lazy_load_command("airflow_provider_repx.cli.pools.pools"),
    args=(Arg(("--apply",), help="Create and resize pools", action="store_true"),),
)


def get_cli_commands() -> list[CLICommand]:
    """What this provider adds to Airflow's command line."""
    return [
        GroupCommand(
            name="repx",
            help="Run RepX labs",
            description="RepX labs: create one, look at its results, manage its pools.",
            subcommands=(_INIT, _RESULTS, _POOLS),
        )
    ]
