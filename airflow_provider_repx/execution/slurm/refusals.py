"""Why `sbatch` refuses, and what follows from it."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from airflow_provider_repx.execution.slurm.commands import is_unavailable

__all__ = ["Refusal", "classify_refusal"]

Refusal: TypeAlias = Literal["limit", "unavailable", "request"]
"""`limit`: too many jobs for now. `unavailable`: nobody answered, so it may even have worked. `request`: never."""

_LIMIT = re.compile(
    r"(max|grp)_?submit_?jobs?|job submit limit|maxjobcount|too many jobs|job count limit|"
    r"slurm temporarily unable to accept job|limit on number of jobs|active_jobs_limit|"
    r"resource temporarily unavailable",
    re.IGNORECASE,
)

_REASON = re.compile(r"Batch job submission failed: (.*)")
_NAMED_LIMIT = re.compile(r"^sbatch: error: ((?:Assoc|QOS)[A-Z]\w+)$", re.MULTILINE)


def classify_refusal(message: str) -> Refusal:
    """What a message of `sbatch` means.

    An association's or a QOS's limit on submitted jobs is named as such (``AssocMaxSubmitJobLimit``); any other one
    that is named (``QOSMaxCpuPerJobLimit``) refuses this job for good. The words that follow (``job submit limit,
    user's size and/or time limits``) stand for all of them: without a name, see `Submitter`.

    What comes before Slurm's own reason may repeat what the job asks for, in any words.
    """
    if named := _NAMED_LIMIT.findall(message):
        return "limit" if any("SubmitJob" in name for name in named) else "request"
    reason = _REASON.search(message)
    message = reason[1] if reason else message
    if _LIMIT.search(message):
        return "limit"
    return "unavailable" if is_unavailable(message) else "request"
