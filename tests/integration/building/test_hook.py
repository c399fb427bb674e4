"""The hook as a DAG author uses it in a task of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from airflow_provider_repx.building import FlakeSource, Nix
from airflow_provider_repx.hooks.nix import NixHook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


def test_build_eval_and_path_info_without_a_connection(nix: Nix, flake: FlakeFolder, tmp_path: Path) -> None:
    directory = flake.write(default='shell "lab" "echo working; echo content > $out"', value="{ jobs = 3; }")
    hook = NixHook(private_store=str(nix.private_store), max_jobs=1)
    with capture_logs() as logged:
        result = hook.build(directory, out_link=str(tmp_path / "result"))
    assert (tmp_path / "result").read_text() == "content\n"
    assert [entry["event"] for entry in logged][:3] == ["building 1/1 lab", "lab> working", "built 1 derivation"]
    assert hook.eval(FlakeSource(directory, "value")) == {"jobs": 3}
    assert hook.path_info(str(result.out_path)).deriver == result.drv_path
    assert hook.get_conn().version == nix.version
    hook.add_root(result.out_path, tmp_path / "second")
    assert (tmp_path / "second").readlink() == result.out_path
