from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import JobInputError, StoreError
from airflow_provider_repx.execution.store import OutputStore, parameters, resolve_inputs, write_inputs
from airflow_provider_repx.execution.store.inputs import expand_output
from airflow_provider_repx.lab import JobId, Lab, read_lab
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab

pytestmark = pytest.mark.unit

PRODUCER = JobId(job_id("prepare-1.1"))
CONSUMER = JobId(job_id("simulate-1.1"))


def lab_with(path: Path, *, producer: dict[str, Any] | None = None, **consumer: Any) -> Lab:
    jobs = [JobSpec(PRODUCER, **(producer or {})), JobSpec(CONSUMER, **consumer)]
    return read_lab(write_lab(path / "lab", [RunSpec("main", jobs)]))


def mapping(**fields: Any) -> dict[str, Any]:
    """An executable of the consumer with one input, all keys there as RepX 0.5 writes them."""
    empty = dict.fromkeys(("type", "job_id", "source_output", "source_run", "source_value", "source", "source_key"))
    return {"path": f"jobs/{CONSUMER}/bin/main", "outputs": {}, "inputs": [empty | {"target_input": "given"} | fields]}


def store_with(path: Path, *done: JobId) -> OutputStore:
    store = OutputStore(path / "base $out")
    for job in done:
        store.job(job).repx.mkdir(parents=True)
        store.job(job).success.touch()
    return store


def test_an_output_of_a_done_producer_is_a_path(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, producer={"outputs": {"data": "$out/a/${out}"}}, reads={"given": (PRODUCER, "data")})
    store = store_with(tmp_path, PRODUCER)
    out = store.job(PRODUCER).out
    assert resolve_inputs(lab, lab.run("main"), CONSUMER, store) == {"given": f"{out}/a/{out}"}


def test_a_producer_that_is_not_done_is_named(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, reads={"given": (PRODUCER, "data")})
    store = store_with(tmp_path)
    with pytest.raises(
        JobInputError, match=rf"main/{CONSUMER}: input 'given': its producer {PRODUCER} is not done .*status: pending"
    ):
        resolve_inputs(lab, lab.run("main"), CONSUMER, store)


def test_the_output_of_a_scatter_gather_job_is_its_gathers(tmp_path: Path) -> None:
    def part(name: str, **fields: Any) -> dict[str, Any]:
        return {"path": f"jobs/{PRODUCER}/bin/main", "inputs": [], "outputs": {"data": f"$out/{name}"}} | fields

    items = {"worker__arg": {"startIndex": 0}, "work__items": "$out/work_items.json"}
    outs = [{"source": "runner:worker_outputs", "source_key": "data", "target_input": "worker__outs"}]
    extra = {
        "stage_type": "scatter-gather",
        "executables": {
            "scatter": part("s", outputs=items),
            "step-one": part("one"),
            "gather": part("gathered", inputs=outs),
        },
    }
    lab = lab_with(tmp_path, producer={"extra": extra}, reads={"given": (PRODUCER, "data")})
    store = store_with(tmp_path, PRODUCER)
    found = resolve_inputs(lab, lab.run("main"), CONSUMER, store)
    assert found == {"given": f"{store.job(PRODUCER).out}/gathered"}


def test_metadata_of_another_run_is_that_of_this_very_lab(tmp_path: Path) -> None:
    upstream = RunSpec("sim", [JobSpec(PRODUCER)])
    analysis = RunSpec("analysis", [JobSpec(CONSUMER)], dependencies={"sim": "soft"})
    lab = read_lab(write_lab(tmp_path / "lab", [upstream, analysis]))
    store = store_with(tmp_path)
    found = resolve_inputs(lab, lab.run("analysis"), CONSUMER, store)
    assert found == {
        "metadata__sim": str(tmp_path / "lab/revision/metadata-sim.json"),
        "store__base": str(store.base_path),
    }


def test_a_metadata_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    upstream = RunSpec("sim", [JobSpec(PRODUCER)])
    analysis = RunSpec("analysis", [JobSpec(CONSUMER)], dependencies={"sim": "hard"})
    lab = read_lab(write_lab(tmp_path / "lab", [upstream, analysis]))
    (tmp_path / "lab/revision/metadata-sim.json").write_text("{}")
    with pytest.raises(JobInputError, match="input 'metadata__sim': the metadata of the run 'sim' cannot be used"):
        resolve_inputs(lab, lab.run("analysis"), CONSUMER, store_with(tmp_path))


def test_an_input_from_nowhere_is_refused(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    run = lab.run("main")
    job = run.jobs[CONSUMER]
    strange = type(job.executables["main"]).model_validate(mapping(type="global", source_value="moon"))
    changed = job.model_copy(update={"executables": {"main": strange}})
    altered = type(run)(run.name, run.metadata, run.git_hash, (), None, {**run.jobs, CONSUMER: changed})
    with pytest.raises(JobInputError, match="cannot be resolved for the executable 'main'"):
        resolve_inputs(lab, altered, CONSUMER, store_with(tmp_path))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"job_id": PRODUCER, "source_output": "nothing"}, "has no output 'nothing'; its outputs: data"),
        ({"job_id": "gone-1.1", "source_output": "data"}, "its producer gone-1.1 is not a job of this run"),
    ],
)
def test_a_wrong_source_is_refused(tmp_path: Path, fields: dict[str, str], text: str) -> None:
    lab = lab_with(tmp_path)
    run = lab.run("main")
    job = run.jobs[CONSUMER]
    wrong = type(job.executables["main"]).model_validate(mapping(type="intra-pipeline", **fields))
    changed = job.model_copy(update={"executables": {"main": wrong}})
    altered = type(run)(run.name, run.metadata, run.git_hash, (), None, {**run.jobs, CONSUMER: changed})
    with pytest.raises(JobInputError, match=text):
        resolve_inputs(lab, altered, CONSUMER, store_with(tmp_path, PRODUCER))


def test_files_are_written_as_repx_writes_them(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, params={"rate": 0.1, "text": 'ü "quoted"', "none": None, "on": True})
    store = store_with(tmp_path)
    write_inputs(store, CONSUMER, {"given": "/a b/ü"}, parameters(lab.run("main").jobs[CONSUMER]))
    paths = store.job(CONSUMER)
    assert paths.inputs.read_text() == '{\n  "given": "/a b/ü"\n}'
    assert json.loads(paths.parameters.read_text()) == {"rate": 0.1, "text": 'ü "quoted"', "none": None, "on": True}
    assert sorted(path.name for path in paths.repx.iterdir()) == ["inputs.json", "parameters.json"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    store = store_with(tmp_path)
    (store.job(CONSUMER).inputs / "occupied").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"inputs\.json: cannot write the file"):
        write_inputs(store, CONSUMER, {}, {})
    assert [path.name for path in store.job(CONSUMER).repx.iterdir()] == ["inputs.json"]


plain = st.text(alphabet=st.characters(blacklist_characters="$"))


@given(st.lists(st.one_of(plain, st.sampled_from(["$out", "${out}"]))), st.text())
def test_templates_expand_in_one_pass(parts: list[str], out: str) -> None:
    expected = "".join(out if part in ("$out", "${out}") else part for part in parts)
    assert expand_output("".join(parts), out) == expected
