"""Airflow's database in a file of its own, with DAGs in it, for commands that are called in this process.

There is no scheduler: tests say what becomes of DAG runs.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
from airflow import settings
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

__all__ = ["AirflowDatabase", "empty_database"]

_BUNDLE = "tests"


def empty_database(file: Path) -> Path:
    """Make the tables."""
    from airflow.utils.db import import_all_models  # noqa: PLC0415 - loads everything

    import_all_models()
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    Base.metadata.create_all(engine)
    engine.dispose()
    return file


@dataclass(frozen=True)
class AirflowDatabase:
    """What commands find as Airflow's database."""

    folder: Path

    @classmethod
    def use(cls, template: Path, folder: Path, patch: pytest.MonkeyPatch) -> AirflowDatabase:
        """Put a copy of an empty database in the place of Airflow's."""
        file = folder / "airflow.db"
        shutil.copy(template, file)
        engine = create_engine(f"sqlite:///{file}", poolclass=NullPool, connect_args={"timeout": 20})
        patch.setattr(settings, "engine", engine)
        patch.setattr(settings, "NonScopedSession", sessionmaker(engine, autoflush=False, expire_on_commit=False))
        patch.setattr(settings, "Session", scoped_session(settings.NonScopedSession))
        return cls(folder)

    def add_dags(self, source: str) -> None:
        """Read a DAG file as the DAG processor does."""
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: PLC0415 - loads everything

        file = self.folder / "dags" / "dags.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(source))
        bag = DagBag(file, bundle_path=file.parent, bundle_name=_BUNDLE)
        assert not bag.import_errors
        with create_session() as session:
            if session.get(DagBundleModel, _BUNDLE) is None:
                session.add(DagBundleModel(name=_BUNDLE))
        sync_bag_to_db(bag, _BUNDLE, None)

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """As by the switch in the web interface."""
        with create_session() as session:
            session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=paused))

    def runs(self, dag_id: str) -> Mapping[str, str]:
        """The states of a DAG's DAG runs by their ids."""
        with create_session() as session:
            found = session.execute(
                select(DagRun.run_id, DagRun.state).where(DagRun.dag_id == dag_id).order_by(DagRun.id)
            )
            return {run_id: str(state) for run_id, state in found}

    def set_run(self, dag_id: str, state: str) -> None:
        """What the scheduler says about the latest DAG run of a DAG."""
        run_id = list(self.runs(dag_id))[-1]
        now = datetime.now(timezone.utc)
        values: dict[str, object] = {"state": state, "start_date": now}
        if state in ("success", "failed"):
            values["end_date"] = now
        with create_session() as session:
            session.execute(update(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).values(values))

    def tasks(self, dag_id: str) -> Mapping[tuple[str, int], str | None]:
        """The states of all task instances of a DAG, by task and map index."""
        with create_session() as session:
            rows = session.execute(
                select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state).where(
                    TaskInstance.dag_id == dag_id
                )
            )
            return {(task, index): None if state is None else str(state) for task, index, state in rows}

    def set_tasks(self, dag_id: str, state: str, task_id: str | None = None, map_index: int | None = None) -> None:
        """What became of task instances."""
        change = update(TaskInstance).where(TaskInstance.dag_id == dag_id)
        if task_id is not None:
            change = change.where(TaskInstance.task_id == task_id)
        if map_index is not None:
            change = change.where(TaskInstance.map_index == map_index)
        with create_session() as session:
            session.execute(change.values(state=state))


Step = Callable[[], None]
"""What happens in the world while a command waits."""
