"""A lab that Nix built is brought to another base path over SSH, and one of its scripts runs there."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.execution.transport import SshSettings, SshTransport, ship_lab
from airflow_provider_repx.lab import read_lab
from tests.integration.execution.transport.test_ship_lab import Elsewhere
from tests.support.nix import Nix

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.ssh]

EXAMPLE = Path(__file__).parents[4] / "examples/simulation/default.nix"


@pytest.fixture
def built_lab() -> Iterator[Path]:
    if shutil.which("nix") is None:
        pytest.skip("needs the nix command (Debian: apt-get install nix-bin)")
    # Not pytest's own folder: store paths end up in scripts.
    home = Path(tempfile.mkdtemp(prefix="repx-nix-"))
    try:
        yield Nix(home).build("--file", str(EXAMPLE)).path
    finally:
        for folder in [home, *(path for path in home.rglob("*") if path.is_dir() and not path.is_symlink())]:
            folder.chmod(stat.S_IRWXU)
        shutil.rmtree(home)


def test_a_lab_that_nix_built_runs_where_it_was_shipped_to(
    built_lab: Path, ssh_settings: SshSettings, tmp_path: Path
) -> None:
    lab = read_lab(built_lab)
    run = lab.run(lab.run_names[0])
    first = next(job for job in run.jobs.values() if not job.executables["main"].inputs)
    script = first.executables["main"].path
    (tmp_path / "parameters.json").write_text(json.dumps(dict(first.params)))
    (tmp_path / "inputs.json").write_text("{}")

    async def scenario() -> None:
        transport = Elsewhere(SshTransport(ssh_settings), built_lab)
        try:
            shipped = await ship_lab(lab, tmp_path / "base", transport)
            assert shipped.path.is_relative_to(tmp_path / "base")
            assert read_lab(shipped.path).verify() == lab.verify()
            files = [str(tmp_path / name) for name in ("out", "inputs.json", "parameters.json")]
            done = await transport.run([str(shipped.path / script), *files], timeout=120)
            assert done.exit_code == 0, done.stderr
        finally:
            await transport.close()

    asyncio.run(scenario())
    assert list((tmp_path / "out").iterdir())
