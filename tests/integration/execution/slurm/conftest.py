from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.execution.transport import LocalTransport, SshSettings, SshTransport
from tests.integration.execution.slurm.farm import Farm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_repx.execution.transport import Transport
    from tools.cluster import ThrowawaySlurm, ThrowawaySshd


@pytest.fixture
def farm(tmp_path: Path, slurm_cluster: ThrowawaySlurm) -> Iterator[Farm]:
    """The shared cluster from this machine."""
    farm = Farm(tmp_path, slurm_cluster, lambda: local(slurm_cluster))
    yield farm
    farm.close()
    slurm_cluster.cancel_all()


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.ssh)])
def any_farm(request: pytest.FixtureRequest, tmp_path: Path, slurm_cluster: ThrowawaySlurm) -> Iterator[Farm]:
    """The shared cluster from this machine, and over SSH."""
    if request.param == "local":
        farm = Farm(tmp_path, slurm_cluster, lambda: local(slurm_cluster))
    else:
        server: ThrowawaySshd = request.getfixturevalue("sshd")
        farm = Farm(tmp_path, slurm_cluster, lambda: over_ssh(server), is_local=False)
    yield farm
    farm.close()
    slurm_cluster.cancel_all()


def local(slurm: ThrowawaySlurm) -> Transport:
    return LocalTransport(environment=slurm.env)


def over_ssh(server: ThrowawaySshd) -> Transport:
    return SshTransport(
        SshSettings(
            host=server.host,
            port=server.port,
            user=server.user,
            key_file=server.key,
            known_hosts=server.known_hosts,
            config_file=Path("/dev/null"),
            use_agent=False,
        )
    )


@pytest.fixture
def farm_with_accounting(tmp_path: Path, slurm_cluster_with_accounting: ThrowawaySlurm) -> Iterator[Farm]:
    """A cluster with accounting, from this machine."""
    farm = Farm(tmp_path, slurm_cluster_with_accounting, lambda: local(slurm_cluster_with_accounting))
    yield farm
    farm.close()
    slurm_cluster_with_accounting.cancel_all()
