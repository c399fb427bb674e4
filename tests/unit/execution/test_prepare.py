from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import JobInputError, LabIntegrityError, LabLookupError, StoreError
from airflow_provider_repx.execution.store import OutputStore
from airflow_provider_repx.execution.store.templates import expand_output
from airflow_provider_repx.execution.units import PreparedUnit, Unit, prepare_unit
from airflow_provider_repx.lab import JobId, Lab, Run, read_lab
from airflow_provider_repx.lab.graph import step_order
from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tests.support.scatter_gather import scatter_gather

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "REPX_UPDATE_GOLDEN"
FIXTURES = Path(__file__).parents[4] / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the labs made by RepX are not beside the repository")

PRODUCER = JobId(job_id("prepare-1.1"))
CONSUMER = JobId(job_id("simulate-1.1"))
SPLIT = JobId(job_id("split-1.1"))
STORE = OutputStore(Path("/base $out"))


def lab_with(path: Path, *, producer: dict[str, Any] | None = None, **consumer: Any) -> Lab:
    jobs = [JobSpec(PRODUCER, **(producer or {})), JobSpec(CONSUMER, **consumer)]
    return read_lab(write_lab(path / "lab", [RunSpec("main", jobs)]))


def altered(run: Run, **fields: Any) -> Run:
    """The run with other wiring of its consumer's only input, all keys there as RepX 0.5 writes them."""
    empty = dict.fromkeys(("type", "job_id", "source_output", "source_run", "source_value", "source", "source_key"))
    job = run.jobs[CONSUMER]
    record = {
        "path": f"jobs/{CONSUMER}/bin/main",
        "outputs": {},
        "inputs": [empty | {"target_input": "given"} | fields],
    }
    executable = type(job.executables["main"]).model_validate(record)
    changed = job.model_copy(update={"executables": {"main": executable}})
    return Run(run.name, run.metadata, run.git_hash, (), None, {**run.jobs, CONSUMER: changed})


def inputs_of(prepared: PreparedUnit) -> dict[str, str]:
    found: dict[str, str] = json.loads(prepared.files[prepared.inputs])
    return found


def test_a_simple_job(tmp_path: Path) -> None:
    lab = lab_with(
        tmp_path,
        producer={"outputs": {"data": "$out/a/${out}"}},
        reads={"given": (PRODUCER, "data")},
        params={"rate": 0.1, "text": 'ü "quoted"', "none": None, "on": True},
    )
    prepared = prepare_unit(lab, lab.run("main"), Unit(CONSUMER), STORE)
    paths, out = STORE.job(CONSUMER), STORE.job(PRODUCER).out
    assert prepared.executable == lab.path / f"jobs/{CONSUMER}/bin/main"
    assert (prepared.paths, prepared.inputs, prepared.parameters) == (paths, paths.inputs, paths.parameters)
    assert prepared.files[paths.inputs].decode() == f'{{\n  "given": "{out}/a/{out}"\n}}'
    assert json.loads(prepared.files[paths.parameters]) == {
        "rate": 0.1,
        "text": 'ü "quoted"',
        "none": None,
        "on": True,
    }
    assert '"ü \\"quoted\\""' in prepared.files[paths.parameters].decode()
    assert prepared.needs == (STORE.job(PRODUCER),)
    assert (prepared.outdates, prepared.fails, prepared.made_from) == ((), (), ())


def test_the_output_of_a_scatter_gather_job_is_its_gathers(tmp_path: Path) -> None:
    jobs = [scatter_gather(PRODUCER, items=""), JobSpec(CONSUMER, reads={"given": (PRODUCER, "data")})]
    lab = read_lab(write_lab(tmp_path / "lab", [RunSpec("main", jobs)]))
    prepared = prepare_unit(lab, lab.run("main"), Unit(CONSUMER), STORE)
    assert inputs_of(prepared) == {"given": f"{STORE.job(PRODUCER).out}/data.txt"}


