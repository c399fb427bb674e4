"""Every exception that this package raises on purpose.

RepxError
├── LabError                      something about a lab on disk
│   ├── LabNotFoundError              no lab at that path
│   ├── LabFormatError                malformed file: names file, run, job and field
│   ├── LabIntegrityError             missing file or wrong SHA-256
│   ├── LabPathError                  a path leaves the lab
│   ├── LabLookupError                no such run, group or job
│   └── LabChangedError               a task finds another lab than its DAG run started with
├── UnitError                     an unreadable amount of memory or time
├── TargetError                   a target's or the provider's configuration
│   └── UnsupportedTargetError        the target asks for what cannot be honored
├── PlanError                     a run that cannot be planned
├── StoreError                    the output store on disk
│   ├── StoreFullError                no space left, or over quota
│   ├── JobInputError                 an input of a job cannot be resolved or is not there
│   └── WorkItemsError                what a scatter left is not a JSON array of work items
├── JobError                      the outcome of a job
│   ├── JobFailedError                it ran and failed; carries exit code and stderr
│   ├── JobCancelledError             it was killed on request
│   └── JobLostError                  the machine failed it (node, preemption, boot): another try may succeed
├── TransportError                a target's machine cannot be reached, or the connection broke
│   ├── HostKeyError                  its host key is not known, or not the known one
│   └── UnreachableError              it is not there now, or the connection broke: it may be back in a moment
├── SlurmError                    Slurm cannot do what it was asked
│   ├── SlurmNotFoundError            no Slurm commands on the target
│   ├── SlurmSubmissionError          sbatch refuses the request itself; another try would end the same way
│   ├── SlurmUnavailableError         the controller does not answer, or a limit is reached for now
│   └── SlurmUnknownStateError        nobody could say until the deadline what became of a job
├── DagError                      Airflow does not know a DAG or DAG run, or it cannot take what is asked
├── CommandLineError              a command names what is not there, or contradicts itself: exit code 2
├── CommandError                  an external command ended with an error; carries exit code and stderr
│   ├── CommandTimeoutError           it took longer than allowed, and was killed
│   └── CommandKilledError            it was killed on request
└── NixError                      the nix command
    ├── NixNotFoundError              no nix on this machine
    ├── NixEvaluationError            the expression does not evaluate
    │   └── NixMissingAttributeError      the flake or file has no such attribute
    ├── NixBuildError                 a derivation failed to build
    ├── NixTimeoutError               it took longer than allowed
    └── NixTransientError             network, daemon or a locked database: another try may succeed
"""

from __future__ import annotations

__all__ = [
    "CommandError",
    "CommandKilledError",
    "CommandLineError",
    "CommandTimeoutError",
    "DagError",
    "HostKeyError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobInputError",
    "JobLostError",
    "LabChangedError",
    "LabError",
    "LabFormatError",
    "LabIntegrityError",
    "LabLookupError",
    "LabNotFoundError",
    "LabPathError",
    "NixBuildError",
    "NixError",
    "NixEvaluationError",
    "NixMissingAttributeError",
    "NixNotFoundError",
    "NixTimeoutError",
    "NixTransientError",
    "PlanError",
    "RepxError",
    "SlurmError",
    "SlurmNotFoundError",
    "SlurmSubmissionError",
    "SlurmUnavailableError",
    "SlurmUnknownStateError",
    "StoreError",
    "StoreFullError",
    "TargetError",
    "TransportError",
    "UnitError",
    "UnreachableError",
    "UnsupportedTargetError",
    "WorkItemsError",
]


class RepxError(Exception):
    """Root of all errors of this package; its message says what is wrong, where, and what to do."""


class LabError(RepxError):
    """Something is wrong with a lab on disk."""


class LabNotFoundError(LabError):
    """There is no lab at the given path."""


class LabFormatError(LabError):
    """A file of a lab is malformed.

    The message reads ``<file>: <run>/<job>: <field>: <what is wrong>``, with the parts that apply.
    """


class LabIntegrityError(LabError):
    """A file of a lab is missing or its content differs from the manifest's SHA-256."""


class LabPathError(LabError):
    """A path in a lab is absolute, contains ``..``, or leads out of the lab through a symbolic link."""


class LabLookupError(LabError):
    """A run, group or job that was asked for is not in the lab."""


class LabChangedError(LabError):
    """A task finds another lab than the one its DAG run started with."""


class UnitError(RepxError):
    """An amount of memory or time that cannot be read."""


class TargetError(RepxError):
    """A target or the provider's configuration is wrong."""


class UnsupportedTargetError(TargetError):
    """The target asks for something that cannot be honored, so nothing is run at all."""


class PlanError(RepxError):
    """A run that cannot be planned for its target."""


class StoreError(RepxError):
    """The output store cannot be read or written."""


class JobInputError(StoreError):
    """An input of a job cannot be resolved, or its producer's output is not there."""


class WorkItemsError(StoreError):
    """What a scatter left as its work items is missing, or is not a JSON array."""


class StoreFullError(StoreError):
    """A file system of the output store is full, or a quota is exceeded; the message says which."""


class JobError(RepxError):
    """A job did not succeed."""


class JobFailedError(JobError):
    """A job ran and failed; the message carries its exit code and the last lines of its stderr."""


class JobCancelledError(JobError):
    """A job was killed on request."""


class JobLostError(JobError):
    """A job ended through no fault of its own: its node failed or did not boot, or it was preempted."""


class TransportError(RepxError):
    """A target's machine cannot be reached or the connection broke; a command under way may or may not have run."""


class HostKeyError(TransportError):
    """A machine's host key is not known, or it is not the one that is known: nobody may connect."""


class UnreachableError(TransportError):
    """The machine does not answer now, or the connection to it broke; it may be back in a moment."""


class SlurmError(RepxError):
    """Slurm cannot do what it was asked."""


class SlurmNotFoundError(SlurmError):
    """There are no Slurm commands on the target."""


class SlurmSubmissionError(SlurmError):
    """Slurm refuses a submission for what it asks: account, partition, constraint, limits of a single job."""


class SlurmUnavailableError(SlurmError):
    """Slurm's controller does not answer, or a limit on the number of jobs is reached: a retry may succeed."""


class SlurmUnknownStateError(SlurmError):
    """What became of a job could not be found out until the deadline. It counts neither as success nor as failure."""


class DagError(RepxError):
    """Airflow does not know a DAG or a DAG run, or it is in no state for what is asked."""


class CommandLineError(RepxError):
    """A command line that names what is not there, or contradicts itself."""


class CommandError(RepxError):
    """An external command ended with an error.

    `exit_code` is negative for a signal and `None` where it is not known; `stderr` holds the last lines it wrote there.
    """

    def __init__(self, message: str, *, exit_code: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.stderr = stderr


class CommandTimeoutError(CommandError):
    """An external command took longer than it was allowed to, and was killed with all its processes."""


class CommandKilledError(CommandError):
    """An external command was killed on request, with all its processes."""


class NixError(RepxError):
    """The nix command failed."""


class NixNotFoundError(NixError):
    """There is no nix command on this machine."""


class NixEvaluationError(NixError):
    """A Nix expression does not evaluate."""


class NixMissingAttributeError(NixEvaluationError):
    """A flake or file does not have the requested attribute."""


class NixBuildError(NixError):
    """A derivation failed to build; the message carries the last lines of its log."""


class NixTimeoutError(NixError):
    """The nix command took longer than it was allowed to."""


class NixTransientError(NixError):
    """Something outside of the expression failed (network, daemon, a locked database): a retry may succeed."""
