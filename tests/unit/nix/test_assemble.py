"""The program that writes a lab's files, without Nix."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.lab.units import parse_memory, parse_time
from airflow_provider_repx.nix.assemble import resources
from airflow_provider_repx.nix.assemble.blueprint import Axis
from airflow_provider_repx.nix.assemble.files import LabFiles
from airflow_provider_repx.nix.assemble.identity import identifier
from airflow_provider_repx.nix.assemble.sweep import Narrower, index_of, positions

pytestmark = pytest.mark.unit


def test_identifiers_are_the_beginning_of_nix_base_32() -> None:
    # `nix hash to-base32` of the SHA-256 of the text ["a"]: 00k0k4kjgxm7fgnqbnn8krzaa1lszb27qmh8ibd7gihvz3bbid8f
    assert identifier(["a"], "name-1.1") == "00k0k4kjgxm7fgnqbnn8krzaa1lszb27-name-1.1"


axes_of_ints = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=5), min_size=1, max_size=3
)


@given(axes_of_ints, st.data())
def test_every_point_of_a_sweep_falls_into_the_class_of_its_values(points: list[Any], data: st.DataObject) -> None:
    axes = [Axis((f"a{number}", f"b{number}"), axis) for number, axis in enumerate(points)]
    seen = {
        number: frozenset(data.draw(st.sets(st.sampled_from(axis.names), min_size=1)))
        for number, axis in enumerate(axes)
    }
    narrower = Narrower(axes)
    narrowed = [narrower.narrow(number, seen[number]) for number in sorted(seen)]

    def values(position: dict[int, int]) -> tuple[Any, ...]:
        return tuple(pair for one in narrowed for pair in narrower.values(one, position[one.axis]))

    classes = [values(position) for position in positions(narrowed)]

    assert len(classes) == len(set(classes))
    whole = [narrower.narrow(number, frozenset(axis.names)) for number, axis in enumerate(axes)]
    for position in positions(whole):
        assert classes[index_of(narrowed, position)] == values(position)


def test_values_of_different_types_are_different_points() -> None:
    narrower = Narrower([Axis(("v",), [(1,), (1.0,), (True,), ("1",), (0.0,), (-0.0,), (1,)])])

    assert narrower.narrow(0, frozenset(["v"])).classes == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("text", ["1", "512M", "1.5G", "16g", "2T", "1P", "4GiB", "100KB"])
def test_memory_is_compared_as_the_rest_of_the_package_reads_it(text: str) -> None:
    assert resources.memory_bytes(text) == parse_memory(text)


@pytest.mark.parametrize("text", ["90", "30:00", "02:00:00", "00:90:00", "1-12", "1-12:30", "1-12:30:15"])
def test_time_is_compared_as_the_rest_of_the_package_reads_it(text: str) -> None:
    assert resources.time_seconds(text) == parse_time(text)


@pytest.mark.parametrize(
    ("own", "upstream", "merged"),
    [
        ({}, [], {}),
        ({"mem": "1G"}, [{"mem": "2000M"}], {"mem": "2000M"}),
        ({"cpus": 4}, [{"cpus": 1}, {"cpus": 2}], {"cpus": 4}),
        ({}, [{}, {"partition": "b"}, {"partition": "c"}], {"partition": "b"}),
        (
            {"partition": "a", "sbatch_opts": []},
            [{"partition": "b", "sbatch_opts": ["-x"]}],
            {"partition": "a", "sbatch_opts": []},
        ),
        ({"mem": None, "partition": None}, [{"mem": "2G", "partition": "b"}], {}),
        ({}, [{"sbatch_opts": []}, {"sbatch_opts": ["-x"]}], {"sbatch_opts": []}),
    ],
)
def test_resources_are_inherited(own: dict[str, Any], upstream: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    assert resources.inherit(own, upstream) == merged


def test_parts_of_a_job_fall_back_to_its_hints() -> None:
    job = {"mem": "1G", "cpus": 2, "partition": "p"}

    assert resources.with_fallback({"mem": "4G", "partition": None}, job) == {"mem": "4G", "cpus": 2}


def test_equal_contents_are_one_file(tmp_path: Path) -> None:
    files = LabFiles(tmp_path)
    for name in ("a", "b/c"):
        files.write(name, b"same", executable=True)
    files.write("d", b"same")

    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b/c").stat().st_ino != (tmp_path / "d").stat().st_ino
    assert os.access(tmp_path / "b/c", os.X_OK)
    digest = hashlib.sha256(b"same").hexdigest()
    assert files.entries() == [{"path": path, "sha256": digest} for path in ("a", "b/c", "d")]


def test_a_file_with_too_many_names_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def full(source: str, target: str) -> None:
        # What ext4 says of the 65,001st name of a file.
        if Path(source).stat().st_nlink >= 3:
            raise OSError(errno.EMLINK, "Too many links")
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    files = LabFiles(tmp_path)
    for number in range(8):
        files.write(f"f{number}", b"same")

    assert sorted((tmp_path / f"f{number}").stat().st_nlink for number in range(8)) == [2, 2, 3, 3, 3, 3, 3, 3]
    assert all((tmp_path / f"f{number}").read_bytes() == b"same" for number in range(8))
