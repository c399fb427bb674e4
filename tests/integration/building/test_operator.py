"""The operator with real builds: as a plain object, under signals as on a worker, and in a DAG run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs

from airflow_provider_repx.errors import (
    CommandKilledError,
    LabError,
    NixBuildError,
    NixError,
    NixEvaluationError,
    NixMissingAttributeError,
    NixNotFoundError,
    NixTimeoutError,
    NixTransientError,
)
from airflow_provider_repx.operators.nix_build import NixBuildOperator
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.nix import LIBRARY

if TYPE_CHECKING:
    from airflow_provider_repx.building import Nix
    from tests.integration.building.conftest import FlakeFolder

pytestmark = pytest.mark.integration


def add_lab(flake: FlakeFolder, name: str, runs: dict[str, int]) -> str:
    """Put a lab into the flake's folder and return the Nix text of a derivation that copies it."""
    specs = [
        RunSpec(run, [JobSpec(job_id(f"{run}-{number}-1.0")) for number in range(jobs)]) for run, jobs in runs.items()
    ]
    write_lab(flake.directory / name, specs)
    return f'shell "{name}" "echo copying; cp -r ${{./{name}}} $out"'


@pytest.fixture
def lab_flake(flake: FlakeFolder) -> str:
    whole = add_lab(flake, "whole", {"simulation": 3, "analysis": 2})
    part = add_lab(flake, "part", {"simulation": 3})
    return flake.write(
        default=f"{whole} // {{ runs.simulation = {part}; }}",
        no_lab='shell "no-lab" "mkdir $out"',
        broken='shell "broken" "echo the reason; exit 1"',
        throws='throw "the user says so"',
        hangs='shell "hangs" "echo ready; sleep 600"',
    )


def operator(nix: Nix, **settings: Any) -> NixBuildOperator:
    return NixBuildOperator(task_id="build", private_store=nix.private_store, **settings)


def test_a_build_describes_the_lab_and_keeps_it(nix: Nix, lab_flake: str, tmp_path: Path) -> None:
    link = tmp_path / "labs/result"
    with capture_logs() as logged:
        described = operator(nix, flake=lab_flake, out_link=link).execute({})
    path = link.resolve()
    assert described == {
        "lab_id": json.loads((path / "lab/lab-metadata.json").read_text())["labId"],
        "path": str(path),
        "runs": ["simulation", "analysis"],
        "jobs": {"simulation": 3, "analysis": 2},
        "out_link": str(link),
    }
    assert [entry.name for entry in link.parent.iterdir()] == ["result"]
    assert json.loads(json.dumps(described)) == described
    assert {"building 1/1 whole", "whole> copying"} <= {entry["event"] for entry in logged}
    collector = nix.executable.with_name("nix-collect-garbage")
    for options in ([], ["--delete-old"]):
        command = [str(collector), *options]
        subprocess.run(command, env=dict(nix.environment()), check=True, capture_output=True, timeout=60)
    assert path.is_dir()
    link.unlink()
    subprocess.run([str(collector)], env=dict(nix.environment()), check=True, capture_output=True, timeout=60)
    assert not path.exists()


def test_a_slice(nix: Nix, lab_flake: str) -> None:
    described = operator(nix, flake=lab_flake, run="simulation").execute({})
    assert described["jobs"] == {"simulation": 3}
    assert described["out_link"] is None


def test_a_file_and_an_expression(nix: Nix, nix_system: str, tmp_path: Path) -> None:
    write_lab(tmp_path / "lab", [RunSpec("simulation", [JobSpec(job_id("a-1.0"))])])
    arguments = '[ "-c" "cp -r ${./lab} $out" ]'
    text = (
        f'derivation {{ name = "lab"; system = "{nix_system}"; builder = "/bin/sh"; PATH = "/bin:/usr/bin"; '
        f"args = {arguments}; }}"
    )
    file = tmp_path / "lab.nix"
    file.write_text(f"{{ lab = {text}; }}")
    assert operator(nix, file=file, attribute="lab").execute({})["jobs"] == {"simulation": 1}
    assert operator(nix, expr=f"(import {file}).lab").execute({})["jobs"] == {"simulation": 1}


