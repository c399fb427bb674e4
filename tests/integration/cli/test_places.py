"""Commands about labs whose jobs run on Slurm, on this machine and over a real sshd."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.execution.jobs import JobRequest, run_job
from airflow_provider_repx.execution.store import Claimant, OutputStore
from airflow_provider_repx.execution.units import read_work_items, settle_branches
from airflow_provider_repx.lab import JobId, Lab, read_lab
from tests.support.cluster import SlurmClusterFactory
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import StepSpec, scatter_gather
from tests.unit.cli.calling import Call, Repx
from tools.airflow_local import wait_until
from tools.cluster import ThrowawaySlurm, ThrowawaySshd

pytestmark = [pytest.mark.integration, pytest.mark.slurm, pytest.mark.ssh]

ME = Claimant(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
MAKE, SPLIT, BROKEN, HELD = (JobId(job_id(name)) for name in ("make-1.1", "split-1.1", "broken-1.1", "held-1.1"))


@dataclass(frozen=True)
class World:
    """A lab and a store that is filled by real executions.

    `make` is done; of `split` branch 0 is, and step fit of branch 1 has failed; `broken` has failed; `held` waits for
    the file `go`.
    """

    folder: Path
    lab: Lab

    @property
    def store(self) -> OutputStore:
        return OutputStore(self.folder / "a base")

    def run(self, job: JobId, part: str = "main", branch: int | None = None, step: str | None = None) -> str:
        outcome = run_job(
            JobRequest(self.lab, "simulation", job, self.store, ME, part=part, branch=branch, step=step)  # type: ignore[arg-type]
        )
        return outcome.status


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("places")
    steps = {
        "fit": StepSpec(script=f'echo fitting; [[ $branch != 1 || -e "{folder}/mended" ]] || exit 3'),
        "join": StepSpec(deps=("fit",)),
    }
    jobs = [
        JobSpec(MAKE, script="printf made > data.txt; echo told; echo complained >&2", params={"seed": 1}),
        scatter_gather(
            SPLIT,
            items='echo \'["a",{"b":2}]\' > work_items.json',
            steps=steps,
            reads={"start": (MAKE, "data")},
            params={"text": "it's $HOME"},
        ),
        JobSpec(BROKEN, script="echo no luck >&2; exit 4"),
        JobSpec(HELD, script=f'echo one; while [[ ! -e "{folder}/go" ]]; do sleep 0.05; done; echo two'),
    ]
    made = World(folder, read_lab(write_lab(folder / "lab", [RunSpec("simulation", jobs)])))
    assert made.run(MAKE) == "succeeded"
    assert made.run(BROKEN) == "failed"
    assert made.run(SPLIT, "scatter") == "succeeded"
    job = made.lab.run("simulation").jobs[SPLIT]
    settle_branches(made.store, SPLIT, job, read_work_items(made.store, SPLIT))
    assert made.run(SPLIT, "step", 0, "fit") == "succeeded"
    assert made.run(SPLIT, "step", 0, "join") == "succeeded"
    assert made.run(SPLIT, "step", 1, "fit") == "failed"
    return made


@dataclass(frozen=True)
class Place:
    """Commands about the world, whose target is reached in one way."""

    repx: Repx
    world: World
    server: ThrowawaySshd | None

    def __call__(self, *arguments: str, code: int = 0) -> Call:
        call = self.repx(*arguments)
        assert (call.code, "Traceback" in call.err) == (code, False), call
        return call

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json").out)


def connect(monkeypatch: pytest.MonkeyPatch, world: World, *, ssh: ThrowawaySshd | None, **extra: Any) -> None:
    """Configure the world's lab with the connection `cluster`, over SSH by the connection `login`."""
    slurm = {"base_path": str(world.store.base_path), **({"ssh_conn_id": "login"} if ssh is not None else {}), **extra}
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps({"conn_type": "slurm", "extra": slurm}))
    if ssh is not None:
        keys = {"key_file": str(ssh.key), "known_hosts": str(ssh.known_hosts)}
        told = {"conn_type": "ssh", "host": ssh.host, "port": ssh.port, "login": ssh.user, "extra": keys}
        monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps(told))
    for name, value in {"LAB": world.lab.path, "NAME": "places", "SLURM_CONN_ID": "cluster"}.items():
        monkeypatch.setenv(f"AIRFLOW__REPX__{name}", str(value))


@pytest.fixture(params=["here", "over ssh"])
def place(
    request: pytest.FixtureRequest,
    world: World,
    slurm_cluster: ThrowawaySlurm,
    sshd: ThrowawaySshd,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Place]:
    monkeypatch.setattr("airflow_provider_repx.cli.errors.send_logs_to_stderr", lambda: None)
    for name, value in slurm_cluster.env.items():
        monkeypatch.setenv(name, value)
    ssh = sshd if request.param == "over ssh" else None
    connect(monkeypatch, world, ssh=ssh)
    before = sshd.connections_made()
    yield Place(Repx(capfd), world, ssh)
    assert (sshd.connections_made() > before) == (ssh is not None)


