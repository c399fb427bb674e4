"""The target's files, asked and changed for many jobs by one command each."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_provider_repx.errors import CommandTimeoutError, SlurmNotFoundError, StoreError, TransportError
from airflow_provider_repx.execution.jobs.environment import PASSED_ON
from airflow_provider_repx.execution.slurm.script import Shipment, pack, target_script
from airflow_provider_repx.execution.slurm.settings import SlurmSettings
from airflow_provider_repx.execution.store.attempt import Attempt, parse_attempt
from airflow_provider_repx.execution.store.claimant import ClaimRecord
from airflow_provider_repx.execution.store.job_paths import JobPaths
from airflow_provider_repx.execution.transport import Transport, storage_error

__all__ = ["KEPT_DAYS", "Look", "NewClaim", "Question", "Settled", "Submitted", "TargetFiles", "TargetUser"]

_log = logging.getLogger(__name__)

_SCRIPT_SECONDS = 300.0

KEPT_DAYS = 14
"""For how long the folder of an array is kept behind the last change to it, at least."""

_ACTIONS = {
    "ship": "write there",
    "look": "see how jobs stand",
    "claim": "claim jobs",
    "submit": "submit jobs",
    "settle": "write down how jobs ended",
    "tails": "read logs",
    "reclaim": "remove claims of processes that have ended",
    "tidy": "remove folders of arrays that have ended",
}

_OF_THE_SUBMITTING_MACHINE = frozenset(
    {"HOSTNAME", "TERM", "TMPDIR", "XDG_RUNTIME_DIR", "GPU_DEVICE_ORDINAL", "CUDA_*", "NVIDIA_*", "HIP_*", "ROCR_*"}
)
"""What means something else, or nothing, on the node."""

_NAMES = tuple(name for name in PASSED_ON if name not in _OF_THE_SUBMITTING_MACHINE)
_PASSED_ON = ("PATH", "SLURM_CONF", *("LC_[!A]*" if name == "LC_*" else name for name in _NAMES))
"""Without LC_ALL, which is this package's own choice where it starts commands."""


@dataclass(frozen=True)
class TargetUser:
    """Who commands run as on the target, and the boot of its machine."""

    name: str
    boot_id: str


@dataclass(frozen=True)
class Question:
    """What to look at: a unit's folder, and what decides whether it can start."""

    root: Path
    inputs: Path
    started: Path | None = None
    needs: tuple[JobPaths, ...] = ()
    made_from: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Look:
    """How a unit stands.

    Attributes:
        succeeded: Whether it has the marker of a success.
        stale: Whether what it was made from is newer.
        attempt: The record of its last attempt.
        claim: The claim that counts.
        claim_over: Whether that claim has ended, so that the next one may follow it.
        reported: Whether that end is known to whoever made the claim.
        missing: The first needed unit that is not done.
        started: Slurm's number of the job that has started this element, if any has, and was not kept from running by
            its claim; only when asked for.

    """

    succeeded: bool
    stale: bool
    attempt: Attempt | None
    claim: ClaimRecord | None
    claim_over: bool
    reported: bool
    missing: str
    started: str

    def attempt_of(self, token: str) -> Attempt | None:
        """The record of the attempt under a certain claim."""
        return self.attempt if self.attempt is not None and self.attempt.token == token else None


@dataclass(frozen=True)
class NewClaim:
    """A claim to be made: whose, under which name beside the unit's records, and whether a success may be taken."""

    record: ClaimRecord
    root: Path
    file: str
    usable: bool


@dataclass(frozen=True)
class Submitted:
    """What `sbatch` answered: the array's number, or why it refused."""

    array_id: str = ""
    exit_code: int = 0
    message: str = ""


@dataclass(frozen=True)
class Settled:
    """How an attempt ended whose runner could not write that down, or only a part of it."""

    root: Path
    token: str
    attempt: Attempt | None = None
    marker: str = ""
    completion: str = ""
    fails: tuple[JobPaths, ...] = ()


