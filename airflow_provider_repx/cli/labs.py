"""Which lab, target and store a command is about."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_repx.errors import CommandLineError, RepxError, TargetError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.factory.names import airflow_id
from airflow_provider_repx.factory.settings import LabSettings, configured_labs, lab_settings
from airflow_provider_repx.factory.target import target_of
from airflow_provider_repx.hooks.stores import store_of
from airflow_provider_repx.lab import Lab, read_lab
from airflow_provider_repx.targets import ResourceRules, Target

if TYPE_CHECKING:
    from airflow_provider_repx.plan import RunPlan

__all__ = ["ChosenLab", "choose_lab", "known_labs", "lab_option", "labs_with_runs"]


@dataclass(frozen=True)
class ChosenLab:
    """The lab that a command is about; read, and its target worked out, when first asked for."""

    settings: LabSettings

    @property
    def name(self) -> str:
        """The name that it is configured under."""
        return self.settings.name

    @cached_property
    def lab(self) -> Lab:
        """The lab itself; raises `LabError`."""
        return read_lab(self.settings.lab)

    @cached_property
    def target(self) -> Target:
        """Where its jobs run; raises `TargetError`."""
        return target_of(self.settings)

    @cached_property
    def store(self) -> OutputStore:
        """The output store, to be asked how far jobs are, on whatever machine it is; raises `TargetError`."""
        return store_of(self.target)

    @cached_property
    def rules(self) -> ResourceRules:
        """The rules of its resources.toml; raises `TargetError`."""
        return self.settings.plan_options.rules()

    def plan(self, run: str, lab: Lab | None = None) -> RunPlan:
        """The plan that the run's DAG is made from; of another version of the lab where one is given."""
        return self.settings.plan_options.plan(lab or self.lab, run, self.target, self.rules)

    def dag_id(self, run: str) -> str:
        """The id of a run's DAG."""
        return self.settings.dag_id_prefix + airflow_id(run)


def choose_lab(arguments: argparse.Namespace) -> ChosenLab:
    """The lab that `--lab` names, else the one lab that there is; `--base-path` wins over its settings.

    Labs are those of Airflow's configuration, then those whose DAGs Airflow knows. Raises `CommandLineError` where no
    lab is meant or several could be, and `TargetError` where the one that is meant is configured wrongly.
    """
    settings = _settings(arguments.lab)
    base_path = getattr(arguments, "base_path", None)
    if base_path is not None:
        settings = settings.model_copy(update={"base_path": Path(base_path).expanduser().absolute()})
    return ChosenLab(settings)


def lab_option(arguments: argparse.Namespace) -> str:
    """What a command that is printed as advice needs behind it to be about the same lab, quoted for a shell."""
    return "" if arguments.lab is None else f" --lab {shlex.quote(arguments.lab)}"


def labs_with_runs(arguments: argparse.Namespace) -> str:
    """Which other known labs have the runs that a command line names, as a sentence; empty where none has."""
    spec = getattr(arguments, "spec", None)
    named = {getattr(arguments, "run", None), *(spec if isinstance(spec, list) else [spec])} - {None}
    having: list[str] = []
    for name, settings in known_labs().items():
        if name == arguments.lab or isinstance(settings, TargetError):
            continue
        with contextlib.suppress(RepxError, OSError):
            found = sorted(named.intersection(read_lab(settings.lab).run_names))
            if found:
                having.append(f"lab {name} has {' and '.join(found)}: add --lab {shlex.quote(name)}")
    return f"But {'; '.join(having)}." if having else ""


def known_labs() -> Mapping[str, LabSettings | TargetError]:
    """Every lab of Airflow's configuration and of Airflow's database, by name; what is wrong with one in its place."""
    return {**_from_dags(), **_configured()}


def _settings(wanted: str | None) -> LabSettings:
    configured = _configured()
    if wanted is not None and wanted in configured:
        return _valid(configured[wanted])
    if wanted is None and len(configured) == 1:
        return _valid(next(iter(configured.values())))
    known = {**_from_dags(), **configured}
    if wanted is None:
        return _only(known)
    if wanted in known:
        return _valid(known[wanted])
    path = Path(wanted).expanduser()
    if "/" not in wanted and not path.exists():
        raise CommandLineError(
            f"--lab {wanted!r}: no lab of this name is known, and there is no such directory. {_names(known)}"
        )
    return _of_path(path.absolute(), known)


def _of_path(path: Path, known: Mapping[str, LabSettings | TargetError]) -> LabSettings:
    """The known lab at a path; else one with the settings of the `[repx]` section."""
    for settings in known.values():
        if isinstance(settings, LabSettings) and _same(settings.lab, path):
            return settings
    return lab_settings({"lab": path}, where="--lab")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _only(known: Mapping[str, LabSettings | TargetError]) -> LabSettings:
    if len(known) == 1:
        return _valid(next(iter(known.values())))
    if known:
        raise CommandLineError(f"there are several labs: say which with --lab. {_names(known)}")
    raise CommandLineError(
        "no lab is known. Give one with --lab DIRECTORY, or set `lab` in the [repx] section of Airflow's configuration"
        " (environment variable AIRFLOW__REPX__LAB). `airflow repx doctor` says whether DAG files are broken."
    )


def _names(known: Mapping[str, object]) -> str:
    return f"Known labs: {', '.join(sorted(known)) or 'none'}."


def _valid(settings: LabSettings | TargetError) -> LabSettings:
    if isinstance(settings, TargetError):
        raise settings
    return settings


def _configured() -> Mapping[str, LabSettings | TargetError]:
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - Airflow's configuration is read when it is needed

    # Without either option the labs are those of DAG files, which is nothing to complain about.
    if not conf.get("repx", "lab", fallback="") and not conf.get("repx", "labs", fallback=""):
        return {}
    return configured_labs()


def _from_dags() -> Mapping[str, LabSettings]:
    from airflow_provider_repx.cli.catalog import labs_of_dags  # noqa: PLC0415 - needs Airflow's database

    return labs_of_dags()
