"""What Slurm's commands print, as data. Text formats only: the JSON ones are slow, and wrong in places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_repx.errors import SlurmError
from airflow_provider_repx.execution.slurm.states import state_word

__all__ = [
    "QUEUE_FORMAT",
    "EndedElement",
    "QueuedElement",
    "expand_indices",
    "format_indices",
    "parse_accounting",
    "parse_config",
    "parse_jobs",
    "parse_queue",
]

QUEUE_FORMAT = "%F|%K|%T|%N|%j|%u|%r"
"""For ``squeue -h -o``: array job, indices, state, nodes, name, user, reason; the last one may hold any text."""

_QUEUE_FIELDS = 7
_RECORD = re.compile(r"\d+\|(?:N/A|\d[^|]*)\|[A-Z_]+\|")
_BATCH = re.compile(r"/(repx-[0-9a-f]{8}-\d+-[0-9a-f]{16})/batch")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_KEY = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_:/]*)=")
_EXIT = re.compile(r"(\d+):(\d+)")
_AMOUNT = re.compile(r"([\d.]+)([KMGTP]?)")


@dataclass(frozen=True)
class QueuedElement:
    """One array element in the queue. `throttle` is the array's limit of running elements, where the line told it."""

    array_id: str
    index: int
    state: str
    node: str
    name: str
    user: str
    reason: str
    throttle: int | None = None

    @property
    def slurm_id(self) -> str:
        """As Slurm's commands take it."""
        return f"{self.array_id}_{self.index}"


@dataclass(frozen=True)
class EndedElement:
    """What the controller or the accounting says of one element.

    `exit_code` and `signal` come from ``exit:signal``; `peak_memory` is in bytes, times are in seconds.
    """

    array_id: str
    index: int
    name: str
    state: str
    reason: str = ""
    exit_code: int = 0
    signal: int = 0
    node: str = ""
    peak_memory: int | None = None
    seconds: float | None = None


def parse_queue(text: str) -> Iterator[QueuedElement]:
    """The elements in the output of ``squeue -h -o`` with `QUEUE_FORMAT`; jobs that are no arrays are passed over.

    Pending elements of an array may share one line. Raises `SlurmError`.
    """
    for record in _records(text):
        fields = record.split("|", _QUEUE_FIELDS - 1)
        if not (_RECORD.match(record) and len(fields) == _QUEUE_FIELDS):
            raise SlurmError(f"squeue answered {record!r}, which cannot be read")
        array_id, indices, state, node, name, user, reason = fields
        if not indices[:1].isdigit():
            continue
        expression, _, throttle = indices.partition("%")
        limit = int(throttle) if throttle.isdigit() else None
        for index in expand_indices(expression):
            yield QueuedElement(array_id, index, state_word(state), node, name, user, reason, limit)


def _records(text: str) -> Iterator[str]:
    """The lines of ``squeue``; the name of a job that is none of ours may hold line breaks."""
    record: list[str] = []
    for line in filter(None, text.split("\n")):
        if record and _RECORD.match(line):
            yield "\n".join(record)
            record = []
        record.append(line)
    if record:
        yield "\n".join(record)


def expand_indices(expression: str) -> Iterator[int]:
    """The numbers of an array expression such as ``0,3-5,10-20:5``; raises `SlurmError`."""
    for part in expression.split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise SlurmError(f"squeue answered array indices {expression!r}, which cannot be read")
        first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
        yield from range(first, last + 1, max(1, step))


def format_indices(indices: Iterable[int]) -> str:
    """The shortest array expression for some numbers: ``0,3-5``."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][-1] + 1:
            parts[-1][1:] = [index]
        else:
            parts.append([index])
    return ",".join("-".join(str(bound) for bound in part) for part in parts)


def parse_jobs(text: str) -> Iterator[EndedElement]:
    """The array elements in the output of ``scontrol -o show job``, pending ones that share a line included.

    An array of this package is known by its script, since anybody may give a job another name.
    """
    for line in filter(None, text.splitlines()):
        fields = _one_line(line)
        indices = fields.get("ArrayTaskId", "").partition("%")[0]
        if not indices[:1].isdigit():
            continue
        code, signal = _exit_code(fields.get("ExitCode", ""))
        script = _BATCH.search(fields.get("Command", ""))
        for index in expand_indices(indices):
            yield EndedElement(
                array_id=fields.get("ArrayJobId", ""),
                index=index,
                name=script[1] if script else fields.get("JobName", ""),
                state=state_word(fields.get("JobState", "")),
                reason=fields.get("Reason", ""),
                exit_code=code,
                signal=signal,
                node=fields.get("NodeList", "").replace("(null)", ""),
            )


def parse_accounting(text: str) -> Iterator[EndedElement]:
    """The array elements in the output of ``sacct -P -n -o`` with the fields below.

    JobID, JobName, State, ExitCode, NodeList, MaxRSS, ElapsedRaw, Reason. Memory is told on the lines of an element's
    steps, so these are folded into it.
    """
    found: dict[tuple[str, int], EndedElement] = {}
    memory: dict[tuple[str, int], int] = {}
    for line in filter(None, text.splitlines()):
        fields = line.split("|", 7)
        if len(fields) < 8:  # noqa: PLR2004 - as many as were asked for
            continue
        job, name, state, exit_code, node, peak, elapsed, reason = fields
        element, _, step = job.partition(".")
        array_id, _, index = element.partition("_")
        if not index.isdigit():
            continue
        key = array_id, int(index)
        if step:
            memory[key] = max(memory.get(key, 0), _bytes(peak))
            continue
        code, signal = _exit_code(exit_code)
        found[key] = EndedElement(
            array_id=array_id,
            index=int(index),
            name=name,
            state=state_word(state),
            reason="" if reason == "None" else reason,
            exit_code=code,
            signal=signal,
            node="" if node == "None assigned" else node,
            seconds=float(elapsed) if elapsed.isdigit() else None,
        )
    for key, element_found in found.items():
        values = {**vars(element_found), "peak_memory": memory.get(key) or None}
        yield EndedElement(**values)


def parse_config(text: str) -> dict[str, str]:
    """The lines ``Name = value`` of ``scontrol show config``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _one_line(line: str) -> dict[str, str]:
    """``Key=value Key=value``; a value reaches to the next key, since some hold blanks."""
    keys = list(_KEY.finditer(line))
    ends = [*(key.start() for key in keys[1:]), len(line)]
    fields: dict[str, str] = {}
    # A line without any key, such as "No jobs in the system", has an end and no beginning.
    for key, end in zip(keys, ends, strict=False):
        # The first one counts: a comment or a path may look like a key.
        fields.setdefault(key[1], line[key.end() : end].strip())
    return fields


def _exit_code(text: str) -> tuple[int, int]:
    found = _EXIT.match(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _bytes(text: str) -> int:
    found = _AMOUNT.fullmatch(text)
    return int(float(found[1]) * 1024 ** " KMGTP".index(found[2] or " ")) if found else 0
