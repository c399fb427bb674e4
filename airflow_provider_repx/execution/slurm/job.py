"""What is asked of a cluster: one job, or any other unit that has a folder, a script and a claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from airflow_provider_repx.execution.slurm.directives import Directives
from airflow_provider_repx.execution.store import Claimant, JobPaths
from airflow_provider_repx.execution.units import PreparedUnit, Unit
from airflow_provider_repx.lab.models import JobId

__all__ = ["JobKey", "PoolShare", "Progress", "SlurmJob"]


@dataclass(frozen=True)
class JobKey:
    """One try at one unit: who, and which folder."""

    claimant: Claimant
    paths: JobPaths


@dataclass(frozen=True)
class PoolShare:
    """What one job takes of a pool: so many `slots` of the pool's `size`."""

    pool: str
    size: int
    slots: int = 1


@dataclass(frozen=True)
class SlurmJob:
    """What is to be run under one claim; every path is one of the target's, below its base path.

    Attributes:
        name: What messages call it.
        paths: Its folder: results, logs, markers, claim.
        executable: The script; it gets the paths of the results' folder, of `inputs` and of `parameters`.
        inputs: The file that the script reads its inputs from.
        parameters: The file that the script reads its parameters from.
        directives: What it asks of Slurm.
        claimant: On whose behalf.
        files: What has to be written before it starts, content by path.
        needs: Folders of units that must have succeeded before.
        made_from: Files that, where they are newer than `inputs`, make an earlier success void.
        outdates: Folders of units whose markers are removed before it starts.
        fails: Folders of units that are marked as failed with it.
        force: Run it although it is done, unless it was this very DAG run that has done so.
        share: The pool that limits how many run at once, and what this one takes of it.
        completes: The job that is done when this is: it gets a record in the completion log.
        unit: The unit of a lab that this is, if it is one.
        execution_type: How the script is run.
        tools: A folder that comes first in the job's PATH, as of a lab that brings its tools.

    """

    name: str
    paths: JobPaths
    executable: Path
    inputs: Path
    parameters: Path
    directives: Directives
    claimant: Claimant
    files: Mapping[Path, bytes] = field(default_factory=dict)
    needs: tuple[JobPaths, ...] = ()
    made_from: tuple[Path, ...] = ()
    outdates: tuple[JobPaths, ...] = ()
    fails: tuple[JobPaths, ...] = ()
    force: bool = False
    share: PoolShare | None = None
    completes: JobId | None = None
    unit: Unit | None = None
    execution_type: Literal["native"] = "native"
    tools: Path | None = None

    @classmethod
    def of_unit(
        cls,
        prepared: PreparedUnit,
        directives: Directives,
        claimant: Claimant,
        *,
        force: bool = False,
        share: PoolShare | None = None,
        tools: Path | None = None,
    ) -> SlurmJob:
        """A unit of a lab, as a cluster takes it."""
        return cls(
            name=str(prepared.unit),
            paths=prepared.paths,
            executable=prepared.executable,
            inputs=prepared.inputs,
            parameters=prepared.parameters,
            directives=directives,
            claimant=claimant,
            files=prepared.files,
            needs=prepared.needs,
            made_from=prepared.made_from,
            outdates=prepared.outdates,
            fails=prepared.fails,
            force=force,
            share=share,
            completes=prepared.unit.job_id if prepared.unit.is_whole_job else None,
            unit=prepared.unit,
            tools=tools,
        )


@dataclass(frozen=True)
class Progress:
    """What has become known of a job that is not over, for logs.

    Attributes:
        text: One line for people, such as ``pending: Resources`` or ``running on cpu1``.
        slurm_id: Array job and index (``123_4``), once Slurm knows it.
        state: Slurm's word for its state; empty before.
        node: Where it runs.
        reason: Why it does not run yet, in Slurm's word.
        stuck: Whether it will not start before somebody changes something.

    """

    text: str
    slurm_id: str = ""
    state: str = ""
    node: str = ""
    reason: str = ""
    stuck: bool = False
