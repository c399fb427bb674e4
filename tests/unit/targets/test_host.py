from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from airflow_provider_repx.targets import Capacity, host_capacity, local_target, with_host_capacity

pytestmark = pytest.mark.unit

CPUS = len(os.sched_getaffinity(0))
MEMORY = psutil.virtual_memory().total


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


def test_this_machine() -> None:
    found = host_capacity()
    assert 1 <= found.cpus <= CPUS
    assert found.memory is not None
    assert 0 < found.memory <= MEMORY


def test_without_control_groups_the_whole_machine_counts(machine: Callable[[dict[str, str]], Path]) -> None:
    assert host_capacity(machine({})) == Capacity(cpus=CPUS, memory=MEMORY)


def test_version_2_counts_the_group_and_those_around_it(machine: Callable[[dict[str, str]], Path]) -> None:
    root = machine(
        {
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/user/job/memory.max": "1000000\n",
            "sys/fs/cgroup/user/memory.max": "max\n",
        }
    )
    assert host_capacity(root) == Capacity(cpus=1, memory=1_000_000)


def test_version_1(machine: Callable[[dict[str, str]], Path]) -> None:
    root = machine(
        {
            "proc/self/cgroup": "5:memory:/job\n4:cpuacct,cpu:/job\n1:name=systemd:/\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "9223372036854771712\n",
        }
    )
    # Half a CPU is still one: a pool without slots would start nothing.
    assert host_capacity(root) == Capacity(cpus=1, memory=2_000_000)


def test_inside_a_container_the_top_counts(machine: Callable[[dict[str, str]], Path]) -> None:
    root = machine({"proc/self/cgroup": "0::/outer/path\n", "sys/fs/cgroup/memory.max": "3000000\n"})
    assert host_capacity(root).memory == 3_000_000


def test_unreadable_files_are_no_limit(machine: Callable[[dict[str, str]], Path]) -> None:
    root = machine(
        {"proc/self/cgroup": "garbage\n0::/\n", "sys/fs/cgroup/cpu.max": "nonsense", "sys/fs/cgroup/memory.max": ""}
    )
    assert host_capacity(root) == Capacity(cpus=CPUS, memory=MEMORY)


def test_open_parts_of_a_local_target_are_filled_in() -> None:
    target = local_target("/store")
    here = host_capacity()
    assert with_host_capacity(target).capacity == here
    some = target.model_copy(update={"capacity": Capacity(cpus=3)})
    assert with_host_capacity(some).capacity == Capacity(cpus=3, memory=here.memory)
    full = target.model_copy(update={"capacity": Capacity(cpus=3, memory=5)})
    assert with_host_capacity(full) is full
    far = target.model_copy(update={"address": "cluster"})
    assert with_host_capacity(far) is far
