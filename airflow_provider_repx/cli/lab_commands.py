"""Commands that look at labs, jobs and results. Imports nothing heavy."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_provider_repx.cli.arguments import (
    BASE_PATH,
    FORCE,
    JOB_OR_PART,
    JOBS,
    LAB,
    OUTPUT,
    OUTPUT_CSV,
    OUTPUT_JSON_FIRST,
    RUN,
    positive,
)

__all__ = ["LAB_COMMANDS"]

_PACKAGE = "airflow_provider_repx.cli"

_INIT = ActionCommand(
    name="init",
    help="Write a new lab and its DAG file",
    description="Write a small working lab in Nix, with a copy of repx-lib beside it, and a DAG file. Works offline.",
    func=lazy_load_command(f"{_PACKAGE}.init.init"),
    args=(
        Arg(("directory",), help="Where to write; must not exist, or be empty", metavar="DIR"),
        Arg(("--name",), help="What the lab is called (default: the directory's name)"),
    ),
    epilog="Example:\n  airflow repx init ~/labs/first",
)
_RESULTS = ActionCommand(
    name="results",
    help="Show a run's jobs with parameters, status and outputs",
    description="One row per job: parameters (own and upstream), status, output paths.",
    func=lazy_load_command(f"{_PACKAGE}.results.results"),
    args=(RUN, LAB, BASE_PATH, OUTPUT_CSV),
    epilog="Example:\n  airflow repx results simulation --output csv > results.csv",
)
_LIST_RUNS = ActionCommand(
    name="runs",
    help="The runs of a lab, and how far they are",
    description="One row per run, upstream runs first: its groups, the runs it depends on, and its jobs by status.",
    func=lazy_load_command(f"{_PACKAGE}.list_runs.list_runs"),
    args=(LAB, BASE_PATH, OUTPUT),
    epilog="Example:\n  airflow repx list runs --lab ising",
)
_LIST_JOBS = ActionCommand(
    name="jobs",
    help="The jobs of a lab, of a run or of a group",
    description="One row per job. Status is that of the output store: succeeded, failed, running, or pending.",
    func=lazy_load_command(f"{_PACKAGE}.list_jobs.list_jobs"),
    args=(
        Arg(
            ("spec",),
            metavar="SPEC",
            nargs="?",
            help="A run, @GROUP, the beginning of a run's name or of a job's id (default: all runs)",
        ),
        Arg(("-s", "--stage"), metavar="TEXT", help="Only stages whose name contains this"),
        Arg(
            ("--status",),
            action="append",
            default=[],
            choices=("succeeded", "failed", "running", "pending"),
            help="Only jobs of this status. Can be given several times",
        ),
        Arg(
            ("-p", "--param"),
            metavar="NAME",
            action="append",
            default=[],
            help="Also show this parameter, the job's own or that of a job upstream. Can be given several times",
        ),
        Arg(("-g", "--group-by-stage"), action="store_true", help="One section per stage, with its jobs by status"),
        Arg(("--output-paths",), action="store_true", help="Also show where each output is"),
        Arg(
            ("--parts",),
            action="store_true",
            help="Also a row for each part of scatter-gather jobs, named ID/PART as other commands take it",
        ),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Examples:\n"
    "  airflow repx list jobs simulation --status failed\n"
    "  airflow repx list jobs @reporting -s plot -p seed --output-paths\n"
    "  airflow repx list jobs --output json",
)
_LIST_GROUPS = ActionCommand(
    name="groups",
    help="The groups of a lab and their runs",
    description="One row per group. A group selects runs: `airflow repx run @GROUP`.",
    func=lazy_load_command(f"{_PACKAGE}.list_groups.list_groups"),
    args=(LAB, BASE_PATH, OUTPUT),
    epilog="Example:\n  airflow repx list groups",
)
_LIST_DEPS = ActionCommand(
    name="deps",
    help="Which runs depend on which",
    description="One row per dependency between runs: hard ones are waited for, soft ones only recorded.",
    func=lazy_load_command(f"{_PACKAGE}.list_deps.list_deps"),
    args=(LAB, BASE_PATH, OUTPUT),
    epilog="Example:\n  airflow repx list deps",
)
_LIST = GroupCommand(
    name="list",
    help="List runs, jobs, groups or dependencies of a lab",
    description="List what is in a lab.",
    subcommands=(_LIST_RUNS, _LIST_JOBS, _LIST_GROUPS, _LIST_DEPS),
)
_SHOW_JOB = ActionCommand(
    name="job",
    help="Everything about one job",
    description="A job's parameters, inputs, outputs, resources, status, last attempt, and where its logs are.",
    func=lazy_load_command(f"{_PACKAGE}.show_job.show_job"),
    args=(JOB_OR_PART, LAB, BASE_PATH, OUTPUT),
    epilog="Examples:\n  airflow repx show job 4fk2\n  airflow repx show job 4fk2/branch-3/step-fit",
)
_SHOW_OUTPUT = ActionCommand(
    name="output",
    help="List a job's files, or print one",
    description="Without PATH, list the files in a job's folder of results; with it, print that file.",
    func=lazy_load_command(f"{_PACKAGE}.show_output.show_output"),
    args=(
        JOB_OR_PART,
        Arg(("path",), metavar="PATH", nargs="?", help="A file or folder in the job's folder of results"),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Examples:\n  airflow repx show output 4fk2\n  airflow repx show output 4fk2 measurement.json",
)
_SHOW = GroupCommand(
    name="show",
    help="Show a job or its results",
    description="Show one job, or what it has written.",
    subcommands=(_SHOW_JOB, _SHOW_OUTPUT),
)
_LOG = ActionCommand(
    name="log",
    help="The end of a job's log",
    description="Print the last lines of what a job wrote to standard output, or to standard error. Logs hold all"
    " attempts, one after the other.",
    func=lazy_load_command(f"{_PACKAGE}.log.log"),
    args=(
        JOB_OR_PART,
        Arg(("-n", "--lines"), metavar="N", type=positive, default=50, help="How many lines (default: 50)"),
        Arg(("--stdout",), action="store_true", help="Standard output (the default)"),
        Arg(("--stderr",), action="store_true", help="Standard error, which also shows each command of the script"),
        Arg(("-f", "--follow"), action="store_true", help="Go on printing until the job has ended"),
        LAB,
        BASE_PATH,
        OUTPUT,
    ),
    epilog="Examples:\n"
    "  airflow repx log 4fk2 --stderr -n 100\n"
    "  airflow repx log 4fk2 --follow\n"
    "  airflow repx log 4fk2/branch-3/step-fit",
)
_TRACE_PARAMS = ActionCommand(
    name="trace-params",
    help="The parameters that shaped each job",
    description="The effective parameters of jobs: their own, and those of everything upstream; own ones win.",
    func=lazy_load_command(f"{_PACKAGE}.trace_params.trace_params"),
    args=(
        Arg(
            ("spec",),
            metavar="SPEC",
            nargs="?",
            help="A job's id or its beginning, a run, or @GROUP (default: all runs)",
        ),
        LAB,
        BASE_PATH,
        OUTPUT_JSON_FIRST,
    ),
    epilog="Example:\n  airflow repx trace-params 4fk2",
)
_PLAN = ActionCommand(
    name="plan",
    help="What running a run would do",
    description="A dry run: tasks and how points are packed into them, pools and slots, what is done already and would"
    " be reused, and on Slurm the job arrays. Asks the output store, and neither Airflow nor Slurm.",
    func=lazy_load_command(f"{_PACKAGE}.plan.plan"),
    args=(RUN, JOBS, FORCE, LAB, BASE_PATH, OUTPUT),
    epilog="Examples:\n  airflow repx plan simulation\n  airflow repx plan simulation --jobs measure --force",
)
_DEBUG_RUN = ActionCommand(
    name="debug-run",
    help="A shell where a job's script can be run by hand",
    description="Open a shell in a scratch folder, with the job's inputs and parameters in place, the environment that"
    " the job gets, and the command `run-job`. The output store is not changed. Where jobs run on another machine, the"
    " shell is one there, over SSH.",
    func=lazy_load_command(f"{_PACKAGE}.debug_run.debug_run"),
    args=(
        JOB_OR_PART,
        Arg(
            ("--directory",),
            metavar="DIR",
            help="Scratch folder where the job runs, new or empty, kept afterwards (default: a new one, removed)",
        ),
        Arg(("-c", "--command"), metavar="TEXT", help="Run this line of bash instead of an interactive shell"),
        LAB,
        BASE_PATH,
    ),
    epilog="Examples:\n"
    "  airflow repx debug-run 4fk2\n"
    "  airflow repx debug-run 4fk2 -c run-job\n"
    "  airflow repx debug-run 4fk2/branch-3/step-fit --directory ~/fit",
)

LAB_COMMANDS: tuple[CLICommand, ...] = (
    _INIT,
    _LIST,
    _SHOW,
    _LOG,
    _RESULTS,
    _TRACE_PARAMS,
    _PLAN,
    _DEBUG_RUN,
)
"""In the order in which a person meets them."""