@pytest.mark.parametrize(
    ("attribute", "cause", "message"),
    [
        ("throws", NixEvaluationError, "the user says so"),
        ("nothing", NixMissingAttributeError, "does not provide attribute"),
        ("broken", NixBuildError, "the reason"),
        ("no_lab", LabError, "no-lab"),
    ],
)
def test_what_a_retry_cannot_cure_fails_at_once_with_its_cause(
    nix: Nix, lab_flake: str, tmp_path: Path, attribute: str, cause: type[Exception], message: str
) -> None:
    link = tmp_path / "result"
    operator(nix, flake=lab_flake, out_link=link).execute({})
    before = link.readlink()
    with pytest.raises(AirflowFailException, match=message) as caught:
        operator(nix, flake=lab_flake, attribute=attribute, out_link=link).execute({})
    assert isinstance(caught.value.__cause__, cause)
    assert link.readlink() == before
    assert not list(tmp_path.glob(".result*"))


LAB = """
let
  repx-lib = import LIBRARY;
  stage = repx-lib.callStage ./measure.nix [ ];
in
repx-lib.mkLab {
  inherit repx-lib;
  pkgs = removeAttrs repx-lib.hostPkgs [ "shellcheck" ];
  gitHash = "unknown";
  lab_version = "1";
  runs.sim = repx-lib.callRun { pipelines = [ (repx-lib.mkPipe { inherit stage; }) ]; } [ ];
}
"""

STAGE = """
{
  pname = "measure";
  run = _: "echo one\\nif true; then echo two\\nfi )\\necho four\\n";
}
"""


def test_a_broken_script_is_reported_with_lab_stage_and_line(nix: Nix, tmp_path: Path) -> None:
    lab = tmp_path / "lab.nix"
    lab.write_text(LAB.replace("LIBRARY", str(LIBRARY)))
    (tmp_path / "measure.nix").write_text(STAGE)

    with pytest.raises(AirflowFailException) as caught:
        operator(nix, file=lab).execute({})

    assert isinstance(caught.value.__cause__, NixBuildError)
    text = str(caught.value)
    assert text.startswith(f"{lab} (its value): derivation 'repx-scripts-stage' failed to build")
    assert "  > repx-lib: stage 'stage' (measure.nix): the script is no valid bash:\n" in text
    assert "  > line 3: syntax error near unexpected token `)'\n" in text
    assert "  >     3  fi )\n" in text


def test_a_stage_that_is_not_there_is_reported_with_run_stage_and_path(nix: Nix, tmp_path: Path) -> None:
    lab = tmp_path / "lab.nix"
    lab.write_text(LAB.replace("LIBRARY", str(LIBRARY)))

    with pytest.raises(AirflowFailException) as caught:
        operator(nix, file=lab).execute({})

    assert isinstance(caught.value.__cause__, NixEvaluationError)
    stage = tmp_path / "measure.nix"
    assert f"run 'sim', stage 'stage' ({stage}): there is no file '{stage}'" in str(caught.value)


def test_a_network_that_is_not_there_may_be_retried(nix: Nix) -> None:
    source = 'derivation { name = "x"; system = builtins.currentSystem; builder = builtins.fetchurl "URL"; }'
    with pytest.raises(NixTransientError):
        operator(nix, expr=source.replace("URL", "http://127.0.0.1:1/file"), allow_network=True).execute({})


def test_a_timeout_may_be_retried(nix: Nix, lab_flake: str) -> None:
    with pytest.raises(NixTimeoutError):
        operator(nix, flake=lab_flake, attribute="hangs", timeout=1.0).execute({})