def test_metadata_of_another_run_is_that_of_this_very_lab(tmp_path: Path) -> None:
    upstream = RunSpec("sim", [JobSpec(PRODUCER)])
    analysis = RunSpec("analysis", [JobSpec(CONSUMER)], dependencies={"sim": "soft"})
    lab = read_lab(write_lab(tmp_path / "lab", [upstream, analysis]))
    here = prepare_unit(lab, lab.run("analysis"), Unit(CONSUMER), STORE)
    there = prepare_unit(lab, lab.run("analysis"), Unit(CONSUMER), STORE, lab_root=Path("/labs/x"))
    assert inputs_of(here) == {
        "metadata__sim": str(tmp_path / "lab/revision/metadata-sim.json"),
        "store__base": "/base $out",
    }
    assert inputs_of(there)["metadata__sim"] == "/labs/x/revision/metadata-sim.json"
    assert there.executable == Path(f"/labs/x/jobs/{CONSUMER}/bin/main")


def test_files_that_were_changed_are_refused(tmp_path: Path) -> None:
    upstream = RunSpec("sim", [JobSpec(PRODUCER)])
    analysis = RunSpec("analysis", [JobSpec(CONSUMER)], dependencies={"sim": "hard"})
    lab = read_lab(write_lab(tmp_path / "lab", [upstream, analysis]))
    (tmp_path / "lab/revision/metadata-sim.json").write_text("{}")
    with pytest.raises(JobInputError, match="input 'metadata__sim': the metadata of the run 'sim' cannot be used"):
        prepare_unit(lab, lab.run("analysis"), Unit(CONSUMER), STORE)
    (tmp_path / f"lab/jobs/{PRODUCER}/bin/main").write_text("rm -rf /")
    with pytest.raises(LabIntegrityError):
        prepare_unit(lab, lab.run("sim"), Unit(PRODUCER), STORE)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "global", "source_value": "moon"}, "cannot be resolved for the executable 'main'"),
        ({"source": "scatter:work_item"}, "cannot be resolved for the executable 'main'"),
        (
            {"type": "intra-pipeline", "job_id": PRODUCER, "source_output": "nothing"},
            "has no output 'nothing'; its outputs: data",
        ),
        (
            {"type": "intra-pipeline", "job_id": "gone-1.1", "source_output": "data"},
            "its producer gone-1.1 is not a job of this run",
        ),
    ],
)
def test_a_wrong_source_is_refused(tmp_path: Path, fields: dict[str, str], text: str) -> None:
    lab = lab_with(tmp_path)
    with pytest.raises(JobInputError, match=text):
        prepare_unit(lab, altered(lab.run("main"), **fields), Unit(CONSUMER), STORE)


def test_jobs_and_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    lab = read_lab(write_lab(tmp_path / "lab", [RunSpec("main", [JobSpec(CONSUMER), scatter_gather(SPLIT, items="")])]))
    run = lab.run("main")
    with pytest.raises(LabLookupError, match=f"there is no job called '{PRODUCER}'"):
        prepare_unit(lab, run, Unit(PRODUCER), STORE)
    with pytest.raises(LabLookupError, match=r"is a simple job without an executable 'scatter'.*it has: main"):
        prepare_unit(lab, run, Unit(CONSUMER, "scatter"), STORE)
    with pytest.raises(
        LabLookupError, match=r"scatter-gather job without an executable 'step-middle'.*it has: scatter"
    ):
        prepare_unit(lab, run, Unit(SPLIT, "step", 0, "middle"), STORE)
    with pytest.raises(JobInputError, match="gather reads the outputs of all branches"):
        prepare_unit(lab, run, Unit(SPLIT, "gather"), STORE)


@pytest.mark.parametrize("fields", [{"part": "step"}, {"part": "step", "branch": 1}, {"branch": 1}, {"step": "x"}])
def test_only_a_step_has_a_branch_and_a_name(fields: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="a step has a branch from 0 and a name"):
        Unit(SPLIT, **fields)


