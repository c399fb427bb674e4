"""Commands that drive Airflow, on a real database without a scheduler."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_repx.execution.store import Claim, Claimant, OutputStore, try_claim
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.unit.cli.airflow_database import AirflowDatabase
from tests.unit.cli.calling import Repx, check_golden

pytestmark = pytest.mark.unit

RUN, ANALYSIS, NOTES = "repx_simulation", "repx_analysis", "repx_notes"
PREPARE, PLOT = job_id("prepare-1.1"), job_id("plot-1.1")
MEASURE = [job_id("measure-1.1", str(number)) for number in (1, 2)]


@pytest.fixture
def known(airflow: AirflowDatabase, lab_folder: Path, repx: Repx) -> AirflowDatabase:
    """Airflow knows the DAGs of the lab: analysis waits for simulation, and notes knows of analysis."""
    airflow.add_dags("from airflow_provider_repx import repx_dags\nglobals().update(repx_dags())")
    return airflow


@pytest.fixture
def happens(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens, one thing after the other, each time a command waits."""

    def plan(*steps: Callable[[], object]) -> None:
        left = list(steps)

        def wait(_seconds: float) -> None:
            assert left, "the command waits for ever"
            left.pop(0)()

        for module in ("following", "status", "cancel"):
            monkeypatch.setattr(f"airflow_provider_repx.cli.{module}.time.sleep", wait)

    return plan


def interrupt() -> None:
    raise KeyboardInterrupt


def conf_of(dag_id: str) -> dict[str, object]:
    with create_session() as session:
        return dict(session.scalars(select(DagRun.conf).where(DagRun.dag_id == dag_id)).one() or {})


def finish(folder: Path, *jobs: str) -> None:
    """Have jobs done in the store."""
    for job in jobs:
        repx_folder = OutputStore(folder / "base").job(job).repx
        repx_folder.mkdir(parents=True, exist_ok=True)
        (repx_folder / "FAIL").unlink(missing_ok=True)
        (repx_folder / "SUCCESS").touch()


def test_runs_are_triggered_with_what_was_asked(known: AirflowDatabase, repx: Repx) -> None:
    call = repx("run", "simulation", "-j", "measure", "--force", "-o", "json")
    assert call.code == 0, call.err
    (made,) = json.loads(call.out)
    assert known.runs(RUN) == {made["dag_run_id"]: "queued"}
    assert conf_of(RUN) == {
        "force": True,
        "continue_on_failure": False,
        "jobs": ["measure"],
        "lab_id": "0123456789abcdfghijklmnpqrsvwxyz",
    }
    assert repx("run", "analysis", "notes").out.splitlines()[1].startswith("analysis  repx_analysis  manual__")


def test_what_cannot_begin_is_not_begun(known: AirflowDatabase, repx: Repx) -> None:
    known.pause(ANALYSIS)
    paused = repx("run", "simulation", "analysis")
    assert (paused.code, "airflow dags unpause repx_analysis" in paused.error) == (1, True)
    assert known.runs(RUN) == {}


def test_an_unknown_dag_comes_with_advice(airflow: AirflowDatabase, lab_folder: Path, repx: Repx) -> None:
    unknown = repx("run", "simulation")
    assert (unknown.code, "airflow dags reserialize" in unknown.error) == (1, True)
    with create_session() as session:
        session.add(ParseImportError(filename="/dags/broken.py", bundle_name="tests", stacktrace="x"))
    assert "/dags/broken.py" in repx("cancel", "simulation").error


def test_runs_are_followed_in_the_order_of_their_dependencies(
    known: AirflowDatabase, lab_folder: Path, repx: Repx, happens: Callable[..., None]
) -> None:
    def end(dag_id: str, *jobs: str) -> None:
        finish(lab_folder, *jobs)
        known.set_run(dag_id, "success")

    happens(
        partial(known.set_run, RUN, "running"),
        partial(end, RUN, *MEASURE),
        partial(known.set_run, ANALYSIS, "running"),
        partial(end, ANALYSIS, PLOT),
    )
    call = repx("run", "analysis", "simulation", "--wait")
    assert call.code == 0, call.err
    check_golden(_named(call.out, known), "run-wait", lab_folder)


