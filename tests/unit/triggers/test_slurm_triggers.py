"""What triggers of Slurm tasks decide and ask. Lab and plan are real; Airflow and the cluster answer as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import comms, task_runner
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_provider_repx.errors import (
    CommandTimeoutError,
    HostKeyError,
    JobInputError,
    RepxError,
    SlurmSubmissionError,
    SlurmUnavailableError,
    StoreError,
    TargetError,
    TransportError,
    UnreachableError,
    WorkItemsError,
)
from airflow_provider_repx.execution.slurm import JobKey, Progress, SlurmJob, SlurmOutcome, SlurmStatus
from airflow_provider_repx.execution.store import Claimant
from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.plan import PlanOptions, plan_run
from airflow_provider_repx.targets import Capacity, Target
from airflow_provider_repx.triggers.slurm import SlurmStageTrigger, StageRequest, base, plans, questions, stage
from airflow_provider_repx.triggers.slurm.orphans import airflow_label
from tests.support.experiments import Experiment

pytestmark = pytest.mark.unit

OUTCOME_TIMEOUT = 20


@dataclass
class Airflow:
    """What the supervisor of triggers answers."""

    xcoms: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    async def asend(self, message: Any) -> Any:
        self.asked.append(message)
        if isinstance(message, comms.GetXCom):
            return comms.XComResult(key=message.key, value=self.xcoms.get(message.key))
        if isinstance(message, comms.GetTICount):
            [state] = message.states or [""]
            return comms.TICount(count=self.counts.get(state, 0))
        if isinstance(message, comms.GetTaskStates):
            return comms.TaskStatesResult(task_states={"manual": self.states})
        raise AssertionError(message)


@dataclass
class Cluster:
    """Jobs end as told by the job's name, by default with success; `held` ones only when cancelled.

    As long as there are `outages`, each request takes one of them.
    """

    outages: list[Exception] = field(default_factory=list)
    ends: dict[str, SlurmStatus | RepxError] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    cause: str = ""
    jobs: list[SlurmJob] = field(default_factory=list)
    cancelled: list[JobKey] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, job: SlurmJob, progress: Callable[[Progress], None] | None = None) -> SlurmOutcome:
        self.jobs.append(job)
        if self.outages:
            self.begun.set()
            raise self.outages.pop()
        status = self.ends.get(job.name, "succeeded")
        if isinstance(status, RepxError):
            raise status
        if job.name in self.held:
            assert progress is not None
            progress(Progress("pending: Resources", slurm_id="7_0", state="PENDING", reason="Resources"))
            self.begun.set()
            await self.stopped.wait()
            status = "cancelled"
        return SlurmOutcome(job.name, status, reused=False, stdout=Path("/o"), stderr=Path("/e"), cause=self.cause)

    async def cancel(self, keys: Iterable[JobKey]) -> None:
        self.cancelled += keys
        self.stopped.set()


@dataclass
class World:
    experiment: Experiment
    airflow: Airflow
    cluster: Cluster
    target: Target

    def request(self, **changes: Any) -> StageRequest:
        lab = read_lab(self.experiment.lab)
        given: dict[str, Any] = {
            "lab_name": "ising",
            "lab_path": lab.path,
            "lab_id": lab.lab_id,
            "run": "simulation",
            "stage": "prepare",
            "target": self.target,
            "options": PlanOptions(),
        }
        return StageRequest(**(given | changes))

    def trigger(
        self, *, params: dict[str, Any] | None = None, map_index: int = 0, direct: bool = True, **changes: Any
    ) -> SlurmStageTrigger:
        given = {"force": False, "continue_on_failure": True, "jobs": []} | (params or {})
        claimant = Claimant("repx_simulation", "manual", "prepare", map_index)
        if not direct:
            return SlurmStageTrigger(
                request=self.request(**changes).dump(),
                claimant=SlurmStageTrigger.dump_claimant(claimant),
                params=given,
            )
        made = SlurmStageTrigger(request=self.request(**changes).dump())
        made._task_instance = SimpleNamespace(  # noqa: SLF001 - what the triggerer sets
            dag_id="repx_simulation",
            run_id="manual",
            task_id="prepare",
            map_index=map_index,
            try_number=1,
            task=SimpleNamespace(retries=changes.get("retries", 2)),
            get_template_context=lambda: {"params": given},
        )
        return made


def end(trigger: SlurmStageTrigger) -> Any:
    async def first() -> Any:
        async for event in trigger.run():
            return event
        return None

    return asyncio.run(asyncio.wait_for(first(), timeout=OUTCOME_TIMEOUT))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    experiment = Experiment(tmp_path)
    experiment.write()
    target = Target(name="cluster", base_path=tmp_path / "base", scheduler="slurm", capacity=Capacity(cpus=8))
    lab = read_lab(experiment.lab)
    plan = plan_run(lab, "simulation", target)
    airflow = Airflow({"lab_id": lab.lab_id, "plan": plan.fingerprint})
    cluster = Cluster()

    async def cluster_of(_: Target) -> Cluster:
        return cluster

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    monkeypatch.setattr(stage, "cluster_of", cluster_of)
    monkeypatch.setattr(stage, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(base, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(questions, "_known", {})
    return World(experiment, airflow, cluster, target)


def test_a_job_is_run_with_what_it_asks_for_and_in_its_tasks_name(world: World) -> None:
    event = end(world.trigger(map_index=1))
    assert isinstance(event, TaskSuccessEvent)
    [job] = world.cluster.jobs
    result = event.xcoms["return_value"]["job"]
    assert (result["job"], result["status"]) == (job.name, "succeeded")
    assert job.claimant == Claimant("repx_simulation", "manual", "prepare", 1, label=airflow_label())
    assert job.share is not None
    assert (job.share.pool, job.share.size, job.share.slots) == ("repx_cluster", 8, 1)
    assert not job.force


def test_a_task_that_pushes_no_result_ends_with_no_xcom(world: World) -> None:
    event = end(world.trigger(push=False))
    assert isinstance(event, TaskSuccessEvent)
    assert not event.xcoms


def test_a_task_that_started_on_a_worker_ends_there(world: World) -> None:
    event = end(world.trigger(direct=False))
    assert type(event) is TriggerEvent
    assert event.payload["status"] == "success"


def test_another_lab_or_another_plan_runs_nothing_and_is_final(world: World) -> None:
    for key in ("lab_id", "plan"):
        kept = world.airflow.xcoms[key]
        world.airflow.xcoms[key] = "another"
        event = end(world.trigger())
        assert (event.payload["status"], event.payload["retry"]) == ("failed", False)
        world.airflow.xcoms[key] = kept
    assert not world.cluster.jobs


def test_a_lab_that_was_opened_again_a_moment_ago_is_asked_for_anew(world: World) -> None:
    world.airflow.xcoms["lab_id"], right = None, world.airflow.xcoms["lab_id"]
    assert end(world.trigger()).payload["status"] == "failed"
    world.airflow.xcoms["lab_id"] = right
    assert isinstance(end(world.trigger()), TaskSuccessEvent)


def test_a_closed_gate_and_an_unwanted_job_are_skipped(world: World) -> None:
    assert isinstance(end(world.trigger(gates=("wait_for_other",))), TaskSkippedEvent)
    world.airflow.counts["success"] = 1
    # Also when another answer is remembered.
    assert isinstance(end(world.trigger(gates=("wait_for_other",))), TaskSuccessEvent)
    other = world.cluster.jobs.pop().name
    assert isinstance(end(world.trigger(map_index=1, params={"jobs": [other]})), TaskSkippedEvent)
    assert not world.cluster.jobs
    assert end(world.trigger(params={"jobs": ["no-such-job"]})).payload["status"] == "failed"


def test_a_job_whose_producers_are_not_done_is_skipped(world: World) -> None:
    end(world.trigger())
    world.cluster.ends[world.cluster.jobs[0].name] = JobInputError("its producer is not done")
    assert isinstance(end(world.trigger()), TaskSkippedEvent)


def test_force_is_passed_on(world: World) -> None:
    end(world.trigger(params={"force": True}))
    assert world.cluster.jobs[0].force


@pytest.mark.parametrize(
    ("ended", "retry"),
    [
        ("failed", False),
        ("lost", True),
        ("cancelled", False),
        (TransportError("gone"), True),
        (UnreachableError("away"), True),
        (CommandTimeoutError("too slow"), True),
        (SlurmUnavailableError("down"), True),
        (StoreError("disk full"), True),
        (HostKeyError("another key"), False),
        (SlurmSubmissionError("no such partition"), False),
        (TargetError("no such connection"), False),
        (WorkItemsError("no list"), False),
    ],
    ids=str,
)
def test_retries_are_by_cause(world: World, ended: SlurmStatus | RepxError, retry: bool) -> None:
    end(world.trigger())
    world.cluster.ends[world.cluster.jobs[0].name] = ended
    event = end(world.trigger())
    # Airflow honors `retries` for the one; only a worker can say that the other wants none.
    if retry:
        assert isinstance(event, TaskFailedEvent)
    else:
        assert (event.payload["status"], event.payload["retry"]) == ("failed", False)


@pytest.mark.parametrize(
    "error", [UnreachableError("away"), CommandTimeoutError("too slow"), SlurmUnavailableError("down")], ids=str
)
def test_a_cluster_that_is_away_for_a_while_costs_no_try(
    world: World, monkeypatch: pytest.MonkeyPatch, error: RepxError
) -> None:
    monkeypatch.setattr(base, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(base, "_FIRST_PAUSE_SECONDS", 0.01)
    world.cluster.outages = [error] * 3
    assert isinstance(end(world.trigger()), TaskSuccessEvent)
    assert len(world.cluster.jobs) == 4


def test_what_is_given_up_while_the_cluster_is_away_is_not_started_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(base, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(base, "_LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(questions, "_REMEMBERED_SECONDS", 0.0)
    world.cluster.outages = [UnreachableError("away")] * 100_000

    async def scenario() -> Any:
        running = asyncio.ensure_future(anext(world.trigger(params={"continue_on_failure": False}).run()))
        await world.cluster.begun.wait()
        world.airflow.counts["failed"] = 1
        return await asyncio.wait_for(running, OUTCOME_TIMEOUT)

    asyncio.run(scenario())
    assert world.cluster.outages
    assert world.cluster.cancelled


def test_whatever_happens_the_task_hears_of_it(world: World) -> None:
    world.cluster.outages = [ValueError("never thought of")]
    assert isinstance(end(world.trigger()), TaskFailedEvent)
    world.cluster.outages = [ValueError("never thought of")]
    payload = end(world.trigger(direct=False)).payload
    assert (payload["status"], payload["retry"]) == ("failed", True)
    assert "never thought of" in payload["text"]


def test_a_job_can_be_ended_when_its_lab_is_gone(world: World) -> None:
    trigger = world.trigger()
    end(trigger)
    world.experiment.lab.rename(world.experiment.folder / "elsewhere")
    plans._opened.clear()  # noqa: SLF001 - as in a triggerer that has forgotten it
    plans._labs.clear()  # noqa: SLF001 - see above
    world.airflow.states = {"prepare_0": "failed"}
    asyncio.run(trigger.on_kill())
    assert [key.paths for key in world.cluster.cancelled] == [world.cluster.jobs[0].paths]


def test_a_jobs_own_failure_is_tried_again_when_asked(world: World) -> None:
    end(world.trigger())
    world.cluster.ends[world.cluster.jobs[0].name] = "failed"
    assert isinstance(end(world.trigger(retry_failed_jobs=True)), TaskFailedEvent)


def test_all_jobs_of_a_packed_task_run_at_once_and_one_failure_leaves_the_others_alone(world: World) -> None:
    options = PlanOptions(max_mapped=1)
    world.airflow.xcoms["plan"] = options.plan(read_lab(world.experiment.lab), "simulation", world.target).fingerprint
    end(world.trigger(options=options, map_index=-1))
    first, second = (job.name for job in world.cluster.jobs)
    world.cluster.ends[first] = "failed"
    event = end(world.trigger(options=options, map_index=-1))
    assert event.payload["status"] == "failed"
    assert [job.name for job in world.cluster.jobs[2:]] == [first, second]


def test_when_a_job_of_the_run_has_failed_what_does_not_run_yet_is_given_up(world: World) -> None:
    params = {"continue_on_failure": False}
    end(world.trigger(params=params))
    world.cluster.held.add(world.cluster.jobs[0].name)

    async def scenario() -> Any:
        running = asyncio.ensure_future(anext(world.trigger(params=params).run()))
        await world.cluster.begun.wait()
        questions._known.clear()  # noqa: SLF001 - what is remembered for a few seconds
        world.airflow.counts["failed"] = 1
        return await asyncio.wait_for(running, OUTCOME_TIMEOUT)

    assert isinstance(asyncio.run(scenario()), TaskSkippedEvent)
    assert [key.paths for key in world.cluster.cancelled] == [world.cluster.jobs[1].paths]
    # And nothing is started at all from then on.
    questions._known.clear()  # noqa: SLF001 - what is remembered for a few seconds
    assert isinstance(end(world.trigger(params=params)), TaskSkippedEvent)
    assert len(world.cluster.jobs) == 2


@pytest.mark.parametrize(("state", "cancelled"), [("failed", 1), ("deferred", 0), ("scheduled", 1)])
def test_only_a_task_that_is_not_deferred_any_more_was_ended_by_a_user(
    world: World, state: str, cancelled: int
) -> None:
    trigger = world.trigger()
    end(trigger)
    world.airflow.states = {"prepare_0": state, "prepare_1": "deferred"}
    asyncio.run(trigger.on_kill())
    assert len(world.cluster.cancelled) == cancelled
    assert all(key.claimant == world.cluster.jobs[0].claimant for key in world.cluster.cancelled)


def test_a_trigger_made_anew_ends_what_the_one_before_it_has_submitted(world: World) -> None:
    end(world.trigger(map_index=1))
    world.airflow.states = {"prepare_1": "failed"}
    asyncio.run(world.trigger(map_index=1).on_kill())
    assert [key.paths for key in world.cluster.cancelled] == [world.cluster.jobs[0].paths]


def test_failures_of_before_do_not_stop_what_was_cleared(world: World) -> None:
    params = {"continue_on_failure": False}
    world.airflow.counts["failed"] = 1
    assert isinstance(end(world.trigger(params=params)), TaskSkippedEvent)
    world.airflow.counts["failed"] = 0
    assert isinstance(end(world.trigger(params=params)), TaskSuccessEvent)


def test_many_triggers_ask_once(world: World) -> None:
    async def scenario() -> None:
        triggers = [world.trigger(gates=("gate",), map_index=index % 2) for index in range(40)]
        await asyncio.gather(*(anext(trigger.run()) for trigger in triggers))
        world.airflow.states = {"prepare_0": "failed", "prepare_1": "failed"}
        await asyncio.gather(*(trigger.on_kill() for trigger in triggers))

    world.airflow.counts["success"] = 1
    asyncio.run(scenario())
    kinds = [type(message).__name__ for message in world.airflow.asked]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"GetXCom": 2, "GetTICount": 1, "GetTaskStates": 1}


def test_a_trigger_can_be_made_again_from_what_it_tells(world: World) -> None:
    for direct in (True, False):
        path, arguments = world.trigger(direct=direct).serialize()
        assert path == "airflow_provider_repx.triggers.slurm.stage.SlurmStageTrigger"
        again = SlurmStageTrigger(**json.loads(json.dumps(arguments)))
        assert again.serialize() == (path, arguments)


def test_all_tasks_of_a_run_share_its_plan(world: World) -> None:
    own = {"part": "step", "step": "fit", "gates": ("wait",), "sync_task": "sync", "retry_failed_jobs": True}
    changed = world.request(stage="measure", retries=3, push=False, **own)

    assert asyncio.run(plans.opened_run(changed)) is asyncio.run(plans.opened_run(world.request()))
    assert changed.model_fields_set - world.request().model_fields_set == {*own, "retries", "push"}
    assert set(StageRequest.model_fields) == changed.model_fields_set, "a new field: is it about the run or the task?"
