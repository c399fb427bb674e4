"""A real Airflow for the integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tools.airflow_local import AirflowApi, AirflowInstance, DagBundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class AirflowInstanceFactory(Protocol):
    """Makes an Airflow of its own for a test, not started yet."""

    def __call__(
        self, name: str, *, bundles: Sequence[DagBundle] = (), overrides: Mapping[str, str] | None = None
    ) -> AirflowInstance: ...


@pytest.fixture(scope="session")
def airflow_instance_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstanceFactory]:
    """Instances with a fresh home, to be used in a `with`; whatever still runs at the end is stopped."""
    made: list[AirflowInstance] = []

    def make(
        name: str, *, bundles: Sequence[DagBundle] = (), overrides: Mapping[str, str] | None = None
    ) -> AirflowInstance:
        home = tmp_path_factory.mktemp(f"airflow-{name}")
        instance = AirflowInstance(home, bundles=bundles, overrides=overrides, report=print)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.stop()
        instance.api.close()


@pytest.fixture(scope="session")
def airflow_instance(airflow_instance_factory: AirflowInstanceFactory) -> AirflowInstance:
    """One running Airflow for all tests that only add DAG files to its DAG folder."""
    instance = airflow_instance_factory("shared")
    instance.start()
    return instance


@pytest.fixture(scope="session")
def airflow_api(airflow_instance: AirflowInstance) -> AirflowApi:
    """The REST API of the shared Airflow."""
    return airflow_instance.api