def test_a_worker_without_nix(lab_flake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    if os.access("/nix/var/nix/profiles/default/bin/nix", os.X_OK):
        pytest.skip("this machine has the profile that every search ends with")
    with pytest.raises(AirflowFailException, match="apt-get install nix-bin") as caught:
        NixBuildOperator(task_id="build", flake=lab_flake).execute({})
    assert isinstance(caught.value.__cause__, NixNotFoundError)


@pytest.mark.parametrize("settings", [{}, {"flake": ".", "file": "lab.nix"}, {"file": "lab.nix", "expr": "1"}])
def test_exactly_one_source(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one of flake, file and expr"):
        NixBuildOperator(task_id="build", **settings)


def test_templated_fields() -> None:
    task = NixBuildOperator(
        task_id="build", flake="{{ a }}#x", attribute="{{ b }}", out_link="/srv/{{ c }}", run="{{ d }}"
    )
    task.render_template_fields({"a": "/srv/lab", "b": "lab", "c": "result", "d": "simulation"})  # type: ignore[typeddict-item]
    assert (task.flake, task.attribute, task.out_link, task.run) == ("/srv/lab#x", "lab", "/srv/result", "simulation")


def hanging_builders() -> set[int]:
    return {process.pid for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "600"]}


def test_on_kill_stops_the_builders(nix: Nix, lab_flake: str) -> None:
    task = operator(nix, flake=lab_flake, attribute="hangs")
    others = hanging_builders()

    def kill_when_building() -> None:
        deadline = time.monotonic() + 30
        while not hanging_builders() - others and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        task.on_kill()

    killer = threading.Thread(target=kill_when_building)
    killer.start()
    with pytest.raises(CommandKilledError):
        task.execute({})
    killer.join()
    assert not hanging_builders() - others


def test_on_kill_before_the_build_starts_nothing(nix: Nix, lab_flake: str) -> None:
    task = operator(nix, flake=lab_flake)
    task.on_kill()
    with pytest.raises(CommandKilledError):
        task.execute({})


WORKER = """
import json, signal, sys
from airflow_provider_repx.operators.nix_build import NixBuildOperator

task = NixBuildOperator(task_id="build", **json.loads(sys.argv[1]))
# As a worker's task process does: the handler calls on_kill and returns.
signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
task.execute({})
"""


def test_on_kill_from_a_signal_handler_as_on_a_worker(nix: Nix, lab_flake: str, tmp_path: Path) -> None:
    others = hanging_builders()
    settings = {"flake": lab_flake, "attribute": "hangs", "private_store": str(nix.private_store)}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen([sys.executable, "-c", WORKER, json.dumps(settings)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not hanging_builders() - others:
                assert worker.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                threading.Event().wait(0.05)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 1
        finally:
            worker.kill()
            worker.wait(10)
    assert "CommandKilledError" in (tmp_path / "log").read_text()
    assert not hanging_builders() - others


DAG_FILE = """
import json, os
from airflow.sdk import DAG
from airflow_provider_repx.operators.nix_build import NixBuildOperator

settings = json.loads(os.environ["SETTINGS"])
with DAG("build_lab", params={"attribute": "default"}) as dag:
    NixBuildOperator(task_id="good", attribute="{{ params.attribute }}", **settings)
    NixBuildOperator(task_id="bad", attribute="broken", retries=3, **settings)
if __name__ == "__main__":
    run = dag.test()
    states = {ti.task_id: [ti.state, ti.try_number, ti.max_tries] for ti in run.get_task_instances()}
    print("RESULT", json.dumps(states))
    good = run.get_task_instance("good")
    print("XCOM", json.dumps(good.xcom_pull(task_ids="good", key="return_value", run_id=run.run_id)))
"""


def test_in_a_dag_run(nix: Nix, lab_flake: str, tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "SETTINGS": json.dumps({"flake": lab_flake, "private_store": str(nix.private_store)}),
    }
    script = tmp_path / "airflow/dags/build_lab.py"
    script.parent.mkdir(parents=True)
    script.write_text(DAG_FILE)
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=120)
    ran = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "RESULT" in ran.stdout, ran.stdout + ran.stderr
    lines = dict(line.split(" ", 1) for line in ran.stdout.splitlines() if line.startswith(("RESULT ", "XCOM ")))
    states = json.loads(lines["RESULT"])
    assert states["good"][0] == "success"
    # Three retries are left: what cannot succeed is not tried again.
    assert states["bad"] == ["failed", 1, 3]
    assert json.loads(lines["XCOM"])["jobs"] == {"simulation": 3, "analysis": 2}
    assert "whole> copying" in ran.stdout + ran.stderr
    assert "> the reason" in ran.stdout + ran.stderr


def test_the_causes_are_errors_of_nix() -> None:
    assert all(issubclass(kind, NixError) for kind in (NixBuildError, NixEvaluationError, NixTimeoutError))
