"""Options that several commands of `airflow repx` share."""

from __future__ import annotations

from airflow.cli.cli_config import Arg, positive_int

__all__ = [
    "BASE_PATH",
    "CONTINUE_ON_FAILURE",
    "DAG_RUN",
    "FORCE",
    "JOBS",
    "JOB_OR_PART",
    "LAB",
    "OUTPUT",
    "OUTPUT_CSV",
    "OUTPUT_JSON_FIRST",
    "RUN",
    "YES",
    "positive",
]

positive = positive_int(allow_zero=False)

LAB = Arg(
    ("-l", "--lab"),
    metavar="LAB",
    help="Name of a configured lab, or a lab's directory or out link (default: the one lab that there is)",
)
BASE_PATH = Arg(
    ("--base-path",),
    metavar="DIR",
    help="Base path of the target, which holds the output store (default: configured)",
)
OUTPUT = Arg(("-o", "--output"), help="table for people, json for programs", choices=("table", "json"), default="table")
OUTPUT_CSV = Arg(
    ("-o", "--output"),
    help="table for people; csv and json for programs",
    choices=("table", "csv", "json"),
    default="table",
)
OUTPUT_JSON_FIRST = Arg(
    ("-o", "--output"), help="json as RepX prints it, or a table", choices=("json", "table"), default="json"
)
RUN = Arg(("run",), metavar="RUN", help="Name of a run of the lab")
JOB_OR_PART = Arg(
    ("job",),
    metavar="ID",
    help="A job's id, or its beginning where only one job's id begins so. Of a scatter-gather job it stands for gather;"
    " ID/scatter and ID/branch-3/step-fit are other parts",
)
JOBS = Arg(
    ("-j", "--jobs"),
    metavar="PATTERN",
    action="append",
    default=[],
    help="Only these jobs and what they depend on: a job id, its beginning, a stage, or a pattern like '*-simulate-*'."
    " Can be given several times",
)
DAG_RUN = Arg(("--dag-run",), metavar="DAG_RUN_ID", help="Which DAG run of the run's DAG (default: the latest)")
FORCE = Arg(("-f", "--force"), action="store_true", help="Run jobs again that are done already")
CONTINUE_ON_FAILURE = Arg(
    ("--continue-on-failure",),
    action="store_true",
    help="When a job fails, go on with those that do not depend on it (default: start no further jobs)",
)
YES = Arg(("-y", "--yes"), action="store_true", help="Do not ask")
