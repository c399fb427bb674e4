"""From a blueprint, as Nix writes it, to the files of a lab."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_repx.lab import read_lab
from airflow_provider_repx.nix.assemble import program
from airflow_provider_repx.nix.assemble.failure import BlueprintError
from airflow_provider_repx.nix.assemble.files import LabFiles
from airflow_provider_repx.nix.assemble.images import add_image
from airflow_provider_repx.nix.assemble.lab import write_lab
from airflow_provider_repx.nix.assemble.scripts import write_scripts

pytestmark = pytest.mark.unit

BASH = shutil.which("bash") or "/bin/bash"


class Blueprint:
    """Makes the records that Nix makes, with the files that they name below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[dict[str, Any]] = []

    def stage(
        self,
        name: str,
        *,
        needs: dict[str, tuple[str, str]] | None = None,
        first: dict[str, Any] | None = None,
        **extra: Any,
    ) -> dict[str, Any]:
        """`needs`: per input the stage and output that fill it."""
        needs = needs or {}
        producers = list(dict.fromkeys(stage for stage, _ in needs.values()))
        scripts = self.folder / f"scripts-{name}-{len(self.runs)}.json"
        write_scripts(
            {
                "label": f"stage '{name}'",
                "bash": BASH,
                "shellcheck": None,
                "executables": [
                    {
                        "key": "main",
                        "path": [],
                        "identity": [],
                        "content": extra.pop("content", {"shared": {"text": f"echo {name}", "defaults": {}}}),
                    }
                ],
            },
            scripts,
        )
        shape = {
            "inputs": sorted(needs),
            "outputs": ["data"],
            "defaults": {},
            "executables": [
                {
                    "key": "main",
                    "outputs": {"data": "$out/data"},
                    "mappings": [],
                    "externals": sorted(needs),
                    "deps": [],
                }
            ],
        }
        case = {
            "inputs": sorted(needs),
            "outputs": [["data"] for _ in producers],
            "mappings": [{"target": key, "stage": stage, "source": out} for key, (stage, out) in needs.items()],
            "special": first or {"runs": [], "store_base": False},
        }
        record: dict[str, Any] = {
            "name": name,
            "kind": "simple",
            "version": "1.1",
            "hash_mode": "pure",
            "parameters": {},
            "pname": {"shared": name},
            "resources": {"shared": {}},
            "part_resources": [{"shared": {}}],
            "shape": {"shared": shape},
            "scripts": str(scripts),
            "needs": producers,
            "items": producers,
            "cases": [case],
        }
        return record | extra

    def run(self, name: str, stages: list[dict[str, Any]], **extra: Any) -> None:
        pipelines = [{"name": "main", "stages": stages}]
        self.runs.append({"name": name, "axes": [], "dependencies": [], "paths": [], "pipelines": pipelines} | extra)

    def write(self, **extra: Any) -> Path:
        out = self.folder / "0123456789abcdfghijklmnpqrsvwxyz-repx-lab"
        task = {
            "git_hash": "abc",
            "lab_version": "1",
            "groups": {},
            "chosen": [run["name"] for run in self.runs],
            "launch": {"shebang": "/bin/bash", "path": ["/bin"]},
            "runs": self.runs,
            "images": {},
            "host_tools": [],
        }
        write_lab(task | extra, out)
        return out


@pytest.fixture
def blueprint(tmp_path: Path) -> Blueprint:
    return Blueprint(tmp_path)


def test_a_lab_is_written_that_its_reader_accepts(blueprint: Blueprint) -> None:
    axes = [
        {"names": ["seed"], "points": [[1], [2]]},
        {"names": ["a", "b"], "points": [["x", {"float": "0.1"}], ["y", True]]},
    ]
    make = blueprint.stage("make", parameters={"seed": 0, "unswept": None}, resources={"shared": {"cpus": 2}})
    use = blueprint.stage("use", needs={"data": ("make", "data")}, parameters={"b": 0.5})
    blueprint.run("sim", [make, use], axes=axes, paths=["/somewhere"])

    lab = read_lab(blueprint.write(groups={"all": ["sim"]}))

    assert lab.lab_id == "0123456789abcdfghijklmnpqrsvwxyz"
    jobs = list(lab.run("sim").jobs.values())
    assert [(job.stage, dict(job.axes or {})) for job in jobs] == [
        ("make", {"seed": 1}),
        ("make", {"seed": 2}),
        ("use", {"seed": 1, "b": 0.1}),
        ("use", {"seed": 1, "b": True}),
        ("use", {"seed": 2, "b": 0.1}),
        ("use", {"seed": 2, "b": True}),
    ]
    assert dict(jobs[0].params) == {"seed": 1, "unswept": None}
    assert jobs[2].producers == (next(iter(lab.run("sim").jobs)),)
    assert jobs[2].resource_hints.cpus == 2


