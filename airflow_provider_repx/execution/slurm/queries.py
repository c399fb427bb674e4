"""What Slurm knows of jobs: its queue, its controller's memory, and its accounting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from airflow_provider_repx.errors import SlurmError, SlurmUnavailableError
from airflow_provider_repx.execution.slurm.clock import Clock
from airflow_provider_repx.execution.slurm.commands import run_slurm
from airflow_provider_repx.execution.slurm.elements import Element
from airflow_provider_repx.execution.slurm.parsing import (
    QUEUE_FORMAT,
    EndedElement,
    QueuedElement,
    parse_accounting,
    parse_config,
    parse_jobs,
    parse_queue,
)
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.slurm.states import is_live
from airflow_provider_repx.execution.transport import Transport

__all__ = ["SlurmQueries"]

_log = logging.getLogger(__name__)

_SINGLE_QUESTIONS = 4
"""Up to so many arrays are asked for by number; for more, everything that the controller knows costs it less."""

_ID_BATCH = 200
_ACCOUNTING_FORMAT = "JobID,JobName,State,ExitCode,NodeList,MaxRSS,ElapsedRaw,Reason"
_INVALID_ID = "invalid job id"

_PAUSES = 4
"""An accounting that did not answer is left alone for this many times as long as it was waited for.

Whoever asks about one job keeps the news of all others waiting.
"""


class SlurmQueries:
    """Questions to Slurm. All raise `SlurmUnavailableError`, `SlurmError`, `SlurmNotFoundError` or `TransportError`."""

    def __init__(
        self, settings: SlurmSettings, transport: Transport, count: Callable[[str], None], clock: Clock
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._count = count
        self._clock = clock
        self._no_accounting_before = 0.0
        self._config: dict[str, str] | None = None

    async def queue(self, users: Iterable[str]) -> list[QueuedElement]:
        """The array elements of some users in the queue, those in partitions that Slurm hides included."""
        names = ",".join(sorted(users))
        return list(parse_queue(await self._run(["squeue", "-h", "-a", "-o", QUEUE_FORMAT, "-u", names])))

    async def config(self) -> dict[str, str]:
        """Slurm's configuration, asked for once."""
        if self._config is None:
            self._config = parse_config(await self._run(["scontrol", "show", "config"]))
        return self._config

    @property
    def memory(self) -> float:
        """For how many seconds the controller remembers a job that has ended; 0 until the configuration is known."""
        value = (self._config or {}).get("MinJobAge", "").split(" ", 1)[0]
        return float(value) if value.isdigit() else 0.0

    async def hides_jobs_of_others(self, user: str) -> bool:
        """Whether Slurm shows a user no jobs but the own ones (``PrivateData=jobs``).

        An operator of Slurm sees them all the same, which is not asked for: whoever is in the queue is seen.
        """
        config = await self.config()
        privileged = {"root", config.get("SlurmUser", "").partition("(")[0]}
        return "jobs" in config.get("PrivateData", "").split(",") and user not in privileged

    async def largest_array(self) -> int:
        """How many elements an array may have; at least one."""
        value = (await self.config()).get("MaxArraySize", "")
        return max(1, int(value)) if value.isdigit() else self._settings.largest_array

    async def endings(self, elements: Sequence[Element]) -> dict[tuple[str, int], EndedElement]:
        """What is known of elements that have left the queue, by array name and index.

        The controller is asked first: it does not lag behind. The accounting is asked for what the controller has
        forgotten; where it does not answer, less is known.
        """
        wanted = {element.key for element in elements}
        found = {key: ended for key, ended in (await self._controller(elements)).items() if key in wanted}
        forgotten = [element for element in elements if element.key not in found]
        if forgotten and self._clock.now() >= self._no_accounting_before and await self._has_accounting():
            known = await self._accounting(forgotten)
            found |= {key: ended for key, ended in known.items() if key in wanted and not is_live(ended.state)}
        return found

    async def peak_memories(self, slurm_ids: Sequence[str]) -> dict[str, int]:
        """Bytes of resident memory that ended elements took at most, 0 where that was not measured.

        Those that the accounting has not heard of yet are not among them.
        """
        if not await self._has_accounting():
            return dict.fromkeys(slurm_ids, 0)
        found: dict[str, int] = {}
        for start in range(0, len(slurm_ids), _ID_BATCH):
            which = ",".join(slurm_ids[start : start + _ID_BATCH])
            command = ["sacct", "-P", "-n", "-j", which, "-o", _ACCOUNTING_FORMAT]
            answer = await self._run(command, timeout=self._settings.accounting_timeout)
            for ended in parse_accounting(answer):
                if not is_live(ended.state):
                    found[f"{ended.array_id}_{ended.index}"] = ended.peak_memory or 0
        return found

    async def cancel(self, slurm_ids: Sequence[str]) -> None:
        """End elements; those that are over already do not matter."""
        for start in range(0, len(slurm_ids), _ID_BATCH):
            await self._unless_over(["scancel", *slurm_ids[start : start + _ID_BATCH]])

    async def set_throttle(self, array_id: str, throttle: int) -> None:
        """Change how many elements of an array may run at once."""
        await self._run(["scontrol", "update", f"JobId={array_id}", f"ArrayTaskThrottle={throttle}"])

    async def _controller(self, elements: Sequence[Element]) -> dict[tuple[str, int], EndedElement]:
        numbers = {element.slurm_id.partition("_")[0] for element in elements}
        questions: list[list[str]] = [[number] for number in sorted(numbers)]
        if "" in numbers or len(numbers) > _SINGLE_QUESTIONS:
            questions = [[]]
        found: dict[tuple[str, int], EndedElement] = {}
        for question in questions:
            for ended in parse_jobs(await self._unless_over(["scontrol", "-o", "show", "job", *question])):
                key = ended.name, ended.index
                # Of an element that was submitted twice, the one that is not over counts.
                if key not in found or is_live(ended.state):
                    found[key] = ended
        return found

    async def _unless_over(self, command: list[str]) -> str:
        """What a command prints; nothing for a job that Slurm does not know any more."""
        try:
            return await self._run(command)
        except SlurmUnavailableError:
            raise
        except SlurmError as error:
            if _INVALID_ID not in str(error).lower():
                raise
            return ""

    async def _has_accounting(self) -> bool:
        return not (await self.config()).get("AccountingStorageType", "").endswith("/none")

    async def _accounting(self, elements: Sequence[Element]) -> dict[tuple[str, int], EndedElement]:
        names = sorted({element.claim.array for element in elements})
        found: dict[tuple[str, int], EndedElement] = {}
        for start in range(0, len(names), _ID_BATCH):
            which = ",".join(names[start : start + _ID_BATCH])
            command = ["sacct", "-P", "-n", "-a", "-S", "now-30days", f"--name={which}", "-o", _ACCOUNTING_FORMAT]
            try:
                answer = await self._run(command, timeout=self._settings.accounting_timeout)
            except SlurmError as error:
                pause = _PAUSES * self._settings.accounting_timeout
                self._no_accounting_before = self._clock.now() + pause
                _log.warning("the accounting is not asked for %.0f seconds: %s", pause, error)
                return found
            found |= {(ended.name, ended.index): ended for ended in parse_accounting(answer)}
        return found

    async def _run(self, command: list[str], *, timeout: float | None = None) -> str:
        limit = self._settings.command_timeout if timeout is None else timeout
        return await run_slurm(self._transport, command, timeout=limit, count=self._count)
