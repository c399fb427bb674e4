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


def classify_refusal(message: str) -> Refusal:
    """What a message of `sbatch` means.

    An association's or a QOS's limit on submitted jobs is named as such (``AssocMaxSubmitJobLimit``); the words that
    follow it (``job submit limit, user's size and/or time limits``) stand for other limits as well, which only the
    number of jobs can tell apart: see `Submitter`.
    """
    if _LIMIT.search(message):
        return "limit"
    return "unavailable" if is_unavailable(message) else "request"