def test_jobs_and_their_parts_are_listed(place: Place) -> None:
    statuses = {job["job"]: job["status"] for job in place.json("list", "jobs")}
    assert statuses == {MAKE: "succeeded", SPLIT: "failed", BROKEN: "failed", HELD: "pending"}
    shown = place("list", "jobs", "--status", "failed", "--parts").out
    assert shown.splitlines()[0].split() == ["job", "stage", "status"]
    names = [line.split("  ")[0] for line in shown.splitlines()[1:]]
    assert names == [SPLIT, f"{SPLIT}/branch-1/step-fit", BROKEN]
    parts = [(row["part"], row["status"]) for row in place.json("list", "jobs", SPLIT[:8], "--parts")]
    assert parts == [
        (None, "failed"),
        ("scatter", "succeeded"),
        ("branch-0/step-fit", "succeeded"),
        ("branch-0/step-join", "succeeded"),
        ("branch-1/step-fit", "failed"),
        ("branch-1/step-join", "pending"),
        ("gather", "pending"),
    ]
    assert [run["failed"] for run in place.json("list", "runs")] == [2]
    assert {row["status"] for row in place.json("results", "simulation")} == {"succeeded", "failed", "pending"}


def test_jobs_and_their_parts_are_shown(place: Place) -> None:
    shown = place.json("show", "job", BROKEN)
    assert (shown["status"], shown["last_attempt"]["exit_code"], shown["parts"]) == ("failed", 4, [])
    assert shown["last_attempt"]["made_by"] == str(ME)
    told = place("show", "job", SPLIT).out
    assert "step-fit   1 succeeded, 1 failed; failed: branch-1/step-fit" in told
    part = place.json("show", "job", f"{SPLIT}/branch-1/step-fit")
    assert (part["status"], part["last_attempt"]["exit_code"]) == ("failed", 3)
    assert part["outputs"] == {"data": f"{part['folder']}/out/data.txt"}
    assert part["inputs"]["start"] == f"output data of {MAKE}"
    assert place("log", f"{SPLIT}/branch-1/step-fit").out == "fitting\n"
    assert place("log", MAKE, "--stderr", "-n", "1").out == "complained\n"
    assert place("show", "output", f"{SPLIT}/scatter", "note.txt").out == "noted"
    assert "data.txt" in place("show", "output", f"{SPLIT}/branch-0/step-fit").out
    nothing = place("log", f"{SPLIT}/branch-1/step-join")
    assert (nothing.out, "branch-1/step-join is pending" in nothing.err) == ("", True)


def test_scripts_run_by_hand_make_what_they_make_in_earnest(place: Place, tmp_path: Path) -> None:
    world = place.world
    outputs = sorted(path.name for path in world.store.outputs.iterdir())
    told = place("debug-run", MAKE, "-c", 'run-job && cat "$out/data.txt" && echo "|${parameters[seed]}|$PWD"').out
    assert told.startswith("told\nmade|1|/")
    assert not Path(told.strip().rpartition("|")[2]).exists()
    for part in ("scatter", "branch-0/step-fit", "branch-0/step-join"):
        made = (world.store.job(SPLIT).root / part / "out" / "data.txt") if part != "scatter" else None
        line = 'run-job >/dev/null 2>&1 && printf "%s|" "${parameters[text]}" && cat '
        line += "data.txt" if made is not None else "work_items.json note.txt"
        shown = place("debug-run", f"{SPLIT}/{part}", "-c", line).out
        expected = made.read_text() if made is not None else '["a",{"b":2}]\nnoted'
        assert shown == f"it's $HOME|{expected}"
    kept = tmp_path / "kept 'n"
    place(
        "debug-run",
        f"{SPLIT}/branch-1/step-fit",
        "--directory",
        str(kept),
        "-c",
        f"touch '{world.folder}/mended'; run-job",
    )
    assert (kept / "out" / "data.txt").read_text() == 'fit({"b":2})'
    again = place("debug-run", MAKE, "--directory", str(kept), "-c", "true", code=2)
    assert "not empty" in again.error
    assert place("debug-run", MAKE, "-c", "exit 7", code=7).out == ""
    assert sorted(path.name for path in world.store.outputs.iterdir()) == outputs
    assert not (world.store.job(SPLIT).root / "repx" / "worker_outs_manifest.json").exists()


def test_what_a_part_needs_has_to_be_done(place: Place) -> None:
    step = place("debug-run", f"{SPLIT}/branch-1/step-join", "-c", "true", code=1)
    assert f"{SPLIT}/branch-1/step-fit (failed)" in step.error
    gather = place("debug-run", f"{SPLIT}/gather", "-c", "true", code=1)
    assert f"{SPLIT}/branch-1/step-join (pending)" in gather.error
    none = place("debug-run", f"{SPLIT}/branch-2/step-fit", "-c", "true", code=2)
    assert "branch-0 to branch-1" in none.error


