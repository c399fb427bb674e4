"""`airflow repx doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from airflow_provider_repx.cli.checks.finding import Finding, broken, warning
from airflow_provider_repx.cli.checks.labs import check_lab, check_target
from airflow_provider_repx.cli.checks.machine import check_nix, check_versions
from airflow_provider_repx.cli.errors import command
from airflow_provider_repx.cli.labs import ChosenLab, choose_lab, known_labs
from airflow_provider_repx.cli.tables import print_json, print_table
from airflow_provider_repx.errors import RepxError, TargetError

__all__ = ["doctor"]


@command
def doctor(arguments: argparse.Namespace) -> int:
    """Print what is well and what is not."""
    findings = list(_findings(arguments))
    if arguments.output == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        print_table([["state", "subject", "what"], *([found.level, found.subject, found.text] for found in findings)])
    return 1 if any(found.level == "broken" for found in findings) else 0


def _findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    yield from check_versions()
    yield from check_nix()
    labs: list[ChosenLab] = []
    for item in _labs(arguments):
        if isinstance(item, Finding):
            yield item
        else:
            found = [*check_lab(item), *check_target(item)]
            yield from found
            if all(finding.level != "broken" for finding in found):
                labs.append(item)
    yield from _of_airflow(labs)


def _labs(arguments: argparse.Namespace) -> Iterator[ChosenLab | Finding]:
    """The lab that is named, else all; what is wrong with the settings of one in its place."""
    if arguments.lab is not None:
        yield choose_lab(arguments)
        return
    try:
        known = known_labs()
    except TargetError as error:
        yield broken("labs", str(error))
        return
    for name, settings in known.items():
        yield broken(f"lab {name}", str(settings)) if isinstance(settings, TargetError) else ChosenLab(settings)
    if not known:
        yield warning(
            "labs",
            "none is configured, and Airflow knows no DAG of one. Make one with `airflow repx init DIR`, or set `lab`"
            " in the [repx] section of Airflow's configuration (AIRFLOW__REPX__LAB), and `base_path` for its results"
            " (AIRFLOW__REPX__BASE_PATH)",
        )


def _of_airflow(labs: list[ChosenLab]) -> Iterator[Finding]:
    from airflow.models.dag import DagModel  # noqa: PLC0415 - loads all of Airflow's database code
    from airflow.utils.session import create_session  # noqa: PLC0415 - see above
    from sqlalchemy import select  # noqa: PLC0415 - see above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - see above

    try:
        with create_session() as session:
            session.scalar(select(DagModel.dag_id).limit(1))
    except SQLAlchemyError as error:
        first = str(error).splitlines()[0]
        yield broken("database", f"it is not set up, or cannot be reached: {first}. Run `airflow db migrate`")
        return
    # Loads Airflow's processes, which is not to be paid where there is no database.
    from airflow_provider_repx.cli.checks import airflow as checks  # noqa: PLC0415 - see above
    from airflow_provider_repx.cli.checks.dag_files import check_dag_ids  # noqa: PLC0415 - see above

    groups: list[Iterable[Finding]] = [checks.check_airflow(labs), checks.check_import_errors(), check_dag_ids()]
    groups += [checks.check_dags(chosen) for chosen in labs]
    groups.append(checks.check_pools())
    for group in groups:
        try:
            yield from group
        except (RepxError, SQLAlchemyError) as error:  # noqa: PERF203 - each group has its own outcome
            yield broken("Airflow", str(error).splitlines()[0])
