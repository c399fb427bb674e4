"""Every pattern of RepX's page on advanced patterns, in its own words, evaluated, built and run."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab_runner import LabRunner
from tests.support.nix import LIBRARY, Nix

pytestmark = pytest.mark.integration


def build(nix: Nix, file: Path, attribute: str = "", arguments: str = "") -> Path:
    """Build a lab file that takes `pkgs` and `repx-lib`, as a flake would call it."""
    expression = (
        f"let repx-lib = import {LIBRARY}; pkgs = repx-lib.hostPkgs; self = {{ }}; "
        f"offered = {{ inherit pkgs repx-lib self; }} // {{ {arguments} }}; lab = import {file}; "
        "in lab (builtins.intersectAttrs (builtins.functionArgs lab) offered)"
    )
    return nix.build("--impure", "--expr", expression, *([attribute] if attribute else [])).path


def metadata(lab: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab / f"revision/metadata-{run}.json").read_text())
    return found


def jobs(lab: Path, run: str, stage: str | None = None) -> list[dict[str, Any]]:
    return [job for job in metadata(lab, run)["jobs"].values() if stage in (None, job["stage"])]


def test_dynamic_stages_take_the_values_of_each_job(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/dynamic/lab.nix")

    found = jobs(lab, "training")

    assert [job["axes"] for job in found] == [
        {"epochs": epochs, "model": model} for epochs in (100, 1000) for model in ("resnet", "pretrained", "large")
    ]
    pretrained, large = found[1], found[5]
    assert pretrained["name"] == "train-pretrained-1.1"
    assert pretrained["stage"] == "train"
    assert pretrained["pipeline"] == "main"
    assert pretrained["executables"]["main"]["outputs"] == {
        "metrics": "$out/metrics.csv",
        "model": "$out/model-pretrained.pt",
    }
    assert pretrained["resource_hints"] == {"mem": "8G", "cpus": 4, "time": "04:00:00"}
    assert large["resource_hints"] == {"mem": "64G", "cpus": 8, "time": "24:00:00"}
    text = (lab / large["executables"]["main"]["path"]).read_text()
    assert '--model large \\\n  --epochs 1000 \\\n  --output "$out/model-large.pt"\n' in text


def test_inputs_that_nobody_provides_are_files_beside_the_stage(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/dynamic/lab.nix")
    by_model = {job["params"]["model"]: job for job in jobs(lab, "training")}
    resnet, pretrained = (
        (lab / by_model[model]["executables"]["main"]["path"]).read_text() for model in ("resnet", "pretrained")
    )

    assert "[data]=" in resnet
    assert "[pretrained_weights]=" not in resnet
    [weights] = [word for word in pretrained.split() if word.startswith("([pretrained_weights]") or "weights]=" in word]
    path = Path(weights.split("=", 1)[1].rstrip(")"))
    assert path.read_text() == "weights\n"


def test_a_missing_program_fails_the_job_with_its_name(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(nix, labs / "patterns/resources/lab.nix")
    [job] = metadata(lab, "gpu")["jobs"]
    runner = LabRunner(lab, tmp_path)

    with pytest.raises(subprocess.CalledProcessError) as failure:
        runner.job(metadata(lab, "gpu"), job)

    # The document's script asks for a file that nobody has: it is Python that fails, having been found.
    assert "train_gpu.py" in failure.value.stderr
    nvcc = build(nix, labs / "patterns/resources/missing.nix")
    runner = LabRunner(nvcc, tmp_path)
    [job] = metadata(nvcc, "missing")["jobs"]
    with pytest.raises(subprocess.CalledProcessError) as failure:
        runner.job(metadata(nvcc, "missing"), job)
    assert failure.value.returncode == 127
    assert (
        "this machine has no program 'no-such-program' (package 'no-such-program' of hostPkgs)" in failure.value.stderr
    )


def test_directories_files_and_scans(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(nix, labs / "patterns/scanning/lab.nix")
    runner = LabRunner(lab, tmp_path)

    for run in ("grading", "files", "scan"):
        runner.run(run)

    grades = sorted(path.read_text().split() for path in tmp_path.glob("outputs/*/out/grade.txt"))
    assert grades == [["alice", "1"], ["bob", "2"]]
    assert [Path(job["params"]["submission"]).name for job in jobs(lab, "grading")] == ["alice", "bob"]
    assert [Path(job["params"]["config"]).read_text() for job in jobs(lab, "files")] == ["a\n", "b\n"]
    scanned = [
        (Path(job["params"]["dataset"]).name.split("-", 1)[1], Path(job["params"]["experiment"]).name.split("-", 1)[1])
        for job in jobs(lab, "scan")
    ]
    assert scanned == [(data, experiment) for data in ("a.csv", "b.csv") for experiment in ("exp-1", "exp-2")]


def test_dynamic_lists(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/zipped/lab.nix")

    points = [(job["axes"]["model"], job["axes"]["seed"]) for job in jobs(lab, "sweep")]

    assert points == [(model, seed) for model in ("A", "B") for seed in (10, 20, 30, 40, 50)]


def test_zipped_parameters(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/zipped/lab.nix")

    points = [(job["axes"]["seed"], job["axes"]["model"], job["axes"]["lr"]) for job in jobs(lab, "arch-sweep")]

    assert points == [
        (seed, model, lr) for seed in (1, 2, 3) for model, lr in (("resnet", 0.001), ("transformer", 0.0001))
    ]


def test_run_groups(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/groups/lab.nix")

    top = json.loads((lab / "revision/metadata-top.json").read_text())

    assert top["groups"] == {
        "baselines": ["baseline"],
        "ml-pipeline": ["preprocess", "train", "evaluate"],
        "reporting": ["visualize"],
    }
    assert top["gitHash"] == "unknown"
    order = [Path(path).stem.removeprefix("metadata-") for path in top["runs"]]
    assert sorted(order) == ["baseline", "evaluate", "preprocess", "train", "visualize"]
    assert order.index("preprocess") < order.index("train") < order.index("evaluate") < order.index("visualize")
    assert metadata(lab, "evaluate")["dependencies"] == {"revision/metadata-train.json": "hard"}


def test_resource_hints_of_a_stage(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/resources/lab.nix")

    [job] = jobs(lab, "gpu")

    assert job["resource_hints"] == {
        "mem": "32G",
        "cpus": 8,
        "time": "12:00:00",
        "partition": "gpu",
        "sbatch_opts": ["--gres=gpu:2", "--constraint=a100"],
    }


def test_resource_hints_of_scatter_steps_and_gather(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/resources/lab.nix")

    [job] = jobs(lab, "parallel", "process")
    hints = {key: executable["resource_hints"] for key, executable in job["executables"].items()}

    assert job["stage_type"] == "scatter-gather"
    assert job["resource_hints"] == {"mem": "1G", "cpus": 2, "time": "01:00:00", "partition": "io"}
    assert hints == {
        "scatter": {"mem": "4G", "cpus": 1, "time": "00:05:00", "partition": "io"},
        "step-compute": {"mem": "16G", "cpus": 4, "time": "02:00:00", "partition": "compute"},
        "step-summarize": {"mem": "2G", "cpus": 1, "time": "00:10:00", "partition": "io"},
        "gather": {"mem": "8G", "cpus": 2, "time": "00:30:00", "partition": "io"},
    }
    # Behind a scatter-gather stage, the job's hints are inherited, not those of its parts.
    [report] = jobs(lab, "parallel", "report")
    assert report["resource_hints"] == job["resource_hints"]


def test_scatter_gather_runs(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(nix, labs / "patterns/resources/lab.nix")

    LabRunner(lab, tmp_path).run("parallel")

    [report] = tmp_path.glob("outputs/*/out/report.txt")
    assert report.read_text().split() == ["header", "3"]
    [process] = jobs(lab, "parallel", "process")
    compute = process["executables"]["step-compute"]["inputs"]
    assert [(one.get("source"), one["target_input"]) for one in compute] == [
        ("scatter:work_item", "worker__item"),
        (None, "data"),
    ]
    assert process["executables"]["step-summarize"]["deps"] == ["compute"]
    assert process["executables"]["gather"]["inputs"] == [
        {"source": "runner:worker_outputs", "source_key": "summary", "target_input": "worker__outs"},
        {"job_id": "self", "source_output": "header", "target_input": "header"},
    ]


def test_impure_stages_reach_their_derivation(nix: Nix, labs: Path) -> None:
    expression = (
        f"with import {labs}/tools.nix; (labOf {{ }} {{ a = callStage (producer // {{ __noChroot = true; }}) [ ]; "
        "b = callStage producer [ ]; }).runs.sim.stages.pipeline"
    )

    found = nix.eval("--impure", "--expr", f"builtins.mapAttrs (_: drv: drv.__noChroot or false) ({expression})")

    assert found == {"a": True, "b": False}


def test_inter_run_dependencies(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(nix, labs / "patterns/dependencies/lab.nix")

    evaluation = metadata(lab, "evaluation")
    [collect], [compare] = jobs(lab, "evaluation", "collect"), jobs(lab, "evaluation", "compare")

    assert evaluation["dependencies"] == {
        "revision/metadata-training.json": "hard",
        "revision/metadata-data-generation.json": "soft",
    }
    assert collect["executables"]["main"]["inputs"] == [
        {
            "type": "inter-run",
            "source_run": "training",
            "dependency_type": "hard",
            "target_input": "metadata__training",
        },
        {"type": "global", "source_value": "store_base", "target_input": "store__base"},
    ]
    # The soft dependency fills an input where a stage asks for it, and adds none where none does.
    inputs = {one["target_input"]: one for one in compare["executables"]["main"]["inputs"]}
    assert inputs["metadata__data-generation"]["dependency_type"] == "soft"
    assert set(inputs) == {"jobs", "metadata__data-generation", "store__base"}
    # First stages of a run with a hard dependency are given it, whether they look at it or not.
    for job in jobs(lab, "training"):
        assert [one["target_input"] for one in job["executables"]["main"]["inputs"]] == [
            "metadata__data-generation",
            "store__base",
        ]
    runner = LabRunner(lab, tmp_path)
    for run in ("data-generation", "training", "evaluation"):
        runner.run(run)
    [found] = tmp_path.glob("outputs/*/out/jobs")
    assert found.read_text().splitlines() == sorted(f'"jobs/{job}' for job in metadata(lab, "training")["jobs"])


def test_native_only_labs(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/native/lab.nix", arguments='self.dirtyRev = "abc-dirty";')

    assert "image" not in metadata(lab, "lightweight")
    assert not (lab / "images").exists()
    assert metadata(lab, "lightweight")["gitHash"] == "abc-dirty"


DOCKER = "pkgs = pkgs // import {labs}/docker_tools.nix {{ }} pkgs;"


def image_of(lab: Path, run: str) -> str:
    image: str = metadata(lab, run)["image"]
    [record] = json.loads((lab / image / "manifest.json").read_text())
    for layer in record["Layers"]:
        content = (lab / image / layer).resolve()
        assert content.parent == lab / "store"
        assert content.name == f"{hashlib.sha256(content.read_bytes()).hexdigest()}-layer.tar"
    label: str = record["RepoTags"][0]
    return label


def test_per_run_container_images(nix: Nix, labs: Path) -> None:
    arguments = DOCKER.format(labs=labs) + 'containerMode = "per-run";'
    lab = build(nix, labs / "patterns/native/per-run.nix", arguments=arguments)

    assert image_of(lab, "simulation") == "simulation-image:latest"
    assert image_of(lab, "analysis") == "analysis-image:latest"


def test_lab_slices_have_their_own_container_mode(nix: Nix, labs: Path) -> None:
    arguments = DOCKER.format(labs=labs) + 'containerMode = "unified";'
    whole = build(nix, labs / "patterns/native/per-run.nix", arguments=arguments)
    part = build(nix, labs / "patterns/native/per-run.nix", "runs.simulation", arguments=arguments)

    assert image_of(whole, "simulation") == image_of(whole, "analysis") == "repx-shared-image:latest"
    assert image_of(part, "simulation") == "simulation-image:latest"


def test_lab_slices_hold_one_run_with_the_same_ids(nix: Nix, labs: Path) -> None:
    file = labs / "patterns/dependencies/lab.nix"
    whole, part = build(nix, file), build(nix, file, "runs.eval")

    top = json.loads((part / "revision/metadata-top.json").read_text())

    assert top["runs"] == ["revision/metadata-evaluation.json"]
    assert list(metadata(part, "evaluation")["jobs"]) == list(metadata(whole, "evaluation")["jobs"])
    assert {path.name for path in (part / "jobs").iterdir()} == set(metadata(part, "evaluation")["jobs"])
    # Its jobs read the metadata of the runs that it depends on, so that is there.
    assert metadata(part, "training") == metadata(whole, "training")


@pytest.mark.parametrize(
    "file", ["dynamic/lab.nix", "scanning/lab.nix", "resources/lab.nix", "dependencies/lab.nix", "groups/lab.nix"]
)
def test_the_manifest_vouches_for_every_file(nix: Nix, labs: Path, file: str) -> None:
    lab = build(nix, labs / "patterns" / file)

    manifest = json.loads((lab / "lab/lab-metadata.json").read_text())

    assert manifest["labId"] == lab.name.split("-", 1)[0]
    assert manifest["metadata"] == "revision/metadata-top.json"
    found = {
        str(path.relative_to(lab)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in lab.rglob("*")
        if not path.is_dir()
    }
    del found["lab/lab-metadata.json"]
    assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == found
    assert [entry["path"] for entry in manifest["files"]] == sorted(found)
    assert [path.is_dir() for path in (lab / "host-tools").iterdir()] == [True]


def test_stages_have_one_script_file_where_nothing_in_it_differs(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs / "patterns/scanning/lab.nix")

    inodes = Counter((lab / job["executables"]["main"]["path"]).stat().st_ino for job in jobs(lab, "grading"))

    assert list(inodes.values()) == [2]