def test_dynamic_attributes_are_those_of_the_instance(blueprint: Blueprint) -> None:
    texts = [{"text": f"echo {number}", "defaults": {}} for number in range(2)]
    make = blueprint.stage(
        "make",
        parameters={"seed": 0},
        pname={"each": ["one", "two"]},
        resources={"each": [{"cpus": 1}, {"cpus": 2}]},
        content={"each": texts},
    )
    blueprint.run("sim", [make], axes=[{"names": ["seed"], "points": [[1], [2]]}])
    lab = blueprint.write()

    jobs = read_lab(lab).run("sim").jobs.values()

    assert [(job.name, job.resource_hints.cpus) for job in jobs] == [("one-1.1", 1), ("two-1.1", 2)]
    scripts = [(lab / job.executables["main"].path).read_text() for job in jobs]
    assert [script.splitlines()[-1] for script in scripts] == ["echo 0", "echo 1"]


def test_hard_upstream_runs_are_in_ids_and_soft_ones_are_not(tmp_path: Path) -> None:
    def ids(kind: str, text: str) -> list[str]:
        folder = tmp_path / f"{kind}-{text}"
        folder.mkdir()
        blueprint = Blueprint(folder)
        blueprint.run("up", [blueprint.stage("make", content={"shared": {"text": text, "defaults": {}}})])
        first = {"runs": [{"run": "up", "type": kind}], "store_base": True}
        blueprint.run("down", [blueprint.stage("use", first=first)], dependencies=[{"run": "up", "type": kind}])
        lab = read_lab(blueprint.write())
        [job] = lab.run("down").jobs.values()
        assert [mapping.target_input for mapping in job.executables["main"].inputs] == ["metadata__up", "store__base"]
        return list(lab.run("down").jobs)

    assert ids("hard", "a") != ids("hard", "b")
    assert ids("soft", "a") == ids("soft", "b")


def test_a_slice_writes_the_jobs_of_the_chosen_run_only(blueprint: Blueprint) -> None:
    blueprint.run("up", [blueprint.stage("make")])
    blueprint.run("other", [blueprint.stage("look")])
    blueprint.run("down", [blueprint.stage("use")], dependencies=[{"run": "up", "type": "hard"}])

    lab = blueprint.write(chosen=["down"])

    assert [path.name.split("-", 1)[1] for path in (lab / "jobs").iterdir()] == ["use-1.1"]
    names = {path.name for path in (lab / "revision").iterdir()}
    assert names == {"metadata-top.json", "metadata-down.json", "metadata-up.json"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": "stage 'use': no"}, "stage 'use': no (for its only job)"),
        (None, "run 'sim', stage 'use': no dependency provides input 'data', and it has no default (for its only job)"),
    ],
)
def test_a_job_that_cannot_be_wired_stops_the_build(blueprint: Blueprint, change: Any, message: str) -> None:
    make, use = blueprint.stage("make"), blueprint.stage("use", needs={"data": ("make", "data")})
    if change is None:
        use["cases"][0]["mappings"] = []
        use["shape"]["shared"]["defaults"] = {"data": {"error": "it has no default"}}
    else:
        use["cases"][0] |= change
    blueprint.run("sim", [make, use])

    with pytest.raises(BlueprintError) as failure:
        blueprint.write()

    assert str(failure.value) == message


