from __future__ import annotations

import pytest
from pydantic import ValidationError

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.transport import SshSettings, ssh_settings_of_address

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("address", "user", "host", "port"),
    [
        ("cluster", None, "cluster", None),
        ("ada@cluster.example.org", "ada", "cluster.example.org", None),
        ("ada@10.0.0.1:2222", "ada", "10.0.0.1", 2222),
        ("[fe80::1%eth0]:22", None, "fe80::1%eth0", 22),
    ],
)
def test_an_address_is_read(address: str, user: str | None, host: str, port: int | None) -> None:
    settings = ssh_settings_of_address(address)
    assert (settings.user, settings.host, settings.port) == (user, host, port)
    assert settings.destination == address


@pytest.mark.parametrize("address", ["", "a b", "@host", "host:0", "host:70000", "-oProxyCommand=x", "u@-v", "a:b:c"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(TargetError, match="is no SSH destination"):
        ssh_settings_of_address(address)


def test_no_secret_is_shown() -> None:
    secrets = {"password": "hunter2", "passphrase": "sesame", "private_key": "-----BEGIN"}
    settings = SshSettings(host="cluster", **secrets)
    for secret in secrets.values():
        assert secret not in repr(settings)
        assert secret not in str(settings)
        assert secret not in settings.model_dump_json()


def test_equal_settings_are_one_key() -> None:
    first, second = (SshSettings(host="cluster", password="hunter2") for _ in range(2))  # noqa: S106 - made up
    assert {first: 1}[second] == 1


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="host_keys"):
        SshSettings(host="cluster", host_keys="none")  # type: ignore[call-arg]
