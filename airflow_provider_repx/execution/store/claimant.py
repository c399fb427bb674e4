"""Who runs a job, as it is written into the job's claim."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from airflow_provider_repx.execution.store.process_identity import ProcessIdentity

__all__ = ["ClaimAuthority", "ClaimRecord", "Claimant"]

ClaimAuthority: TypeAlias = Literal["local", "slurm"]
"""Who knows whether a claimed job is still alive: the lock on this machine, or Slurm."""


@dataclass(frozen=True)
class Claimant:
    """On whose behalf a job is run: one try of a task instance, or (with the defaults) a person, named by `label`.

    `map_index` is -1 for a task that is not mapped, as in Airflow.
    """

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 1
    label: str = ""

    def same_dag_run(self, other: Claimant) -> bool:
        """Whether both belong to one DAG run."""
        return bool(self.run_id) and (self.dag_id, self.run_id) == (other.dag_id, other.run_id)

    def same_task_instance(self, other: Claimant) -> bool:
        """Whether both are tries of one task instance."""
        return self.same_dag_run(other) and (self.task_id, self.map_index) == (other.task_id, other.map_index)

    def __str__(self) -> str:
        if not self.run_id:
            return self.label or "somebody outside of Airflow"
        task = self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"
        text = f"DAG run {self.run_id} of {self.dag_id}, task {task}, try {self.try_number}"
        return f"{text} ({self.label})" if self.label else text


@dataclass(frozen=True)
class ClaimRecord:
    """One claim: a claimant, and the process and moment that made it.

    `token` is new for each claim, so that an outcome can be told to belong to it. `created` is in seconds since 1970.
    `array` is the name of the job array in Slurm, `index` the element of it, `user` whom it belongs to there.
    """

    claimant: Claimant
    authority: ClaimAuthority = "local"
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: ProcessIdentity = field(default_factory=ProcessIdentity.current)
    created: float = field(default_factory=time.time)
    array: str = ""
    index: int = -1
    user: str = ""

    @property
    def lock_decides(self) -> bool:
        """Whether a free lock proves that nothing of this claim is left.

        The lock is kept by the kernel of the machine that made the claim. Under the same kernel it is seen here; after
        a reboot of the same machine nothing can be left. Of another machine's lock nothing is known, since not every
        network file system passes locks on; and of a job under Slurm only Slurm knows.
        """
        return self.authority == "local" and self.process.same_machine

    def to_json(self) -> str:
        """The content of a claim file: JSON on a single line, since the runner copies it into its own record."""
        return json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> ClaimRecord:
        """The opposite of `to_json`, from parsed JSON; raises `KeyError`, `TypeError` or `ValueError`."""
        authority = data["authority"]
        if authority not in ("local", "slurm") or not isinstance(data["token"], str):
            raise ValueError(f"not a claim: authority {authority!r}, token {data['token']!r}")
        return cls(
            claimant=Claimant(**data["claimant"]),
            authority=authority,
            token=data["token"],
            process=ProcessIdentity(**data["process"]),
            created=float(data["created"]),
            array=str(data.get("array", "")),
            index=int(data.get("index", -1)),
            user=str(data.get("user", "")),
        )

    @classmethod
    def parse(cls, text: str) -> ClaimRecord | None:
        """From the content of a claim file; `None` when it cannot be read."""
        try:
            return cls.from_mapping(json.loads(text))
        except (KeyError, TypeError, ValueError):
            return None

    def __str__(self) -> str:
        return f"{self.claimant}, {self.process}"
