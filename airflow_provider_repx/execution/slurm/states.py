"""The states of a Slurm job, and what the end of one means; from the manual pages of `squeue` and `sacct`."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_repx.execution.slurm.outcome import SlurmStatus

__all__ = ["CAUSES", "ENDED", "FENCED", "LIVE", "NEVER_STARTS", "Ending", "explain_ending", "is_live", "state_word"]

LIVE = frozenset(
    {
        "COMPLETING", "CONFIGURING", "EXPEDITING", "LAUNCH_FAILED", "PENDING", "POWER_UP_NODE", "RECONFIG_FAIL",
        "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "RUNNING", "SIGNALING",
        "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "UPDATE_DB",
    }
)  # fmt: skip
"""States in which a job is not over."""

ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
"""States in which a job is over. A state that is in neither list is waited on and reported."""

CAUSES = (ENDED - {"COMPLETED"}) | {
    "DependencyNeverSatisfied", "FORGOTTEN", "LAUNCH_FAILED", "NO_RECORD", "STARTED_TWICE", "exit code", "signal",
}  # fmt: skip
"""What an outcome that is no success can name as its cause."""

FENCED = 75
"""The exit status of ``task.sh`` for an element that must not run."""

_NOT_RECORDED = 70
"""The exit status of ``task.sh`` and the job runner where they cannot begin, or cannot write down how a job ended."""

NEVER_STARTS = {
    "AccountNotAllowed": "the account may not use the partition",
    "AssocGrpCPULimit": "it asks for more CPUs than the association may ever use",
    "BadConstraints": "no node satisfies its constraints",
    "DependencyNeverSatisfied": "its dependency can never be satisfied",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "JobHeldAdmin": "an administrator holds it: only one can release it",
    "JobHeldUser": "it is held: scontrol release lets it go on",
    "PartitionConfig": "it asks for more time, memory or nodes than its partition allows",
    "PartitionInactive": "its partition is inactive",
    "PartitionNodeLimit": "it asks for more nodes than its partition allows",
    "PartitionTimeLimit": "it asks for more time than its partition allows",
    "QOSMaxCpuPerJobLimit": "it asks for more CPUs than its QOS allows a job",
    "QOSMaxMemoryPerJob": "it asks for more memory than its QOS allows a job",
    "QOSMaxNodePerJobLimit": "it asks for more nodes than its QOS allows a job",
    "QOSMaxWallDurationPerJobLimit": "it asks for more time than its QOS allows a job",
    "QOSNotAllowed": "its QOS may not use the partition",
    "QOSTimeLimit": "it asks for more time than its QOS allows",
    "ReservationDeleted": "its reservation was deleted",
}
"""Reasons for which a pending job will not start before somebody changes something. It is reported, and waited on."""

_LOST = {
    "BOOT_FAIL": "its node did not boot",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "Slurm gave its place to a job of higher priority",
    "REVOKED": "another cluster of the federation took it",
}
_FAILED = {
    "DEADLINE": "it could not end before its deadline",
    "OUT_OF_MEMORY": "it used more memory than it asked for; ask for more with mem",
    "TIMEOUT": "it reached its time limit; ask for more with time",
}


@dataclass(frozen=True)
class Ending:
    """What the end of a job means, where its own record does not say."""

    status: SlurmStatus
    cause: str
    explanation: str


def state_word(text: str) -> str:
    """The state alone: ``CANCELLED by 1000`` and ``COMPLETED+`` come with more. Of several flags the first one."""
    words = text.replace(",", " ").split()
    return words[0].rstrip("+") if words else ""


def is_live(state: str) -> bool:
    """Whether a job in this state has to be waited for; true also for a state that nobody knows."""
    return state not in ENDED


def explain_ending(  # noqa: PLR0911 - one line of a table each
    state: str, reason: str, exit_code: int, signal: int, *, started: bool
) -> Ending:
    """What a final state means for a job that left no record of its own.

    `exit_code` and `signal` are the parts of what Slurm writes as ``exit:signal``. `started` says whether the job had
    begun on its node.
    """
    if reason == "DependencyNeverSatisfied":
        return Ending("failed", reason, "DependencyNeverSatisfied: a job that it depends on did not end as it has to")
    if state in _LOST:
        return Ending("lost", state, f"{state}: {_LOST[state]}; another try may succeed")
    if state in _FAILED:
        return Ending("failed", state, f"{state}: {_FAILED[state]}")
    if state == "CANCELLED":
        return Ending("cancelled", state, "CANCELLED: it was cancelled in Slurm")
    if not started and reason == "JobLaunchFailure":
        return Ending("lost", "LAUNCH_FAILED", "LAUNCH_FAILED: its node could not start it; another try may succeed")
    if exit_code == FENCED and not signal:
        return Ending(
            "lost",
            "STARTED_TWICE",
            "STARTED_TWICE: Slurm started it again, as a controller does that was restarted and has forgotten the first"
            " start; the second one ran nothing, and the first one was ended. Another try may succeed",
        )
    if exit_code == _NOT_RECORDED and not signal:
        return Ending(
            "lost",
            "NO_RECORD",
            "NO_RECORD: how it ended could not be written down (its runner's exit status is 70). Look whether the file"
            " system of the base path is full, over quota, or cannot be written on the node. Another try may succeed",
        )
    if signal:
        return Ending("failed", "signal", f"it was ended by signal {signal}, its runner included")
    if exit_code:
        return Ending("failed", "exit code", f"its runner ended with {exit_code} and left no record")
    return Ending("lost", state, f"Slurm calls it {state}, but it left no record")