def _named(text: str, known: AirflowDatabase) -> str:
    for dag_id in (RUN, ANALYSIS, NOTES):
        for run_id in known.runs(dag_id):
            text = text.replace(run_id, "RUN_ID")
    return text


@pytest.mark.parametrize("go_on", [False, True])
def test_a_failure_keeps_runs_from_being_triggered(
    known: AirflowDatabase, lab_folder: Path, repx: Repx, happens: Callable[..., None], go_on: bool
) -> None:
    happens(partial(known.set_run, RUN, "failed"), partial(known.set_run, NOTES, "success"))
    option = ["--continue-on-failure"] if go_on else []
    call = repx("run", "simulation", "analysis", "notes", "--wait", "-o", "json", *option)
    states = {run["run"]: (run["state"], run["reason"]) for run in json.loads(call.out)}
    assert call.code == 1
    assert states["simulation"] == ("failed", "")
    assert states["analysis"] == ("not triggered", "it depends on simulation, which did not succeed")
    # Soft dependencies are not waited for: it was triggered at once.
    assert states["notes"][0] == "success"
    # No job failed since: the failure in the store is one of before.
    assert "list jobs" not in call.err
    assert "simulation: none of its tasks failed: somebody marked the DAG run as failed" in call.err


def test_what_failed_is_named_with_its_log(
    known: AirflowDatabase,
    lab_folder: Path,
    repx: Repx,
    happens: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(task_id: str) -> None:
        known.set_tasks(RUN, "failed", task_id)
        known.set_tasks(RUN, "failed", "summary")
        known.set_run(RUN, "failed")

    happens(partial(known.set_run, RUN, "running"), partial(fail, "open_lab"))
    call = repx("run", "simulation", "--wait", "--lab", "ising")
    (run_id,) = known.runs(RUN)
    assert call.code == 1
    assert "list jobs" not in call.out
    assert f"simulation: what failed: task open_lab: its log is http://localhost:8080/dags/{RUN}/runs/" in call.out
    assert "task summary" not in call.out

    log = lab_folder / "logs" / f"dag_id={RUN}" / f"run_id={run_id}" / "task_id=open_lab" / "attempt=0.log"
    log.parent.mkdir(parents=True)
    log.touch()
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(lab_folder / "logs"))
    assert f"task open_lab: its log is {log}" in repx("status", "simulation").err

    known.set_tasks(RUN, "success", "open_lab")
    known.set_tasks(RUN, "failed", "prepare")
    told = repx("status", "simulation", "--lab", "ising").err
    assert "what failed: airflow repx list jobs simulation --status failed --lab ising" in told
    assert "what failed: task prepare: its log is http" in told


@pytest.mark.parametrize("go_on", [False, True])
def test_without_going_on_a_failure_keeps_other_runs_from_beginning(
    known: AirflowDatabase, repx: Repx, happens: Callable[..., None], go_on: bool
) -> None:
    happens(
        partial(known.set_run, NOTES, "failed"),
        partial(known.set_run, RUN, "success"),
        partial(known.set_run, ANALYSIS, "success"),
    )
    option = ["--continue-on-failure"] if go_on else []
    call = repx("run", "simulation", "analysis", "notes", "--wait", *option)
    assert (call.code, list(known.runs(ANALYSIS).values())) == (1, ["success"] if go_on else [])
    told = "analysis: not triggered: notes did not succeed; --continue-on-failure goes on with runs like this one"
    assert (told in call.out) is not go_on


