from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import PlanError
from airflow_provider_repx.plan.slots import DEFAULT_POOL_SLOTS, pool_for, pool_limit, pool_name, shares, slots_for
from airflow_provider_repx.targets import Capacity, ResourceRules, Resources, SlurmDefaults, Target
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit

GIB = 2**30
UNKNOWN = Target(name="local", base_path="/store")
MACHINE = Target(name="local", base_path="/store", capacity=Capacity(cpus=12, memory=48 * GIB))
CLUSTER = Target(
    name="cluster",
    base_path="/store",
    scheduler="slurm",
    capacity=Capacity(cpus=64),
    partitions={"gpu": Capacity(cpus=32, memory=128 * GIB)},
)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), 1),
        (Resources(cpus=3), 4),
        (Resources(cpus=8), 8),
        (Resources(cpus=9), 12),  # 16 would be more than there is
        (Resources(mem=4 * GIB), 1),
        (Resources(mem=4 * GIB + 1), 2),
        (Resources(cpus=2, mem=20 * GIB), 8),
        (Resources(cpus=100), 12),  # alone on the machine
        (Resources(mem=100 * GIB), 12),
    ],
)
def test_slots_on_a_known_machine(resources: Resources, expected: object) -> None:
    assert slots_for(MACHINE, resources, "job") == expected


def test_slots_on_an_unknown_machine_are_the_cpus() -> None:
    assert slots_for(UNKNOWN, Resources(cpus=5, mem=500 * GIB), "job") == 8


def test_memory_does_not_count_where_the_capacity_says_nothing_of_it() -> None:
    assert slots_for(CLUSTER, Resources(cpus=2, mem=500 * GIB), "job") == 2


def test_a_job_that_no_partition_could_hold_is_refused() -> None:
    with pytest.raises(PlanError, match=r"job x asks for 33 CPUs, but its pool repx_cluster_gpu has only 32 CPUs"):
        slots_for(CLUSTER, Resources(cpus=33, partition="gpu"), "x")
    with pytest.raises(PlanError, match=r"1 CPUs and 129\.0 GiB of memory.*32 CPUs and 128\.0 GiB"):
        slots_for(CLUSTER, Resources(mem=129 * GIB, partition="gpu"), "x")
    assert slots_for(CLUSTER, Resources(cpus=32, partition="gpu"), "x") == 32


def test_a_partition_of_unknown_capacity_has_a_pool_that_holds_every_job() -> None:
    pool = pool_for(CLUSTER, "other")
    assert (pool.slots, pool.description) == (
        DEFAULT_POOL_SLOTS,
        "CPUs of partition other of target cluster: not known",
    )
    assert slots_for(CLUSTER, Resources(cpus=1000, partition="other"), "x") == DEFAULT_POOL_SLOTS
    assert pool_limit(CLUSTER, "other") is None
    assert pool_limit(CLUSTER, "gpu") == 32
    assert pool_for(UNKNOWN, None).slots is None


def test_jobs_that_name_no_partition_go_to_the_targets_own() -> None:
    cluster = CLUSTER.model_copy(update={"slurm": SlurmDefaults(partition="gpu")})
    assert pool_name(cluster, None) == "repx_cluster_gpu"
    assert pool_limit(cluster, None) == 32


def test_pools_are_named_after_target_and_partition() -> None:
    assert pool_name(MACHINE, "gpu") == "repx_local"
    assert pool_name(CLUSTER, None) == "repx_cluster"
    assert pool_name(CLUSTER, "gpu") == "repx_cluster_gpu"
    assert pool_name(CLUSTER, "gpu,cpu") == "repx_cluster_gpu_cpu"
    assert pool_for(CLUSTER, "gpu").slots == 32


def test_each_partition_of_a_run_has_its_pool() -> None:
    maker = RunMaker()
    gpu = maker.add("train", cpus=2, partition="gpu")
    cpu = maker.add("plot", "", gpu)
    found, pools = shares(maker.run(), CLUSTER, ResourceRules())
    assert (found[gpu].pool, found[cpu].pool) == ("repx_cluster_gpu", "repx_cluster")
    assert [(pool.name, pool.slots) for pool in pools] == [("repx_cluster", 64), ("repx_cluster_gpu", 32)]


@given(st.integers(1, 300), st.one_of(st.none(), st.integers(1, 2**41)), st.integers(1, 300), st.integers(2**20, 2**41))
def test_slots_cover_the_request_and_fit_the_machine(cpus: int, mem: int | None, capacity: int, memory: int) -> None:
    target = Target(name="local", base_path="/store", capacity=Capacity(cpus=capacity, memory=memory))
    slots = slots_for(target, Resources(cpus=cpus, mem=mem), "job")
    assert 1 <= slots <= capacity
    if slots < capacity:
        assert slots & (slots - 1) == 0
        assert slots >= cpus
        assert mem is None or slots * memory >= mem * capacity
