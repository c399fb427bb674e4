"""What a job asks of Slurm, as `sbatch` is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_repx.errors import SlurmSubmissionError
from airflow_provider_repx.execution.slurm.options import parse_options
from airflow_provider_repx.lab.units import format_time

if TYPE_CHECKING:
    from airflow_provider_repx.targets import Resources, SlurmDefaults

__all__ = ["Directives", "format_memory"]

_KIB = 1024
_PLAIN = re.compile(r"[A-Za-z0-9_.,:=@%+*/&|!()\[\]~^-]+")


@dataclass(frozen=True)
class Directives:
    """Options of `sbatch` by their long names without dashes, in the order of these names.

    A value is `None` for an option without one. Jobs with equal directives can share an array.
    """

    options: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def of(cls, resources: Resources, defaults: SlurmDefaults | None = None) -> Directives:
        """What resources ask for, over the defaults of a target; what ``sbatch_opts`` says wins over both.

        Memory is rounded up to KiB. Raises `SlurmSubmissionError` for an option that cannot be used.
        """
        options: dict[str, str | None] = {}
        if defaults is not None:
            named = {"partition": defaults.partition, "account": defaults.account, "qos": defaults.qos}
            options |= {name: value for name, value in named.items() if value is not None}
        if resources.mem is not None:
            options["mem"] = format_memory(resources.mem)
        if resources.cpus is not None:
            options["cpus-per-task"] = str(resources.cpus)
        if resources.time is not None:
            options["time"] = format_time(resources.time)
        if resources.partition is not None:
            options["partition"] = resources.partition
        own = parse_options(resources.sbatch_opts)
        if {"mem-per-cpu", "mem-per-gpu"} & own.keys():
            # Slurm takes only one of the three.
            options.pop("mem", None)
        return cls(tuple(sorted((options | own).items())))

    def lines(self) -> list[str]:
        """The directives of a batch script, one option each; raises `SlurmSubmissionError`."""
        return [f"#SBATCH {_directive(name, value)}" for name, value in self.options]

    def get(self, name: str) -> str | None:
        """The value of an option; `None` without it."""
        return dict(self.options).get(name)


def format_memory(amount: int) -> str:
    """Bytes as Slurm takes them, rounded up to the next KiB: ``68719476736`` is ``64G``."""
    kib = max(1, -(-amount // _KIB))
    for unit in ("K", "M", "G"):
        if kib % _KIB:
            return f"{kib}{unit}"
        kib //= _KIB
    return f"{kib}T"


def _directive(name: str, value: str | None) -> str:
    if value is None:
        return f"--{name}"
    if not value.isprintable():
        raise SlurmSubmissionError(f"--{name}: {value!r} contains a character that cannot be printed.")
    if _PLAIN.fullmatch(value):
        return f"--{name}={value}"
    # Slurm reads directives word by word: quotes of either kind group, a backslash takes the next character as it is.
    if '"' not in value and "\\" not in value:
        return f'--{name}="{value}"'
    if "'" not in value and "\\" not in value:
        return f"--{name}='{value}'"
    raise SlurmSubmissionError(f"--{name}: {value!r} mixes quotes and backslashes, which a directive cannot hold.")
