from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.execution.transport import LocalTransport, SshSettings, SshTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_repx.execution.transport import Transport
    from tools.cluster import ThrowawaySshd


@pytest.fixture
def ssh_settings(sshd: ThrowawaySshd) -> SshSettings:
    return settings_of(sshd)


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.ssh)])
def new_transport(request: pytest.FixtureRequest) -> Callable[[], Transport]:
    """Makes a transport inside of a test's event loop."""
    if request.param == "local":
        return LocalTransport
    settings = request.getfixturevalue("ssh_settings")
    return lambda: SshTransport(settings)


def settings_of(server: ThrowawaySshd) -> SshSettings:
    return SshSettings(
        host=server.host,
        port=server.port,
        user=server.user,
        key_file=server.key,
        known_hosts=server.known_hosts,
        config_file=Path("/dev/null"),
        use_agent=False,
    )