def as_json(prepared: PreparedUnit) -> dict[str, Any]:
    """A prepared unit as JSON data, for golden files."""
    return {
        "unit": str(prepared.unit),
        "root": str(prepared.paths.root),
        "executable": str(prepared.executable),
        "inputs": str(prepared.inputs),
        "parameters": str(prepared.parameters),
        "files": {str(path): json.loads(content) for path, content in prepared.files.items()},
        "needs": [str(paths.root) for paths in prepared.needs],
        "made_from": list(map(str, prepared.made_from)),
        "outdates": [str(paths.root) for paths in prepared.outdates],
        "fails": [str(paths.root) for paths in prepared.fails],
    }


def check_golden(found: Any, name: str) -> None:
    path = GOLDEN / f"{name}.json"
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path} differs; set {UPDATE}=1 to accept what is there now"


def all_parts(lab: Lab, run: Run, job: JobId, branches: int, lab_root: Path | None = None) -> list[PreparedUnit]:
    units = [Unit(job, "scatter")]
    units += [Unit(job, "step", branch, step) for branch in range(branches) for step in step_order(run.jobs[job])]
    units.append(Unit(job, "gather"))
    return [prepare_unit(lab, run, unit, STORE, lab_root=lab_root, branches=branches) for unit in units]


@needs_fixtures
@pytest.mark.parametrize(
    ("lab", "run_name"),
    [
        ("repx-0.3.1/simple", "simulation-run"),
        ("repx-0.3.1/simple", "analysis-run"),
        ("repx-0.3.1/reference", "simulation-run"),
        ("repx-0.3.1/reference", "analysis-run"),
        ("repx-0.4.2/reference", "simulation-run"),
        ("repx-0.4.2/reference", "analysis-run"),
        ("repx-0.5.0/simple", "simulation-run"),
        ("repx-0.5.0/simple", "analysis-run"),
        ("repx-0.5.0/param-sweep", "sweep-run"),
        ("repx-0.5.0/param-sweep", "plot-run"),
        ("repx-0.5.0/mount-paths", "mount-paths-run"),
        ("repx-0.5.0/reference", "simulation-run"),
        ("repx-0.5.0/reference", "analysis-run"),
    ],
)
def test_labs_made_by_repx(lab: str, run_name: str) -> None:
    """One job of each stage, with all of its parts."""
    opened = read_lab(FIXTURES / lab)
    run = opened.run(run_name)
    firsts: Mapping[str, JobId] = {run.jobs[job].name: job for job in sorted(run.jobs, reverse=True)}
    prepared = []
    for name in sorted(firsts):
        job = firsts[name]
        if run.jobs[job].stage_type == "simple":
            prepared.append(prepare_unit(opened, run, Unit(job), STORE, lab_root=Path("/labs/one")))
        else:
            prepared += all_parts(opened, run, job, 2, Path("/labs/one"))
    check_golden([as_json(unit) for unit in prepared], f"{lab.replace('/', '-')}-{run_name}")


def test_a_diamond(tmp_path: Path) -> None:
    job = scatter_gather(SPLIT, items="", reads={"seed": (PRODUCER, "data")}, params={"rate": 1})
    lab = read_lab(write_lab(tmp_path / "lab", [RunSpec("main", [JobSpec(PRODUCER), job])]))
    parts = all_parts(lab, lab.run("main"), SPLIT, 2)
    text = json.dumps([as_json(unit) for unit in parts]).replace(str(lab.path), "/lab")
    check_golden(json.loads(text), "diamond")


plain = st.text(alphabet=st.characters(blacklist_characters="$"))


@given(st.lists(st.one_of(plain, st.sampled_from(["$out", "${out}"]))), st.text())
def test_templates_expand_in_one_pass(parts: list[str], out: str) -> None:
    expected = "".join(out if part in ("$out", "${out}") else part for part in parts)
    assert expand_output("".join(parts), out) == expected