def test_a_log_is_followed_to_the_end_of_its_job(place: Place) -> None:
    world = place.world
    go = world.folder / "go"
    go.unlink(missing_ok=True)
    paths = world.store.job(HELD)
    before = paths.stdout.read_text() if paths.stdout.exists() else ""
    # Another execution is appended to the same log.
    paths.success.unlink(missing_ok=True)
    job = threading.Thread(target=world.run, args=(HELD,))
    job.start()
    wait_until(
        lambda: paths.stdout.exists() and paths.stdout.read_text() == f"{before}one\n",
        timeout=30,
        what="the job to begin",
    )
    go_on = threading.Timer(1.0, go.touch)
    go_on.start()
    followed = place("log", HELD, "--follow", "-n", "1")
    job.join()
    assert followed.out == "one\ntwo\n"
    assert "has succeeded" in followed.err


def findings(call: Call) -> dict[str, list[tuple[str, str]]]:
    """What the doctor says, as level and text by the first word of each subject."""
    found: dict[str, list[tuple[str, str]]] = {}
    for item in json.loads(call.out):
        found.setdefault(item["subject"].split(" ")[0], []).append((item["level"], item["text"]))
    return found


def test_the_doctor_finds_a_sound_cluster(place: Place) -> None:
    found = findings(place.repx("doctor", "-o", "json"))
    assert [level for name in ("lab", "target", "base", "Slurm", "partitions") for level, _ in found[name]] == [
        "ok"
    ] * 5
    assert found["partitions"][0][1] == "main (default): 256 CPUs"
    assert ("SSH" in found) == (place.server is not None)
    # This Airflow has no database.
    assert "airflow db migrate" in found["database"][0][1]


@pytest.mark.parametrize(
    ("extra", "subject", "told"),
    [
        (
            {"partition": "main,nowhere"},
            "partitions",
            "has none called nowhere; it has: compute, gpu, main",
        ),
        ({"base_path": "/proc/repx"}, "base", "/proc/repx"),
        ({"ssh_conn_id": "nobody"}, "Slurm", "connection 'nobody': there is none"),
    ],
)
def test_the_doctor_names_what_is_wrong_with_a_target(
    place: Place, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], subject: str, told: str
) -> None:
    connect(monkeypatch, place.world, ssh=place.server, **extra)
    call = place.repx("doctor", "-o", "json")
    broken = [text for level, text in findings(call)[subject] if level == "broken"]
    assert (call.code, told in broken[0]) == (1, True), call.out
    connect(monkeypatch, place.world, ssh=place.server)
    place("list", "runs")


def test_the_doctor_tells_unknown_hosts_and_closed_doors_apart(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = place.server
    if server is None:
        place("list", "runs")
        return
    (tmp_path / "empty").touch()
    (tmp_path / "key").write_text("no key")
    keys = {"key_file": str(server.key), "known_hosts": str(server.known_hosts), "conn_timeout": 10}
    for changes, told in (
        ({"known_hosts": str(tmp_path / "empty")}, "host key is not in"),
        ({"key_file": str(tmp_path / "key")}, "the private key cannot be used"),
        ({"key_file": str(tmp_path / "none")}, "does not exist or cannot be read"),
    ):
        login = {"conn_type": "ssh", "host": server.host, "port": server.port, "extra": keys | changes}
        monkeypatch.setenv("AIRFLOW_CONN_LOGIN", json.dumps(login))
        found = findings(place.repx("doctor", "-o", "json"))
        assert [(level, told in text) for level, text in found["SSH"]] == [("broken", True)], found["SSH"]
        assert "Slurm" not in found
        assert told in place("log", MAKE, code=1).error
    connect(monkeypatch, place.world, ssh=server)
    place("list", "runs")


@pytest.mark.parametrize("ill", ["nodes", pytest.param("munge", marks=pytest.mark.full)])
def test_the_doctor_tells_what_is_wrong_with_slurm(
    ill: str,
    slurm_cluster_factory: SlurmClusterFactory,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("airflow_provider_repx.cli.errors.send_logs_to_stderr", lambda: None)
    cluster = slurm_cluster_factory()
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    connect(monkeypatch, world, ssh=None, partition="gpu")
    repx = Repx(capfd)
    if ill == "munge":
        cluster.kill("munged")
        ((level, text),) = findings(repx("doctor", "-o", "json"))["Slurm"]
        assert (level, "Check that munge runs" in text) == ("broken", True), text
        return
    cluster.run("scontrol", "update", "NodeName=gpu1,gpu2", "State=DRAIN", "Reason=test")
    assert findings(repx("doctor", "-o", "json"))["partitions"] == [
        ("warning", "gpu: no node takes jobs, so they wait: nodes: 2 drained")
    ]
    monkeypatch.setenv("PATH", "/nonexistent")
    ((level, text),) = findings(repx("doctor", "-o", "json"))["Slurm"]
    assert (level, "sbatch on this machine was not found" in text) == ("broken", True), text
