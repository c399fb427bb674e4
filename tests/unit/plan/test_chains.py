from __future__ import annotations

import pytest

from airflow_provider_repx.plan.chains import divided
from airflow_provider_repx.plan.links import link_stages
from airflow_provider_repx.plan.slots import shares
from airflow_provider_repx.plan.stages import find_stages
from airflow_provider_repx.plan.values import known_values
from airflow_provider_repx.targets import ResourceRules, Target
from tests.unit.plan.making import RunMaker

pytestmark = pytest.mark.unit

CLUSTER = Target(name="cluster", base_path="/store", scheduler="slurm")


def test_points_of_other_partitions_get_tasks_of_their_own() -> None:
    maker = RunMaker()
    for size, hints in (
        ("a", {"partition": "cpu"}),
        ("b", {"partition": "gpu"}),
        ("c", {"partition": "gpu", "cpus": 2}),
    ):
        maker.add("train", size, params={"size": size}, **hints)
    run = maker.run()
    stages = find_stages(run)
    taken, _ = shares(run, CLUSTER, ResourceRules())
    parts = divided(link_stages(run, stages), stages, run, known_values(run, stages.order), taken)
    assert [(part.task_ids, part.labels) for part in parts] == [
        (("train",), ("size=a",)),
        (("train__repx_cluster_gpu",), ("size=b",)),
        (("train__slots_2__repx_cluster_gpu",), ("size=c",)),
    ]
