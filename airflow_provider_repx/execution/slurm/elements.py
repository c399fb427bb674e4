"""Array elements that are watched, and the arrays they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.slurm.job import PoolShare, Progress, SlurmJob
from airflow_provider_repx.execution.slurm.parsing import EndedElement
from airflow_provider_repx.execution.slurm.states import Ending
from airflow_provider_repx.execution.store.attempt import Attempt
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.job_paths import JobPaths

__all__ = ["Element", "End", "EndKind", "Submission", "TaskArray", "watched_element"]

EndKind: TypeAlias = Literal["recorded", "ended", "over", "superseded", "absent", "dropped"]
"""How the watching of an element ends.

`recorded`: its runner left a record. `ended`: Slurm says how. `over`: somebody else has settled its claim.
`superseded`: another claim follows its own, so it never ran. `absent`: somebody else's, of which there is no trace.
`dropped`: it was never submitted.
"""


@dataclass(frozen=True)
class End:
    """Why an element is not watched any more, with what is known of its end."""

    kind: EndKind
    attempt: Attempt | None = None
    ending: Ending | None = None
    slurm: EndedElement | None = None


@dataclass(eq=False)
class Element:
    """One unit as an element of an array: this object's own, or somebody else's that is waited for.

    `since` is the moment from which the queue has to show it, `seen` when it was last there, `gone` when it was first
    missed there, `unknown` since when nobody knows of it; all on the clock's scale. `stopped`: it is to end;
    `cancelled`: Slurm was told so.
    """

    claim: ClaimRecord
    claim_file: Path
    job: SlurmJob
    own: bool
    report: Callable[[Progress], None]
    end: asyncio.Future[End]
    since: float | None = None
    seen: float | None = None
    gone: float | None = None
    unknown: float | None = None
    slurm_id: str = ""
    state: str = ""
    node: str = ""
    reason: str = ""
    stopped: bool = False
    cancelled: bool = False

    @property
    def root(self) -> Path:
        """The unit's folder."""
        return self.job.paths.root

    @property
    def key(self) -> tuple[str, int]:
        """How the queue names it."""
        return self.claim.array, self.claim.index

    def finish(self, end: End) -> None:
        """End the watching; only the first call counts."""
        if not self.end.done():
            self.end.set_result(end)

    def fail(self, error: Exception) -> None:
        """End the watching with an error."""
        if not self.end.done():
            self.end.set_exception(error)
            # Whoever waited for it may be gone.
            self.end.exception()


@dataclass(eq=False)
class Submission:
    """What one `sbatch` has submitted; `throttle` is how many of it may run at once."""

    array: TaskArray
    elements: list[Element]
    throttle: int | None
    array_id: str = ""

    @property
    def live(self) -> int:
        """How many of its elements are not over."""
        return sum(not element.end.done() for element in self.elements)

    @property
    def committed(self) -> int:
        """How many slots of its pool it may take."""
        running = self.live if self.throttle is None else min(self.live, self.throttle)
        return running * (self.array.share.slots if self.array.share is not None else 0)


@dataclass(eq=False)
class TaskArray:
    """Elements that share directives, folder and name; they may be submitted by and by.

    `files` makes what the array's folder holds; `prepared` says that it is there. `waiting` is what is not submitted.
    """

    name: str
    folder: Path
    share: PoolShare | None
    files: Callable[[], dict[str, bytes]]
    waiting: list[Element]
    prepared: bool = False


def watched_element(claim: ClaimRecord, paths: JobPaths) -> Element:
    """What somebody else has submitted, only to be watched until it is over."""
    job = SlurmJob(
        name=str(claim.claimant),
        paths=paths,
        executable=paths.root,
        inputs=paths.inputs,
        parameters=paths.parameters,
        directives=Directives(),
        claimant=claim.claimant,
    )
    end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    return Element(claim, paths.claim, job, own=False, report=lambda _: None, end=end)