def test_host_tools_are_links_into_the_store(blueprint: Blueprint, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/bwrap").write_text("#!/bin/sh\n")
    blueprint.run("sim", [blueprint.stage("make")])

    lab = blueprint.write(host_tools=[{"name": "bubblewrap", "bin": str(tmp_path / "tools")}])

    [link] = lab.glob("host-tools/*/bin/bwrap")
    assert link.is_symlink()
    assert link.resolve() == lab / "store/bubblewrap-bwrap"
    read_lab(lab).run("sim")


def archive(path: Path, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def test_images_become_folders_with_layers_in_the_store(blueprint: Blueprint, tmp_path: Path) -> None:
    blueprint.run("sim", [blueprint.stage("make")])
    image = archive(
        tmp_path / "h-sim-image.tar.gz",
        {"./manifest.json": b"[]", "abc/layer.tar": b"layer", "../evil": b"", "/abs": b""},
    )

    lab = blueprint.write(images={"sim": image})

    assert json.loads((lab / "revision/metadata-sim.json").read_text())["image"] == "images/h-sim-image.tar"
    layer = lab / "images/h-sim-image.tar/abc/layer.tar"
    assert layer.resolve() == lab / f"store/{hashlib.sha256(b'layer').hexdigest()}-layer.tar"
    assert {path.name for path in (lab / "images/h-sim-image.tar").iterdir()} == {"abc", "manifest.json"}
    assert not (tmp_path / "evil").exists()


def test_an_archive_without_a_manifest_is_no_image(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.tar", {"data": b""})

    with pytest.raises(BlueprintError, match=r"x\.tar is no docker archive: there is no manifest\.json in it"):
        add_image(LabFiles(tmp_path / "lab"), path)


def scripts_task(text: str, shellcheck: str | None = None) -> dict[str, Any]:
    content = {"each": [{"text": "true", "defaults": {}}, {"text": text, "defaults": {}}]}
    executable = {"key": "main", "path": [], "identity": [], "content": content}
    return {"label": "stage 'a' (a.nix)", "bash": BASH, "shellcheck": shellcheck, "executables": [executable]}


@pytest.mark.parametrize(
    "text", ["if true; then", "}", "echo 'unterminated", "f() {", "true; } ; { true", "true ) ; ( true", "case x in"]
)
def test_text_that_is_no_bash_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BlueprintError, match=r"^stage 'a' \(a.nix\): the script is no valid bash:\nline [12]: "):
        write_scripts(scripts_task(text), tmp_path / "scripts.json")


@pytest.mark.parametrize("text", ["echo # comment", "echo \\", "cat <<END\nno end", "true\n\n\n", ""])
def test_text_that_only_looks_broken_between_others_is_accepted(tmp_path: Path, text: str) -> None:
    write_scripts(scripts_task(text), tmp_path / "scripts.json")

    assert (tmp_path / "scripts.json").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (0, None),
        (127, None),
        (1, "ShellCheck objects to the script:\nfound"),
        (3, "ShellCheck failed with exit code 3:\nfound"),
    ],
)
def test_what_shellcheck_says_counts(tmp_path: Path, code: int, message: str | None) -> None:
    shellcheck = tmp_path / "shellcheck"
    shellcheck.write_text(f"#!/bin/sh\necho found\nexit {code}\n")
    shellcheck.chmod(0o755)
    task = scripts_task("true", str(shellcheck))

    if message is None:
        write_scripts(task, tmp_path / "scripts.json")
    else:
        with pytest.raises(BlueprintError) as failure:
            write_scripts(task, tmp_path / "scripts.json")
        assert str(failure.value) == f"stage 'a' (a.nix): {message}"


def test_a_mistake_ends_the_program_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tmp_path / "blueprint.json"
    task.write_text(json.dumps(scripts_task("fi")))
    for name, value in {"task": "scripts", "blueprint": str(task), "out": str(tmp_path / "out"), "HOME": "/"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        program.main()

    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "repx-lib: stage 'a' (a.nix): the script is no valid bash:"
    assert "    1  fi" in lines


def test_the_program_writes_what_its_task_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tmp_path / "blueprint.json"
    task.write_text(json.dumps(scripts_task("true")))
    for name, value in {"task": "scripts", "blueprint": str(task), "out": str(tmp_path / "out"), "HOME": "/"}.items():
        monkeypatch.setenv(name, value)

    program.main()

    [(key, written)] = json.loads((tmp_path / "out").read_text()).items()
    assert key == "main"
    assert [sorted(content) for content in written["content"]["each"]] == [["defaults", "digest", "text"]] * 2
