"""Jobs that are free to start become arrays: those with equal directives and shares together, each under its claim."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.errors import SlurmError
from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.slurm.elements import Element, TaskArray
from airflow_provider_repx.execution.slurm.job import PoolShare, Progress, SlurmJob
from airflow_provider_repx.execution.slurm.pools import array_name
from airflow_provider_repx.execution.slurm.queries import SlurmQueries
from airflow_provider_repx.execution.slurm.script import ArrayElement, array_index, batch_script
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.submitter import Submitter
from airflow_provider_repx.execution.slurm.target import NewClaim, TargetFiles
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.completion import Completion
from airflow_provider_repx.execution.transport import storage_error
from airflow_provider_repx.lab.models import JobId

__all__ = ["Launch", "Launcher"]


@dataclass(frozen=True)
class Launch:
    """A job that may start.

    `claim_file` is the name that its claim gets; `usable` says whether a success that somebody has made meanwhile may
    be taken instead. `is_takeover`: the claim before it did not end, so its element must not be submitted before that
    is settled; whoever launches it then calls `Launcher.release`.
    """

    job: SlurmJob
    report: Callable[[Progress], None]
    claim_file: str
    usable: bool
    is_takeover: bool = False


class Launcher:
    """Claims batches of jobs and hands them on as arrays."""

    def __init__(
        self, settings: SlurmSettings, queries: SlurmQueries, target: TargetFiles, submitter: Submitter
    ) -> None:
        self._settings = settings
        self._queries = queries
        self._target = target
        self._submitter = submitter
        self._largest: int | None = None
        self._taken_over: dict[str, Sequence[Element]] = {}

    async def launch(self, launches: Sequence[Launch]) -> list[Element | None]:
        """Claim jobs and submit what is claimed: an element for each, `None` where somebody else was faster.

        A job whose claim cannot be written fails with `StoreError`, by its element.
        """
        groups: dict[tuple[Directives, PoolShare | None, bool], list[int]] = defaultdict(list)
        for position, launch in enumerate(launches):
            groups[launch.job.directives, launch.job.share, launch.is_takeover].append(position)
        largest = await self._largest_array()
        chunks = [
            positions[start : start + largest]
            for positions in groups.values()
            for start in range(0, len(positions), largest)
        ]
        answers: list[Element | None] = [None] * len(launches)
        for chunk in chunks:
            elements = await self._launch_array([launches[position] for position in chunk])
            for position, element in zip(chunk, elements, strict=True):
                answers[position] = element
        return answers

    def release(self, elements: Sequence[Element]) -> None:
        """Submit elements that have taken claims over."""
        by_array: dict[str, list[Element]] = defaultdict(list)
        for element in elements:
            by_array[element.claim.array].append(element)
        for name, released in by_array.items():
            self._submitter.submit(self._array(released, name, self._taken_over[name]))

    async def _largest_array(self) -> int:
        if self._largest is None:
            try:
                self._largest = min(self._settings.largest_array, await self._queries.largest_array())
            except SlurmError:
                return min(self._settings.largest_array, 1000)
        return self._largest

    async def _launch_array(self, launches: Sequence[Launch]) -> list[Element | None]:
        user = await self._target.user()
        name = array_name(launches[0].job.share)
        loop = asyncio.get_running_loop()
        elements = [
            Element(
                claim=ClaimRecord(launch.job.claimant, "slurm", array=name, index=index, user=user.name),
                claim_file=launch.job.paths.repx / launch.claim_file,
                job=launch.job,
                own=True,
                report=launch.report,
                end=loop.create_future(),
            )
            for index, launch in enumerate(launches)
        ]
        claims = [
            NewClaim(element.claim, element.root, launch.claim_file, launch.usable)
            for element, launch in zip(elements, launches, strict=True)
        ]
        answers = await self._target.claim(name, claims)
        for element, answer in zip(elements, answers, strict=True):
            if answer not in ("won", "done", "lost"):
                element.fail(storage_error(answer, action="claim it", where=element.job.name))
        won = [element for element, answer in zip(elements, answers, strict=True) if answer == "won"]
        if launches[0].is_takeover:
            self._taken_over[name] = elements
        elif won:
            self._submitter.submit(self._array(won, name, elements))
        return [
            None if answer in ("done", "lost") else element for element, answer in zip(elements, answers, strict=True)
        ]

    def _array(self, won: list[Element], name: str, elements: Sequence[Element]) -> TaskArray:
        folder = self._target.array_folder(name)
        share = won[0].job.share
        return TaskArray(name, folder, share, lambda: self._files(won, elements, name, folder), list(won))

    def _files(self, won: Sequence[Element], elements: Sequence[Element], name: str, folder: Path) -> dict[str, bytes]:
        """What the array's folder holds; see ``target.sh``."""
        last = max(element.claim.index for element in elements)
        by_index = {element.claim.index: element for element in elements}
        # Every line of the index has its place, also where nothing is to be run.
        index = array_index(_array_element(by_index.get(number, elements[0])) for number in range(last + 1))
        files = {"index": index, "batch": batch_script(self._settings, folder, name, won[0].job.directives)}
        outdated: list[str] = []
        for element in won:
            for path, content in element.job.files.items():
                files[f"files/{path.relative_to(self._settings.base_path)}"] = content
            outdated += _outdated(element.job, self._settings.base_path)
        files["outdated"] = "".join(f"{field}\0" for field in outdated).encode("utf-8", "surrogateescape")
        return files


def _array_element(element: Element) -> ArrayElement:
    job = element.job
    return ArrayElement(
        token=element.claim.token,
        root=job.paths.root,
        inputs=job.inputs,
        parameters=job.parameters,
        executable=job.executable,
        execution_type=job.execution_type,
        claim=element.claim_file,
        tools=str(job.tools) if job.tools is not None else "",
    )


def _outdated(job: SlurmJob, base_path: Path) -> list[str]:
    """Folders whose markers go before the job starts, each with a line for the completion log.

    RepX believes the log: it must not call a job done whose outputs are being made anew.
    """
    fields: list[str] = []
    own = [job.paths] if job.completes is not None else []
    for paths in (*own, *job.outdates):
        is_job = paths.root.parent == base_path / "outputs"
        line = Completion(JobId(paths.root.name), succeeded=False).to_line().strip() if is_job else ""
        fields += [str(paths.root), line]
    return fields
