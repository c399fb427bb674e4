from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_repx.execution.transport.lab_contents import read_contents
from airflow_provider_repx.execution.transport.lab_requirements import requirements
from airflow_provider_repx.lab import read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
BASH = f"/nix/store/{HASH}-bash-5.2"


def needed(tmp_path: Path, script: str) -> set[str]:
    lab = write_lab(tmp_path / "lab", [RunSpec("sim", [JobSpec(job_id("a-1.1"))])])
    [file] = lab.glob("jobs/*/bin/main")
    file.write_text(script)
    write_manifest(lab)
    return {one.name for one in requirements(read_contents(read_lab(lab)))}


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("#!/bin/bash\n", {"/bin/bash"}),
        ("#! /bin/sh -eu\n", {"/bin/sh"}),
        ("#!/usr/bin/env bash\n", {"/usr/bin/env", "bash"}),
        ("#!/usr/bin/env -S A=b python3 -u\n", {"/usr/bin/env", "python3"}),
        (
            f"#!/nix/store/{HASH}-bash-5.2/bin/bash\n",
            {f"/nix/store/{HASH}-bash-5.2/bin/bash", f"/nix/store/{HASH}-bash-5.2"},
        ),
        (
            f'#!/bin/sh\nPATH="/a/b/{HASH}-jq-1.7/bin:$PATH"; cat /c/{HASH}-x.py\n',
            {"/bin/sh", f"/a/b/{HASH}-jq-1.7", f"/c/{HASH}-x.py"},
        ),
        (f"#!/bin/sh\nPATH=/nix/store/{HASH}-host-jq/bin\n", {"/bin/sh"}),
        ("\x7fELF no script", set()),
    ],
)
def test_what_a_script_needs(tmp_path: Path, script: str, names: set[str]) -> None:
    assert needed(tmp_path, script) == names
