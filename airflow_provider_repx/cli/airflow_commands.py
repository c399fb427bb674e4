"""Commands that drive Airflow, and look at how it is set up. Imports nothing heavy."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, lazy_load_command

from airflow_provider_repx.cli.arguments import (
    BASE_PATH,
    CONTINUE_ON_FAILURE,
    DAG_RUN,
    FORCE,
    JOBS,
    LAB,
    OUTPUT,
    RUN,
    YES,
)

__all__ = ["AIRFLOW_COMMANDS"]

_PACKAGE = "airflow_provider_repx.cli"

_RUN = ActionCommand(
    name="run",
    help="Trigger runs, in the order of their dependencies",
    description="Trigger the DAGs of runs. Each SPEC is a run, @GROUP, or the beginning of a job's id, which runs that"
    " job and what it depends on. With --wait, a run is triggered when the runs that it depends on have succeeded, and"
    " the exit code says whether all did (0) or not (1); without, all are triggered at once and wait for each other.",
    func=lazy_load_command(f"{_PACKAGE}.run.run"),
    args=(
        Arg(("spec",), metavar="SPEC", nargs="*", help="A run, @GROUP, or the beginning of a job's id"),
        Arg(
            ("-g", "--group"),
            metavar="GROUP",
            action="append",
            default=[],
            help="Also the runs of this group. Can be given several times",
        ),
        JOBS,
        FORCE,
        CONTINUE_ON_FAILURE,
        Arg(("-w", "--wait"), action="store_true", help="Follow the runs until all have ended"),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Examples:\n"
    "  airflow repx run simulation --wait\n"
    "  airflow repx run --group ml-pipeline --continue-on-failure --wait\n"
    "  airflow repx run simulation --jobs measure --force",
)
_STATUS = ActionCommand(
    name="status",
    help="How far a run is",
    description="The state of a run's latest DAG run, and its jobs by stage and status.",
    func=lazy_load_command(f"{_PACKAGE}.status.status"),
    args=(
        RUN,
        DAG_RUN,
        Arg(
            ("-f", "--follow"),
            action="store_true",
            help="Refresh until the DAG run has ended; the exit code is 1 if it failed",
        ),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Example:\n  airflow repx status simulation --follow",
)
_CANCEL = ActionCommand(
    name="cancel",
    help="End a run's DAG runs and their jobs",
    description="Mark the queued and running DAG runs of a run as failed, which ends their jobs, here and on clusters."
    " With --jobs, mark only the tasks of those jobs. Jobs that are done stay done.",
    func=lazy_load_command(f"{_PACKAGE}.cancel.cancel"),
    args=(
        RUN,
        Arg(
            ("-j", "--jobs"),
            metavar="PATTERN",
            action="append",
            default=[],
            help="Only these jobs: a job id, its beginning, a stage, or a pattern like '*-simulate-*'. Can be given"
            " several times",
        ),
        Arg(("--dag-run",), metavar="DAG_RUN_ID", help="Only this DAG run (default: all queued and running ones)"),
        Arg(("-w", "--wait"), action="store_true", help="Wait until the jobs have ended"),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Examples:\n  airflow repx cancel simulation\n  airflow repx cancel simulation --jobs 4fk2 --wait",
)
_CLEAR = ActionCommand(
    name="clear",
    help="Let Airflow go through a run's DAG run again",
    description="Clear all tasks of a run's latest DAG run, so that Airflow goes through it again: jobs that are done"
    " are reused, the others run. With --downstream, do the same with the latest DAG runs of all runs that depend on"
    " it.",
    func=lazy_load_command(f"{_PACKAGE}.clear.clear"),
    args=(
        RUN,
        DAG_RUN,
        Arg(
            ("-d", "--downstream"),
            action="store_true",
            help="Also the runs that depend on it (hard), directly or through others",
        ),
        Arg(("--dry-run",), action="store_true", help="Only say what would be cleared"),
        YES,
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Example:\n  airflow repx clear preprocess --downstream --yes",
)
_POOLS = ActionCommand(
    name="pools",
    help="Show the pools that the labs' DAGs need, or create them",
    description="Compare the pools that RepX's DAGs ask for with those that exist. The scheduler creates them by"
    " itself; this shows what it would do.",
    func=lazy_load_command(f"{_PACKAGE}.pools.pools"),
    args=(
        Arg(("--apply",), help="Create and resize pools, store what was discovered", action="store_true"),
        Arg(("--discover",), help="Ask each Slurm cluster once what its partitions offer", action="store_true"),
        OUTPUT,
    ),
    epilog="Examples:\n  airflow repx pools --apply\n  airflow repx pools --discover --apply",
)
_DOCTOR = ActionCommand(
    name="doctor",
    help="Check everything that runs need",
    description="Check versions, nix, labs, targets, free space, Slurm, SSH, pools, DAGs and Airflow's own processes."
    " Each line is ok, a warning, or broken, with what to do. The exit code is 1 if something is broken.",
    func=lazy_load_command(f"{_PACKAGE}.doctor.doctor"),
    args=(LAB, BASE_PATH, OUTPUT),
    epilog="Example:\n  airflow repx doctor",
)

AIRFLOW_COMMANDS: tuple[CLICommand, ...] = (_RUN, _STATUS, _CANCEL, _CLEAR, _POOLS, _DOCTOR)
"""In the order in which a person meets them."""