class TargetFiles:
    """The files of a target. Every method raises `StoreError` where they cannot be used, and `TransportError`."""

    def __init__(self, settings: SlurmSettings, transport: Transport, count: Callable[[str], None]) -> None:
        self._settings = settings
        self._transport = transport
        self._count = count
        self._shipped: asyncio.Future[TargetUser] | None = None
        self._tidying: asyncio.Task[None] | None = None

    def array_folder(self, name: str) -> Path:
        """The folder of an array."""
        return self._settings.base_path / "repx" / "slurm" / name

    def start_of(self, claim: ClaimRecord) -> Path:
        """The mark that an element of an array has started."""
        return self.array_folder(claim.array) / "started" / str(claim.index)

    async def user(self) -> TargetUser:
        """Put what nodes run into the store, once, and say who commands run as.

        Raises `SlurmNotFoundError` too.
        """
        if self._shipped is None or (self._shipped.done() and self._shipped.exception() is not None):
            self._shipped = asyncio.ensure_future(self._ship())
        return await asyncio.shield(self._shipped)

    async def look(self, questions: Sequence[Question]) -> list[Look]:
        """How units stand, in the order of the questions."""
        fields: list[str] = []
        for question in questions:
            fields += [str(question.root), str(question.inputs), str(question.started or "")]
            fields += [str(len(question.needs)), *(str(paths.root) for paths in question.needs)]
            fields += [str(len(question.made_from)), *(str(path) for path in question.made_from)]
        answers = await self._ask("look", stdin=_fields(fields))
        return [_look(answer) for answer in _groups(answers, 7, len(questions))]

    async def claim(self, array: str, claims: Sequence[NewClaim]) -> list[str]:
        """Claim units for an array: for each ``won``, ``done``, ``lost``, or what is wrong."""
        relative = {claim.root: str(claim.root.relative_to(self._settings.base_path)) for claim in claims}
        units: list[str] = []
        content: dict[str, bytes] = {}
        for claim in claims:
            folder = relative[claim.root]
            units += [folder, claim.file, claim.record.token, "usable" if claim.usable else ""]
            content[f"tree/{folder}/repx/{claim.file}"] = claim.record.to_json().encode()
        content["units"] = _fields(units)
        archive = await asyncio.to_thread(pack, content)
        return await self._ask("claim", array, stdin=archive, expected=len(claims))

    async def submit(self, array: str, spec: str, first: Mapping[str, bytes] | None) -> Submitted:
        """Hand elements of an array to `sbatch`; `first` holds the array's files, for the first time only."""
        archive = b"" if first is None else await asyncio.to_thread(pack, first)
        self._count("sbatch")
        patterns = (*_PASSED_ON, *self._settings.pass_environment)
        answer = await self._ask(
            "submit", array, spec, "first" if first is not None else "", *patterns, stdin=archive,
            timeout=self._settings.command_timeout + _SCRIPT_SECONDS * (first is not None),
        )  # fmt: skip
        if answer[:1] == ["ok"]:
            return Submitted(array_id=answer[1])
        if len(answer) == 3:  # noqa: PLR2004 - as the script answers
            return Submitted(exit_code=int(answer[1]), message=answer[2].strip())
        raise StoreError(f"the script that submits on {self._transport.description} answered {answer!r}")

    async def settle(self, endings: Sequence[Settled]) -> None:
        """Write down how attempts ended, and end their claims."""
        fields: list[str] = []
        for ending in endings:
            record = json.dumps(ending.attempt.to_mapping()) if ending.attempt is not None else ""
            fields += [str(ending.root), ending.token, record, ending.marker, ending.completion]
            fields += [str(len(ending.fails)), *(str(paths.root) for paths in ending.fails)]
        await self._ask("settle", stdin=_fields(fields))

    async def tails(self, logs: Sequence[tuple[Path, int]]) -> list[str]:
        """The ends of logs, of what was written from an offset (bytes) on."""
        fields = [text for path, offset in logs for text in (str(path), str(offset))]
        answers = await self._ask("tails", stdin=_fields(fields), expected=len(logs))
        # A job may write anything; what is told of it has to be text.
        return [answer.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for answer in answers]

    async def reclaim(self, folders: Sequence[Path]) -> list[bool]:
        """Remove claims of the target's processes that have ended: for each folder of records whether it is gone."""
        answers = await self._ask("reclaim", stdin=_fields([str(path) for path in folders]), expected=len(folders))
        return [answer == "removed" for answer in answers]

    async def _ship(self) -> TargetUser:
        shipment = Shipment()
        try:
            name, boot_id, due = await self._ask("ship", shipment.folder, stdin=shipment.pack(), expected=3)
        except StoreError as error:
            if "no sbatch" in str(error):
                raise SlurmNotFoundError(
                    f"there is no sbatch on {self._transport.description}: install Slurm's commands there, or add them"
                    " to the PATH of a login"
                ) from error
            raise
        if due:
            # Beside what this object was asked for: nobody waits for it.
            self._tidying = asyncio.create_task(self._tidy())
        return TargetUser(name, boot_id)

    async def tidy(self) -> int:
        """Remove this user's array folders that nobody can need any more; how many these were."""
        [count] = await self._ask("tidy", str(KEPT_DAYS), stdin=b"", expected=1)
        return int(count)

    async def _tidy(self) -> None:
        try:
            count = await self.tidy()
        except (StoreError, TransportError, CommandTimeoutError) as error:
            _log.info("folders of arrays that have ended are kept for now: %s", error)
        else:
            _log.info("removed %d folders of arrays that ended more than %d days ago", count, KEPT_DAYS)

    async def close(self) -> None:
        """Give up what is done on the side."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)

    async def _ask(
        self, verb: str, *arguments: str, stdin: bytes, expected: int | None = None, timeout: float = _SCRIPT_SECONDS
    ) -> list[str]:
        self._count("script")
        settings = self._settings
        command = ["bash", "-c", target_script(), "target", verb, str(settings.base_path), settings.umask or ""]
        done = await self._transport.run([*command, *arguments], stdin=stdin, timeout=timeout)
        said = done.stderr.decode("utf-8", "replace").strip()
        answers = done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
        if done.exit_code or (expected is not None and len(answers) != expected):
            raise storage_error(
                said or f"exit code {done.exit_code}",
                action=_ACTIONS[verb],
                where=f"{settings.base_path} on {self._transport.description}",
            )
        return answers


def _fields(fields: Iterable[str]) -> bytes:
    return "".join(f"{field}\0" for field in fields).encode("utf-8", "surrogateescape")


def _groups(answers: list[str], size: int, count: int) -> Iterator[tuple[str, ...]]:
    if len(answers) != size * count:
        raise StoreError(f"the target answered {len(answers)} fields where {size * count} were asked for")
    iterator = iter(answers)
    for _ in range(count):
        yield tuple(islice(iterator, size))


def _look(answer: tuple[str, ...]) -> Look:
    marker, stale, record, claim, over, missing, started = answer
    attempt = parse_attempt(record)
    holder = ClaimRecord.parse(claim) if claim else None
    is_slurm = holder is not None and holder.authority == "slurm"
    ended = (
        is_slurm and holder is not None and (over == "over" or (attempt is not None and attempt.token == holder.token))
    )
    return Look(
        succeeded=marker == "SUCCESS",
        stale=stale == "stale",
        attempt=attempt,
        claim=holder,
        claim_over=ended,
        reported=over == "over",
        missing=missing,
        started="" if started.endswith("\nnot run\n") else started.split(" ", 1)[0],
    )
