"""Jobs on Slurm: one cluster object serves all jobs of a process.

Works on any machine that `Transport` reaches, and needs no Airflow::

    cluster = SlurmCluster(SlurmSettings(Path("/data/repx")), LocalTransport())
    outcome = await cluster.run(job)
"""

from airflow_provider_repx.execution.slurm.capacity import DiscoveredPartition, discover_partitions
from airflow_provider_repx.execution.slurm.cluster import SlurmCluster, get_cluster
from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.slurm.job import JobKey, PoolShare, Progress, SlurmJob
from airflow_provider_repx.execution.slurm.outcome import SlurmOutcome, SlurmStatus
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.statistics import Statistics

__all__ = [
    "Directives",
    "DiscoveredPartition",
    "JobKey",
    "PoolShare",
    "Progress",
    "SlurmCluster",
    "SlurmJob",
    "SlurmOutcome",
    "SlurmSettings",
    "SlurmStatus",
    "Statistics",
    "discover_partitions",
    "get_cluster",
]
