"""Throwaway Slurm clusters, SSH servers and users as fixtures.

The shared ones live as long as the test session; a test that needs another configuration, or breaks things for good,
makes its own with a factory. Where a machine lacks what they need, tests are skipped with the reason.

"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest

from tools.cluster import (
    SlurmOptions,
    SshdOptions,
    ThrowawaySlurm,
    ThrowawaySshd,
    ThrowawayUser,
    remove_leftovers,
    why_no_slurm,
    why_no_sshd,
    why_no_users,
)

__all__ = [
    "SlurmClusterFactory",
    "SlurmTestCluster",
    "SshServerFactory",
    "UserFactory",
    "cluster_leftovers",
    "second_user",
    "slurm_cluster",
    "slurm_cluster_factory",
    "slurm_cluster_with_accounting",
    "sshd",
    "sshd_factory",
    "user_factory",
]

SlurmTestCluster = ThrowawaySlurm


class SlurmClusterFactory(Protocol):
    """Starts a cluster of its own for a test; it is stopped when the test ends."""

    def __call__(
        self,
        *,
        accounting: bool = False,
        cgroup: bool = False,
        min_job_age: int = 300,
        max_array_size: int = 10001,
        kill_wait: int = 2,
        extra: tuple[str, ...] = (),
    ) -> ThrowawaySlurm: ...


class SshServerFactory(Protocol):
    """Starts a server of its own for a test; it is stopped when the test ends."""

    def __call__(self, options: SshdOptions | None = None) -> ThrowawaySshd: ...


class UserFactory(Protocol):
    """Makes a user of this machine for a test; it is removed when the test ends."""

    def __call__(self, *, shell: str = "/bin/bash", groups: tuple[str, ...] = ()) -> ThrowawayUser: ...


@pytest.fixture(scope="session")
def cluster_leftovers() -> None:
    """What earlier sessions left that were killed is gone."""
    remove_leftovers()


def _slurm(options: SlurmOptions) -> ThrowawaySlurm:
    if reason := why_no_slurm(options):
        pytest.skip(f"Slurm {reason}")
    return ThrowawaySlurm(options)


@pytest.fixture(scope="session")
def slurm_cluster(cluster_leftovers: None) -> Iterator[ThrowawaySlurm]:
    """The cluster that tests share: whoever kills a daemon starts it again, whoever submits jobs cancels the rest."""
    with _slurm(SlurmOptions()) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_cluster_with_accounting(cluster_leftovers: None) -> Iterator[ThrowawaySlurm]:
    """Like `slurm_cluster`, with accounting."""
    with _slurm(SlurmOptions(accounting=True)) as cluster:
        yield cluster


@pytest.fixture
def slurm_cluster_factory(cluster_leftovers: None) -> Iterator[SlurmClusterFactory]:
    """Clusters of a test's own."""
    made: list[ThrowawaySlurm] = []

    def make(
        *,
        accounting: bool = False,
        cgroup: bool = False,
        min_job_age: int = 300,
        max_array_size: int = 10001,
        kill_wait: int = 2,
        extra: tuple[str, ...] = (),
    ) -> ThrowawaySlurm:
        cluster = _slurm(SlurmOptions(accounting, cgroup, min_job_age, max_array_size, kill_wait, extra))
        made.append(cluster)
        return cluster.start()

    yield make
    for cluster in made:
        cluster.stop()


def _server(options: SshdOptions | None) -> ThrowawaySshd:
    if reason := why_no_sshd():
        pytest.skip(f"sshd {reason}")
    return ThrowawaySshd(options)


@pytest.fixture(scope="session")
def sshd(request: pytest.FixtureRequest, cluster_leftovers: None) -> Iterator[ThrowawaySshd]:
    """The SSH server that tests share; its sessions see the shared cluster where there is one."""
    environment = {}
    if why_no_slurm() is None:
        environment = dict(request.getfixturevalue("slurm_cluster").env)
    with _server(SshdOptions(environment=environment)) as server:
        yield server


@pytest.fixture
def sshd_factory(cluster_leftovers: None) -> Iterator[SshServerFactory]:
    """Servers of a test's own."""
    made: list[ThrowawaySshd] = []

    def make(options: SshdOptions | None = None) -> ThrowawaySshd:
        server = _server(options)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def user_factory(cluster_leftovers: None) -> Iterator[UserFactory]:
    """Users of a test's own."""
    made: list[ThrowawayUser] = []

    def make(*, shell: str = "/bin/bash", groups: tuple[str, ...] = ()) -> ThrowawayUser:
        if reason := why_no_users():
            pytest.skip(f"a second user {reason}")
        made.append(ThrowawayUser(shell=shell, groups=groups))
        return made[-1]

    yield make
    for user in made:
        user.remove()


@pytest.fixture
def second_user(user_factory: UserFactory) -> ThrowawayUser:
    """A colleague."""
    return user_factory()