def test_an_interruption_leaves_dag_runs_under_way(
    known: AirflowDatabase, repx: Repx, happens: Callable[..., None]
) -> None:
    happens(partial(known.set_run, RUN, "running"), interrupt)
    call = repx("run", "simulation", "analysis", "--wait")
    assert call.code == 130
    assert list(known.runs(RUN).values()) == ["running"]
    assert "Still under way: simulation. `airflow repx cancel RUN` ends them." in call.err
    assert call.error == "interrupted"


def test_somebody_learns_why_nothing_begins(
    known: AirflowDatabase, repx: Repx, happens: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_repx.cli.following._PATIENCE_SECONDS", 0.0)
    happens(partial(known.pause, RUN), lambda: None, interrupt)
    told = repx("run", "simulation", "-w").err
    assert told.count("[WARNING] simulation is still queued: its DAG was paused") == 1
    happens(lambda: None, lambda: None, interrupt)
    told = repx("run", "analysis", "-w").err
    assert told.count("[WARNING] analysis is still queued: no scheduler has given a sign of life") == 1


def test_the_state_of_a_run(known: AirflowDatabase, lab_folder: Path, repx: Repx, happens: Callable[..., None]) -> None:
    none = repx("status", "simulation")
    assert (none.code, "has no DAG runs" in none.error) == (2, True)
    repx("run", "simulation")
    shown = json.loads(repx("status", "simulation", "-o", "json").out)
    assert (shown["state"], shown["ended"]) == ("queued", None)
    assert [(stage["stage"], stage["succeeded"], stage["failed"]) for stage in shown["stages"]] == [
        ("prepare", 1, 0),
        ("measure", 0, 1),
    ]
    known.set_run(RUN, "running")
    # What failed before this DAG run began it will try again.
    assert "measure  2     0          0        0       2" in repx("status", "simulation").out
    happens(partial(finish, lab_folder, *MEASURE), partial(known.set_run, RUN, "success"))
    followed = repx("status", "simulation", "--follow")
    assert followed.code == 0
    assert [line.partition(": ")[2] for line in followed.out.splitlines()] == [
        "running, 3 jobs: 1 succeeded, 2 pending",
        "running, 3 jobs: 3 succeeded",
        "success, 3 jobs: 3 succeeded",
    ]
    known.set_run(RUN, "failed")
    assert repx("status", "simulation", "--follow").code == 1
    wrong = repx("status", "simulation", "--dag-run", "never")
    assert (wrong.code, "no such DAG run" in wrong.error) == (2, True)


def test_a_terminal_shows_a_picture_that_is_kept_up_to_date(
    known: AirflowDatabase,
    lab_folder: Path,
    repx: Repx,
    happens: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    repx("run", "simulation")
    known.set_run(RUN, "running")
    happens(partial(finish, lab_folder, *MEASURE), partial(known.set_run, RUN, "success"))
    monkeypatch.setattr("airflow_provider_repx.cli.status.sys.stdout.isatty", lambda: True)
    shown = repx("status", "simulation", "--follow")
    assert shown.code == 0
    assert shown.out.count("stage") >= 3
    assert re.search(r"all +3 +3 +0 +0 +0", shown.out)
    assert ": success, " in shown.out


def test_cancelling_a_run_marks_what_has_not_ended(known: AirflowDatabase, repx: Repx) -> None:
    nothing = repx("cancel", "simulation")
    assert (nothing.code, "nothing to do" in nothing.out) == (0, True)
    repx("run", "simulation")
    known.set_run(RUN, "running")
    known.set_tasks(RUN, "success", "open_lab")
    known.set_tasks(RUN, "running", "measure")
    (cancelled,) = json.loads(repx("cancel", "simulation", "--wait", "-o", "json").out)
    assert cancelled["tasks"] > 0
    states = known.tasks(RUN)
    assert states["open_lab", -1] == "success"
    assert {state for (task, _), state in states.items() if task == "measure"} == {"failed"}
    assert list(known.runs(RUN).values()) == ["failed"]


def test_cancelling_jobs_marks_exactly_their_tasks(known: AirflowDatabase, repx: Repx) -> None:
    repx("run", "simulation")
    known.set_run(RUN, "running")
    known.set_tasks(RUN, "running", "measure")
    before = known.tasks(RUN)
    (cancelled,) = json.loads(repx("cancel", "simulation", "--jobs", MEASURE[0], "-o", "json").out)
    assert cancelled["tasks"] == 1
    changed = {key: state for key, state in known.tasks(RUN).items() if state != before[key]}
    assert {(task, state) for (task, _), state in changed.items() if task.startswith("measure")} == {
        ("measure", "failed")
    }
    assert list(known.runs(RUN).values()) == ["running"]
    assert repx("cancel", "simulation", "--jobs", MEASURE[0]).code == 0
    unknown = repx("cancel", "simulation", "--jobs", "nothing")
    assert (unknown.code, "no job matches" in unknown.error) == (2, True)


def test_cancelling_waits_for_the_jobs_of_the_dag_run_alone(
    known: AirflowDatabase,
    lab_folder: Path,
    repx: Repx,
    happens: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repx("run", "simulation")
    (run_id,) = known.runs(RUN)
    store = OutputStore(lab_folder / "base")
    claims: list[Claim] = []
    with ExitStack() as stack:
        for job, owner in zip(MEASURE, (run_id, "another"), strict=True):
            store.job(job).repx.mkdir(parents=True, exist_ok=True)
            claim = try_claim(store.job(job).claim, Claimant(RUN, owner, "measure", 0, 1))
            assert isinstance(claim, Claim)
            claims.append(stack.enter_context(claim))
        happens(lambda: None, claims[0].release)
        assert repx("cancel", "simulation", "--wait").code == 0
        repx("run", "simulation")
        late = Claimant(RUN, list(known.runs(RUN))[-1], "measure", 0, 1)
        claim = try_claim(store.job(MEASURE[0]).claim, late)
        assert isinstance(claim, Claim)
        stack.enter_context(claim)
        monkeypatch.setattr("airflow_provider_repx.cli.cancel._PATIENCE_SECONDS", -1.0)
        still = repx("cancel", "simulation", "--wait")
        assert (still.code, still.error) == (1, f"still running after -1 s: {MEASURE[0]}.")


def test_clearing_asks_and_follows_dependencies(known: AirflowDatabase, repx: Repx) -> None:
    repx("run", "simulation", "analysis")
    for dag_id in (RUN, ANALYSIS):
        known.set_tasks(dag_id, "success")
        known.set_run(dag_id, "failed")
    would = json.loads(repx("clear", "simulation", "--downstream", "--dry-run", "-o", "json").out)
    assert [(found["dag_id"], found["state"]) for found in would] == [(RUN, "failed"), (ANALYSIS, "failed")]
    assert all(found["tasks"] == len(known.tasks(found["dag_id"])) for found in would)
    asked = repx("clear", "simulation")
    assert (asked.code, "confirm with --yes" in asked.error) == (2, True)
    assert list(known.runs(RUN).values()) == ["failed"]
    assert repx("clear", "simulation", "--yes").code == 0
    assert list(known.runs(RUN).values()) == ["queued"]
    assert set(known.tasks(RUN).values()) == {None}
    assert list(known.runs(ANALYSIS).values()) == ["failed"]


def test_labs_of_dag_files_are_known_by_name(
    known: AirflowDatabase, lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAB", "NAME", "BASE_PATH"):
        monkeypatch.delenv(f"AIRFLOW__REPX__{name}")
    for arguments in (
        ("list", "runs"),
        ("list", "runs", "-l", "ising"),
        ("list", "runs", "-l", str(lab_folder / "lab")),
    ):
        call = repx(*arguments, "-o", "json")
        assert [run["dag_id"] for run in json.loads(call.out)] == [RUN, ANALYSIS, NOTES], call.err
        assert json.loads(call.out)[0]["succeeded"] == 1


def test_a_run_of_another_lab_is_found_there(
    known: AirflowDatabase, lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lab(lab_folder / "other", [RunSpec("dice", [JobSpec(job_id("throw-1.1"))])])
    monkeypatch.setenv("AIRFLOW__REPX__LAB", str(lab_folder / "other"))
    monkeypatch.setenv("AIRFLOW__REPX__NAME", "dices")
    for words in (("run", "simulation"), ("status", "simulation"), ("list", "jobs", "simulation")):
        call = repx(*words)
        assert call.code == 2
        assert call.error.endswith(". But lab ising has simulation: add --lab ising.")
    assert repx("list", "jobs", "dice", "--lab", "ising").error.endswith("But lab dices has dice: add --lab dices.")
    assert "But lab" not in repx("status", "nowhere").error


def test_a_lab_that_was_built_anew_is_told(known: AirflowDatabase, repx: Repx) -> None:
    repx("run", "simulation")
    (run_id,) = known.runs(RUN)
    with create_session() as session:
        XComModel.set(key="lab_id", value="z" * 32, dag_id=RUN, task_id="open_lab", run_id=run_id, session=session)
    assert f"is about lab 'ising' as {'z' * 32}, which is 0123456789" in repx("status", "simulation").err


def test_pools_are_shown_and_made(known: AirflowDatabase, lab_folder: Path, repx: Repx) -> None:
    check_golden(repx("pools").out, "pools", lab_folder)
    check_golden(repx("pools", "-o", "json").out, "pools-json", lab_folder)
    done = json.loads(repx("pools", "--apply", "-o", "json").out)
    assert (len(done["changes"]), done["applied"]) == (1, True)
    assert "Nothing to do." in repx("pools").out
    assert "there is no cluster to ask" in repx("pools", "--discover").out


def test_the_doctor_looks_at_airflow(known: AirflowDatabase, repx: Repx) -> None:
    known.pause(NOTES)
    with create_session() as session:
        session.add(ParseImportError(filename="/dags/broken.py", bundle_name="tests", stacktrace="x"))
    call = repx("doctor", "-o", "json")
    found = {(item["subject"], item["level"]): item["text"] for item in json.loads(call.out)}
    assert call.code == 1
    assert "airflow scheduler" in found["scheduler", "broken"]
    assert "/dags/broken.py" in found["DAG files", "broken"]
    assert NOTES in found["DAGs of ising", "warning"]
    assert "airflow repx pools --apply" in found["pools", "warning"]
    assert "SQLite" in found["database", "warning"]
    assert ("lab ising", "ok") in found
    table = repx("doctor").out.splitlines()
    assert all(line.split()[0] in ("state", "ok", "warning", "broken") for line in table)


def test_the_doctor_finds_labs_that_make_the_same_dag(
    known: AirflowDatabase, lab_folder: Path, repx: Repx, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(name: str, **settings: str) -> str:
        return f"globals().update(repx_dags(lab={str(lab_folder / 'lab')!r}, name={name!r}, **{settings!r}))\n"

    folder = lab_folder / "bundle"
    folder.mkdir()
    first = "from airflow_provider_repx import repx_dags\nprint('noise')\n"
    for name in ("one", "two"):
        (folder / f"lab {name}.py").write_text(first + line(name))
    (folder / "other.py").write_text(first + line("three", dag_id_prefix="three_"))
    (folder / "broken.py").write_text("import airflow_provider_repx\n1 / 0\n")
    (folder / "unrelated.py").write_text("raise SystemExit(3)\n")
    bundle = {"name": "own", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
    bundles = [{**bundle, "kwargs": {"path": str(folder)}}]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
    call = repx("doctor", "-o", "json")
    (told,) = [item["text"] for item in json.loads(call.out) if "made by" in item["text"]]
    assert f"by {folder}/lab one.py (lab one) and by {folder}/lab two.py (lab two)" in told
    assert "repx_lab" in told
    assert "three" not in told
    assert "dag_id_prefix" in told
    assert call.code == 1
