"""The configuration of a throwaway Slurm: four emulated nodes that declare more than the machine has.

Formats: slurm.conf(5), gres.conf(5), cgroup.conf(5), slurmdbd.conf(5) of Slurm 22.05.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NODES", "Ports", "SlurmOptions", "slurm_conf", "slurmdbd_conf", "write_configuration"]

NODES = ("cpu1", "cpu2", "gpu1", "gpu2")

_NODE_TRAITS = {
    "cpu1": "Feature=cpu,intel,avx512",
    "cpu2": "Feature=cpu,amd,epyc",
    "gpu1": "Feature=gpu,intel,a100 Gres=gpu:a100:4",
    "gpu2": "Feature=gpu,amd,h100 Gres=gpu:h100:8",
}
_NODE_SIZE = "Sockets=2 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=262144 TmpDisk=100000"
_GPUS = 8
# Every submission is looked at at once, and all of a long queue.
_SCHEDULER_PARAMETERS = (
    "batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2,bf_max_job_test=1000,"
    "default_queue_depth=5000"
)


@dataclass(frozen=True)
class SlurmOptions:
    """How a throwaway Slurm differs from the usual one.

    Attributes:
        accounting: With slurmdbd and a MariaDB of its own, so that sacct and sacctmgr work.
        cgroup: Jobs in cgroups (v1, which must be writable): real OUT_OF_MEMORY, no process outlives its job.
        min_job_age: Seconds that squeue and scontrol know a job for after its end (MinJobAge).
        max_array_size: One more than the highest index of an array (MaxArraySize).
        kill_wait: Seconds from SIGTERM to SIGKILL (KillWait).
        extra: More lines for slurm.conf; a key that is given again wins.

    """

    accounting: bool = False
    cgroup: bool = False
    min_job_age: int = 300
    max_array_size: int = 10001
    kill_wait: int = 2
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """The loopback ports of the daemons; `nodes` in the order of `NODES`."""

    controller: int
    database_daemon: int
    database: int
    nodes: tuple[int, ...]

    @classmethod
    def of(cls, ports: list[int]) -> Ports:
        """Share out a list of three ports and one per node."""
        return cls(ports[0], ports[1], ports[2], tuple(ports[3:]))


def _address() -> tuple[str, bool]:
    """The controller's address, and whether the daemons can be kept from listening on others.

    Asked not to listen on every address they take that of their own host name, so ask only where that is a loopback.
    """
    try:
        address = socket.gethostbyname(_host())
    except OSError:
        return "127.0.0.1", False
    return (address, True) if address.startswith("127.") else ("127.0.0.1", False)


def _host() -> str:
    return socket.gethostname().split(".")[0]


def slurm_conf(folder: Path, ports: Ports, options: SlurmOptions) -> str:
    """The text of slurm.conf."""
    address, confined = _address()
    lines = [
        "ClusterName=repx",
        f"SlurmctldHost={_host()}({address})",
        f"SlurmctldPort={ports.controller}",
        *(["CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"] if confined else []),
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        "CredType=cred/munge",
        f"AuthInfo=socket={folder}/munge/socket",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool/%n",
        f"SlurmctldPidFile={folder}/run/slurmctld.pid",
        f"SlurmdPidFile={folder}/run/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/log/slurmctld.log",
        f"SlurmdLogFile={folder}/log/slurmd-%n.log",
        "MailProg=/bin/true",
        "SwitchType=switch/none",
        "MpiDefault=none",
        *_process_tracking(options),
        # Each running step scans all of /proc this often; every second is too much for two cores and many jobs.
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=task=30",
        # Believe the node lines below, not the hardware.
        "SlurmdParameters=config_overrides",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "GresTypes=gpu",
        "DefMemPerCPU=100",
        "ReturnToService=2",
        "SchedulerType=sched/backfill",
        f"SchedulerParameters={_SCHEDULER_PARAMETERS}",
        "PriorityType=priority/basic",
        f"MinJobAge={options.min_job_age}",
        f"KillWait={options.kill_wait}",
        "CompleteWait=0",
        "InactiveLimit=0",
        "MessageTimeout=30",
        "SlurmctldTimeout=60",
        "SlurmdTimeout=300",
        f"MaxArraySize={options.max_array_size}",
        "MaxJobCount=50000",
        *_accounting(folder, ports, options, address),
        *_nodes(ports, address),
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=01:00:00",
        "PartitionName=compute Nodes=cpu1,cpu2 MaxTime=INFINITE DefaultTime=01:00:00",
        "PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=1-00:00:00 DefaultTime=01:00:00",
        *options.extra,
    ]
    return "\n".join(lines) + "\n"


def _process_tracking(options: SlurmOptions) -> list[str]:
    if options.cgroup:
        return ["ProctrackType=proctrack/cgroup", "TaskPlugin=task/cgroup"]
    # Without cgroups a process that daemonizes outlives its job, and memory is policed by polling.
    return ["ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherParams=OverMemoryKill"]


def _accounting(folder: Path, ports: Ports, options: SlurmOptions, address: str) -> list[str]:
    if not options.accounting:
        return ["AccountingStorageType=accounting_storage/none"]
    return [
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={address}",
        f"AccountingStoragePort={ports.database_daemon}",
        # Towards slurmdbd the clients pass over AuthInfo: this names munge's socket to them.
        f"AccountingStoragePass={folder}/munge/socket",
        "AccountingStorageTRES=gres/gpu",
    ]


def _nodes(ports: Ports, address: str) -> list[str]:
    return [
        f"NodeName={node} NodeHostname={_host()} NodeAddr={address} Port={port} {_NODE_SIZE} {_NODE_TRAITS[node]}"
        for node, port in zip(NODES, ports.nodes, strict=True)
    ]


def slurmdbd_conf(folder: Path, ports: Ports, password: str) -> str:
    """The text of slurmdbd.conf."""
    address, confined = _address()
    lines = [
        f"DbdHost={_host()}",
        f"DbdAddr={address}",
        f"DbdPort={ports.database_daemon}",
        *(["CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"] if confined else []),
        "SlurmUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge/socket",
        f"PidFile={folder}/run/slurmdbd.pid",
        f"LogFile={folder}/log/slurmdbd.log",
        "StorageType=accounting_storage/mysql",
        "StorageHost=127.0.0.1",
        f"StoragePort={ports.database}",
        "StorageUser=slurm",
        f"StoragePass={password}",
        "StorageLoc=slurm_acct_db",
    ]
    return "\n".join(lines) + "\n"


def write_configuration(folder: Path, ports: Ports, options: SlurmOptions) -> Path:
    """Write slurm.conf and what it needs beside it; returns its path."""
    for name in ("etc", "run", "log", "spool", "state", "munge", "dev"):
        (folder / name).mkdir(exist_ok=True)
    for node in NODES:
        (folder / "spool" / node).mkdir(exist_ok=True)
    path = folder / "etc/slurm.conf"
    path.write_text(slurm_conf(folder, ports, options))
    # Slurm 22.05 counts no GPU without a device file and refuses the same one twice: links to /dev/null will do.
    for number in range(_GPUS):
        link = folder / "dev" / f"nvidia{number}"
        if not link.is_symlink():
            link.symlink_to("/dev/null")
    (folder / "etc/gres.conf").write_text(
        f"NodeName=gpu1 Name=gpu Type=a100 File={folder}/dev/nvidia[0-3]\n"
        f"NodeName=gpu2 Name=gpu Type=h100 File={folder}/dev/nvidia[0-7]\n"
    )
    # slurmd loads a cgroup plugin whether it is used or not; loading v1 does nothing, v2 wants systemd.
    memory = "ConstrainRAMSpace=yes\n" if options.cgroup else ""
    (folder / "etc/cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\n{memory}")
    return path
