"""The options for `sbatch` that a job may bring, as RepX's ``sbatch_opts``: each becomes one directive, and no more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from airflow_provider_repx.errors import SlurmSubmissionError

__all__ = ["parse_options"]

_LONG = re.compile(r"--([a-z][a-z0-9-]*)(?:(?:=|\s+)(.*))?", re.DOTALL)
_SHORT = re.compile(r"-([A-Za-z])(.*)", re.DOTALL)

_SHORT_NAMES = {
    "A": "account",
    "a": "array",
    "B": "extra-node-info",
    "b": "begin",
    "c": "cpus-per-task",
    "C": "constraint",
    "D": "chdir",
    "d": "dependency",
    "e": "error",
    "F": "nodefile",
    "G": "gpus",
    "h": "help",
    "H": "hold",
    "i": "input",
    "I": "immediate",
    "J": "job-name",
    "k": "no-kill",
    "L": "licenses",
    "m": "distribution",
    "M": "clusters",
    "n": "ntasks",
    "N": "nodes",
    "O": "overcommit",
    "o": "output",
    "p": "partition",
    "q": "qos",
    "Q": "quiet",
    "s": "oversubscribe",
    "S": "core-spec",
    "t": "time",
    "V": "version",
    "v": "verbose",
    "w": "nodelist",
    "W": "wait",
    "x": "exclude",
}

_WITHOUT_VALUE = frozenset(
    {"contiguous", "exclusive", "no-kill", "no-requeue", "overcommit", "oversubscribe", "quiet", "reboot",
     "spread-job", "use-min-nodes", "verbose", "get-user-env", "nice"}
)  # fmt: skip
"""Those that may stand alone; some of them may have a value too."""

_REFUSED = {
    "array": "jobs are put into arrays by this package",
    "job-name": "jobs are found again by a name of this package's own",
    "output": "logs go to the job's own folder",
    "error": "logs go to the job's own folder",
    "input": "a job reads from files that it is told about",
    "open-mode": "logs go to the job's own folder",
    "wrap": "the job's script comes from its lab",
    "chdir": "a job runs in its own folder",
    "export": "a job's environment is made by this package",
    "export-file": "a job's environment is made by this package",
    "get-user-env": "a job's environment is made by this package",
    "requeue": "Slurm and Airflow must not both run a job again; use the task's retries",
    "parsable": "this package talks to sbatch itself",
    "wait": "this package waits by itself",
    "test-only": "nothing would be run",
    "hold": "nobody would ever release the job",
    "help": "nothing would be run",
    "usage": "nothing would be run",
    "version": "nothing would be run",
    "immediate": "a job that cannot start at once would be lost",
    "ignore-pbs": "there are no PBS directives",
    "quiet": "this package needs what sbatch says",
    "clusters": "a connection is for one cluster; use another connection",
    "cluster": "a connection is for one cluster; use another connection",
    "kill-on-invalid-dep": "a job whose dependency can never be satisfied is always ended",
    "uid": "a job runs as the user of its connection",
    "gid": "a job runs as the user of its connection",
}


def parse_options(options: Iterable[str]) -> dict[str, str | None]:
    """The values of options by their long names without dashes, `None` for one without a value.

    Each item is one option in any form that `sbatch` takes: ``--gres=gpu:2``, ``--gres gpu:2``, ``-C a100``,
    ``-Ca100``, ``--exclusive``. Raises `SlurmSubmissionError` for anything else, and for options that would break how
    jobs are run.
    """
    found: dict[str, str | None] = {}
    for option in options:
        name, value = _parse(option)
        if name in found:
            raise _refusal(option, f"--{name} is given twice")
        found[name] = value
    return found


def _parse(option: str) -> tuple[str, str | None]:
    text = option.strip()
    if not text.isprintable():
        raise _refusal(option, "it contains a line break or another character that cannot be printed")
    name, value = _split(option, text)
    if name in _REFUSED:
        raise _refusal(option, _REFUSED[name])
    if value is None and name not in _WITHOUT_VALUE:
        raise _refusal(option, f"--{name} needs a value, as in --{name}=VALUE")
    return name, value


def _split(option: str, text: str) -> tuple[str, str | None]:
    """The long name and the value of an option in one of its forms."""
    if long := _LONG.fullmatch(text):
        return long[1], None if long[2] is None else _one_word(option, long[2].strip())
    if short := _SHORT.fullmatch(text):
        name = _SHORT_NAMES.get(short[1])
        if name is None:
            raise _refusal(option, f"sbatch has no option -{short[1]}")
        return name, _one_word(option, short[2].strip()) if short[2].strip() else None
    raise _refusal(option, "it does not begin with an option such as --gres=gpu:2 or -C a100")


def _one_word(option: str, value: str) -> str:
    """The value without a shell's quotes; two words would be two arguments."""
    if not re.search(r"[\s'\"\\#]", value):
        if not value:
            raise _refusal(option, "its value is empty")
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise _refusal(option, f"its quotes are not balanced ({error})") from error
    if len(words) != 1 or not words[0]:
        raise _refusal(option, "it holds more than one option; give each as an item of its own")
    return words[0]


def _refusal(option: str, why: str) -> SlurmSubmissionError:
    return SlurmSubmissionError(f"sbatch_opts: {option!r} cannot be used: {why}.")
