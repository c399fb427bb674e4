from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.targets import (
    Capacity,
    default_config_path,
    load_configuration,
    load_targets,
    local_target,
)

pytestmark = pytest.mark.unit

FULL = """
theme = "default"
submission_target = "cluster"
default_scheduler = "local"

[logging]
max_files = 10
max_age_days = 3

[targets.local]
base_path = "~/repx"
default_execution_type = "podman"
[targets.local.local]
execution_types = ["native", "podman"]
local_concurrency = 6

[targets.cluster]
address = "me@cluster"
base_path = "/shared/repx"
node_local_path = "/scratch"
default_scheduler = "slurm"
default_execution_type = "docker"
artifact_store = "node-local"
mount_host_paths = true
mount_paths = ["/data", "/opt/licenses"]
[targets.cluster.slurm]
execution_types = ["bwrap", "native"]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_config(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write_config


def test_a_full_file(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    configuration = load_configuration(write(FULL))
    assert configuration.submission_target == "cluster"
    local = configuration.targets["local"]
    assert (local.name, local.base_path, local.scheduler) == ("local", Path("/home/me/repx"), "local")
    assert local.execution_type == "podman"
    assert local.capacity == Capacity(cpus=6)
    cluster = configuration.targets["cluster"]
    assert (cluster.address, cluster.base_path, cluster.scheduler) == ("me@cluster", Path("/shared/repx"), "slurm")
    assert cluster.execution_type == "bwrap"  # docker is not among those listed
    assert cluster.node_local_path == Path("/scratch")
    assert cluster.mount_host_paths
    assert cluster.mount_paths == (Path("/data"), Path("/opt/licenses"))
    assert cluster.capacity is None


def test_what_holds_without_being_told(write: Callable[[str], Path]) -> None:
    (local,) = load_targets(write('[targets.local]\nbase_path = "/r"')).values()
    assert local.scheduler == "slurm"
    assert local.execution_type == "native"


def test_a_container_that_no_table_lists_is_still_asked_for(write: Callable[[str], Path]) -> None:
    (local,) = load_targets(write('[targets.local]\nbase_path = "/r"\ndefault_execution_type = "docker"')).values()
    assert local.execution_type == "docker"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[targets.local]\nbase_pth = "/r"', r"targets\.local\.base_pth: unknown key\. Did you mean 'base_path'\?"),
        ("[targets.local]", r"targets\.local\.base_path: is required"),
        ('submision_target = "x"', "submision_target: unknown key. Did you mean 'submission_target'"),
        ("qqqqqqq = 1", r"qqqqqqq: unknown key\. Known are: default_scheduler, logging"),
        ("", r"targets\.local: is required"),
        ('[targets.local]\nbase_path = "r"', r"targets\.local\.base_path: r is not absolute"),
        ("[targets.local]\nbase_path = 7", r"targets\.local\.base_path: .*string, but found 7"),
        ('[targets.local]\nbase_path = "/r"\naddress = "x"', r"targets\.local\.address: the target local is this"),
        (
            '[targets.local]\nbase_path = "/r"\n[targets.far]\nbase_path = "/r"',
            r"targets\.far\.address: is required for every target but local",
        ),
        (
            'submission_target = "clstr"\n[targets.local]\nbase_path = "/r"',
            r"submission_target: there is no target 'clstr'\. Known are: local\.",
        ),
        (
            '[targets.local]\nbase_path = "/r"\n[targets.local.local]\nexecution_types = ["native", "vm"]',
            r"targets\.local\.local\.execution_types\.1: .*found 'vm'",
        ),
        (
            '[targets.local]\nbase_path = "/r"\n[targets.local.slurm]\nconcurrency = 1',
            r"targets\.local\.slurm\.concurrency: unknown key\. Did you mean 'local_concurrency'",
        ),
        ('[targets.local]\nbase_path = "/r"\nartifact_store = "node-local"', r"node_local_path: is required with"),
        (
            '[targets.local]\nbase_path = "/r"\n[targets."a b"]\nbase_path = "/r"\naddress = "x"',
            r"targets\.a b: a target's name has",
        ),
        ("[targets", "not valid TOML"),
    ],
)
def test_errors_name_file_and_key(write: Callable[[str], Path], text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(TargetError, match=message) as raised:
        load_targets(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"none\.toml: cannot be read"):
        load_targets(tmp_path / "none.toml")


@given(st.text())
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(TargetError):
        load_targets(path)


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, system = tmp_path / "home", tmp_path / "system"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"{tmp_path / 'other'}:{system}")
    assert default_config_path() == home / "repx/config.toml"
    for folder in (system, home):
        (folder / "repx").mkdir(parents=True)
        (folder / "repx/config.toml").touch()
        assert default_config_path() == folder / "repx/config.toml"


def test_the_local_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    target = local_target("~/store")
    assert (target.name, target.base_path, target.scheduler) == ("local", Path("/home/me/store"), "local")
    assert target.execution_type == "native"
    assert target.capacity is None
