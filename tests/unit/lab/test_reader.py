from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_repx.errors import LabFormatError, LabIntegrityError, LabNotFoundError, LabPathError
from airflow_provider_repx.lab import read_lab
from tests.support.labs import write_manifest
from tests.unit.lab.making import PLOT_FILE, PRODUCER, edit, edit_job, two_runs

pytestmark = pytest.mark.unit


def test_a_directory_is_read(tmp_path: Path) -> None:
    lab = read_lab(two_runs(tmp_path / "lab"))
    assert lab.run_names == ("sim", "plot")
    assert lab.is_directory
    assert lab.git_hash == "0" * 40
    assert lab.repx_version == "0.5.0"
    assert lab.version == "1.0.0"
    assert lab.lab_id


def test_a_path_may_be_text(tmp_path: Path) -> None:
    assert read_lab(str(two_runs(tmp_path / "lab"))).run_names == ("sim", "plot")


def test_the_manifest_itself_may_be_given(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    assert read_lab(path / "lab" / "lab-metadata.json").path == path.resolve()


def test_a_relative_manifest_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_runs(tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab" / "lab")
    assert read_lab("lab-metadata.json").path == (tmp_path / "lab").resolve()


def test_a_link_is_followed_once_and_for_all(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path / "first"), two_runs(tmp_path / "second")
    edit_job(second, PRODUCER, lambda job: job["params"].update(seed=2))
    link = tmp_path / "result"
    link.symlink_to(first)
    lab = read_lab(link)
    link.unlink()
    link.symlink_to(second)
    assert lab.path == first.resolve()
    assert lab.run("sim").jobs[PRODUCER].params["seed"] == 1


def test_only_the_run_that_is_asked_for_is_read(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    (path / PLOT_FILE).write_text("not JSON, and not what the manifest says")
    lab = read_lab(path)
    assert PRODUCER in lab.run("sim").jobs
    with pytest.raises(LabIntegrityError, match="metadata-plot"):
        lab.run("plot")


def test_a_run_is_read_once(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    lab = read_lab(path)
    run = lab.run("sim")
    (path / "revision/metadata-sim.json").unlink()
    assert lab.run("sim") is run


def test_file_names_of_older_versions_carry_hashes(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    digest = "2wnaj21fv450ldv4ydm5pym811d8ymlb"
    for name in ("top", "sim", "plot"):
        (path / f"revision/metadata-{name}.json").rename(path / f"revision/{digest}-metadata-{name}.json")
    top = path / f"revision/{digest}-metadata-top.json"
    top.write_text(top.read_text().replace("revision/", f"revision/{digest}-"))
    plot = path / f"revision/{digest}-metadata-plot.json"
    plot.write_text(plot.read_text().replace("revision/", f"revision/{digest}-"))
    write_manifest(path)
    manifest = path / "lab/lab-metadata.json"
    record = json.loads(manifest.read_text()) | {"metadata": f"revision/{digest}-metadata-top.json"}
    manifest.unlink()
    (path / f"lab/{digest}-lab-metadata.json").write_text(json.dumps(record))
    lab = read_lab(path)
    assert lab.run_names == ("sim", "plot")
    assert [dependency.run for dependency in lab.run("plot").dependencies] == ["sim"]


@pytest.mark.parametrize("name", ["missing", "empty", "dangling", "no-manifest"])
def test_where_there_is_no_lab_the_error_names_the_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "no-manifest" / "lab").mkdir(parents=True)
    with pytest.raises(LabNotFoundError, match=name):
        read_lab(tmp_path / name)


def test_a_manifest_outside_a_lab_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab-metadata.json").write_text("{}")
    with pytest.raises(LabNotFoundError, match="lies in its folder 'lab'"):
        read_lab(tmp_path / "lab-metadata.json")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_an_impossible_path_is_no_lab(path: str) -> None:
    with pytest.raises(LabNotFoundError):
        read_lab(path)


def test_several_manifests_need_a_choice(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    other = path / "lab/other-lab-metadata.json"
    other.write_text((path / "lab/lab-metadata.json").read_text().replace('"labId": "', '"labId": "other'))
    with pytest.raises(LabFormatError, match=r"several manifests.*lab-metadata.json, other-lab-metadata.json"):
        read_lab(path)
    assert read_lab(other).lab_id.startswith("other")


def test_a_manifest_that_links_out_of_the_lab_is_refused(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    (path / "lab/lab-metadata.json").rename(tmp_path / "outside.json")
    (path / "lab/lab-metadata.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(LabPathError, match="leads out of the lab"):
        read_lab(path)


def test_a_changed_root_is_noticed_before_it_is_parsed(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    (path / "revision/metadata-top.json").write_text("{")
    with pytest.raises(LabIntegrityError, match=r"metadata-top.json: its content is not what"):
        read_lab(path)


def test_a_missing_root_is_an_integrity_error(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    (path / "revision/metadata-top.json").unlink()
    with pytest.raises(LabIntegrityError, match=r"metadata-top.json: missing"):
        read_lab(path)


def test_a_root_that_is_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    (path / "revision/metadata-top.json").unlink()
    os.mkfifo(path / "revision/metadata-top.json")
    with pytest.raises(LabIntegrityError, match="not a regular file"):
        read_lab(path)


def test_an_empty_list_of_files_vouches_for_nothing(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    manifest = path / "lab/lab-metadata.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"files": []}))
    assert len(read_lab(path).run("sim").jobs) == 2


def test_a_run_that_the_manifest_does_not_list_is_refused(tmp_path: Path) -> None:
    path = two_runs(tmp_path / "lab")
    manifest = path / "lab/lab-metadata.json"
    record = json.loads(manifest.read_text())
    record["files"] = [entry for entry in record["files"] if "metadata-sim" not in entry["path"]]
    manifest.write_text(json.dumps(record))
    lab = read_lab(path)
    with pytest.raises(LabIntegrityError, match=r"metadata-sim.json: not listed in the lab's manifest"):
        lab.run("sim")


@pytest.mark.parametrize("listed", ["../secret", "/etc/passwd", "", "jobs/../../x", "."])
def test_the_manifest_may_not_list_a_path_outside_the_lab(tmp_path: Path, listed: str) -> None:
    path = two_runs(tmp_path / "lab")
    manifest = path / "lab/lab-metadata.json"
    record = json.loads(manifest.read_text())
    record["files"].append({"path": listed, "sha256": "0" * 64})
    manifest.write_text(json.dumps(record))
    with pytest.raises(LabPathError, match=r"lab-metadata\.json"):
        read_lab(path)


def test_a_run_file_with_another_name_is_refused(tmp_path: Path) -> None:
    path = edit(two_runs(tmp_path / "lab"), "revision/metadata-top.json", lambda top: top["runs"].append("jobs/x.json"))
    with pytest.raises(
        LabFormatError, match=r"metadata-top.json: runs\[2\]: 'jobs/x.json' is not called metadata-<run>"
    ):
        read_lab(path)


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    path = edit(
        two_runs(tmp_path / "lab"),
        "revision/metadata-top.json",
        lambda top: top["runs"].append("revision/2wnaj21fv450ldv4ydm5pym811d8ymlb-metadata-sim.json"),
    )
    with pytest.raises(LabFormatError, match=r"runs\[2\]: a second run called 'sim'"):
        read_lab(path)


def test_a_group_of_unknown_runs_is_refused(tmp_path: Path) -> None:
    path = edit(two_runs(tmp_path / "lab"), "revision/metadata-top.json", lambda top: top["groups"].update(x=["simm"]))
    with pytest.raises(LabFormatError, match=r"groups.x: 'simm' is not a run of this lab; runs: sim, plot"):
        read_lab(path)


def test_a_run_name_is_no_path(tmp_path: Path) -> None:
    path = edit(
        two_runs(tmp_path / "lab"),
        "revision/metadata-top.json",
        lambda top: top["runs"].append("revision/metadata-../x.json"),
    )
    with pytest.raises(LabFormatError, match=r"is not called metadata-<run>"):
        read_lab(path)


@pytest.mark.parametrize("lab_id", ["a/b", "..", "a b", "-x"])
def test_a_lab_id_is_no_path(tmp_path: Path, lab_id: str) -> None:
    path = two_runs(tmp_path / "lab")
    write_manifest(path, lab_id=lab_id)
    with pytest.raises(LabFormatError, match=r"lab-metadata\.json: labId: "):
        read_lab(path)
