"""A real Airflow for the integration tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.sharing import shared_scope
from tools.airflow_local import AirflowApi, AirflowInstance, DagBundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class AirflowInstanceFactory(Protocol):
    """Makes an Airflow of its own for a test, not started yet."""

    def __call__(
        self, name: str, *, bundles: Sequence[DagBundle] = (), overrides: Mapping[str, str] | None = None
    ) -> AirflowInstance: ...


@dataclass
class _Running:
    """The Airflows of the tests that run now."""

    instances: list[AirflowInstance] = field(default_factory=list)
    shared: AirflowInstance | None = None


_RUNNING = pytest.StashKey[_Running]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stop each Airflow behind the last test that shares it: an idle one keeps a quarter of a core busy."""
    yield
    stash = item.session.stash
    if _RUNNING in stash and (nextitem is None or shared_scope(nextitem.nodeid) != shared_scope(item.nodeid)):
        for instance in stash[_RUNNING].instances:
            instance.stop()
            instance.api.close()
        del stash[_RUNNING]


@pytest.fixture(scope="session")
def airflow_instance_factory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AirflowInstanceFactory:
    """Instances with a fresh home, to be used in a `with`; whatever still runs behind its tests is stopped."""

    def make(
        name: str, *, bundles: Sequence[DagBundle] = (), overrides: Mapping[str, str] | None = None
    ) -> AirflowInstance:
        home = tmp_path_factory.mktemp(f"airflow-{name}")
        instance = AirflowInstance(home, bundles=bundles, overrides=overrides, report=print)
        request.session.stash.setdefault(_RUNNING, _Running()).instances.append(instance)
        return instance

    return make


@pytest.fixture(scope="module")
def airflow_instance(
    request: pytest.FixtureRequest, airflow_instance_factory: AirflowInstanceFactory
) -> AirflowInstance:
    """One running Airflow for all tests of a folder that only add DAG files to its DAG folder."""
    running = request.session.stash.setdefault(_RUNNING, _Running())
    if running.shared is None:
        running.shared = airflow_instance_factory("shared")
        running.shared.start()
    return running.shared


@pytest.fixture(scope="module")
def airflow_api(airflow_instance: AirflowInstance) -> AirflowApi:
    """The REST API of the shared Airflow."""
    return airflow_instance.api
