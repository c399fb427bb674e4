from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.execution.store.remote import RemoteOutputStore
from airflow_provider_repx.execution.transport import LocalTransport
from airflow_provider_repx.hooks.reaching import connector, ssh_settings
from airflow_provider_repx.hooks.stores import store_of
from airflow_provider_repx.targets import Target

pytestmark = pytest.mark.unit


def connection(**fields: Any) -> Connection:
    extra = fields.pop("extra", {})
    given = {"conn_id": "login", "conn_type": "ssh", "host": "hpc", **fields}
    return Connection(**given, extra=json.dumps(extra))


def test_the_words_of_airflows_ssh_provider() -> None:
    found = ssh_settings(
        connection(
            port=2222,
            login="me",
            password="secret",  # noqa: S106 - nobody's
            extra={
                "key_file": "/keys/id",
                "private_key_passphrase": "open sesame",
                "host_key": "ssh-ed25519 AAAA comment",
                "known_hosts": "/keys/known",
                "look_for_keys": "false",
                "conn_timeout": "7",
            },
        )
    )
    assert (found.host, found.port, found.user) == ("hpc", 2222, "me")
    assert (found.key_file, found.known_hosts) == (Path("/keys/id"), Path("/keys/known"))
    assert found.host_key == "ssh-ed25519 AAAA"
    assert (found.use_agent, found.connect_timeout, found.verify_host_key) == (False, 7, True)
    assert found.password is not None
    assert found.passphrase is not None
    assert (found.password.get_secret_value(), found.passphrase.get_secret_value()) == ("secret", "open sesame")
    assert "secret" not in repr(found)


def test_host_keys_are_checked_unless_the_connection_says_otherwise() -> None:
    assert ssh_settings(connection()).verify_host_key
    assert not ssh_settings(connection(extra={"no_host_key_check": "true"})).verify_host_key
    assert ssh_settings(connection(extra={"host_key": "AAAA"})).host_key == "ssh-rsa AAAA"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"conn_type": "http"}, "must be of type 'ssh'"),
        ({"host": None}, "host: is not set"),
        ({"extra": {"key_file": "/k", "private_key": "-----BEGIN"}}, "key_file and private_key are both set"),
        ({"extra": {"conn_timeout": "soon"}}, "connect_timeout"),
    ],
)
def test_what_is_wrong_is_told_by_field_and_without_the_value(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(TargetError, match=f"^connection 'login': .*{told}") as caught:
        ssh_settings(connection(**fields))
    assert "BEGIN" not in str(caught.value)


def target(**fields: Any) -> Target:
    return Target(name="cluster", base_path="/srv", scheduler="slurm", **fields)


def test_ways_to_machines_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps({"conn_type": "ssh", "host": "hpc"}))
    keys = {
        connector(found).key
        for found in (target(), target(address="me@hpc"), target(ssh_connection="login"), target(address="hpc"))
    }
    assert len(keys) == 4
    before = connector(target(ssh_connection="login"))
    assert connector(target(ssh_connection="login")).key == before.key
    monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps({"conn_type": "ssh", "host": "hpc", "password": "changed"}))
    changed = connector(target(ssh_connection="login"))
    assert (changed.name, changed.key == before.key) == (before.name, False)
    assert "changed" not in changed.key
    assert isinstance(connector(target()).open(), LocalTransport)
    assert connector(target(address="me@hpc")).open().description == "me@hpc"
    with pytest.raises(TargetError, match="connection 'nowhere': there is none"):
        connector(target(ssh_connection="nowhere"))


def test_a_store_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(store_of(target()), RemoteOutputStore)
    assert isinstance(store_of(target(address="hpc")), RemoteOutputStore)
