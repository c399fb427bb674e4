"""One claim per job: whoever holds ``outputs/<job>/repx/claim`` runs the job, nobody else does.

A claim file is written and locked (``flock``) under a temporary name and then appears under its own name by a hard
link, so nobody ever sees one that is incomplete or not yet locked. The lock belongs to the open file description,
which the worker passes on to the job's runner and thereby to every process of the job: the lock is free only when
none of them is left, whatever was killed.

A claim whose lock can be taken is therefore dead, if the lock was the local kernel's to keep (see
`ClaimRecord.lock_decides`). Whoever takes over holds the dead claim's lock while renaming its own, locked claim over
it. Since somebody else may have done so in between, a lock counts only if the file that it was taken on is still the
one at that path.

A claim of a job under Slurm has no lock: it ends with the record of its own attempt, or with a file
``claim.over-<token>``. It is never removed or replaced: the next claim is linked beside it as ``claim.after-<token>``.
Such a chain only grows, so one ``link`` decides who is next, whoever else is slow; the last claim of the chain is the
one that counts. Claims of this machine come after such ones in the same way.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from airflow_provider_repx.errors import StoreError
from airflow_provider_repx.execution.store.attempt import read_attempt
from airflow_provider_repx.execution.store.claimant import Claimant, ClaimRecord
from airflow_provider_repx.execution.store.files import store_error, write_all

__all__ = ["Claim", "HeldClaim", "claim_is_live", "read_claim", "try_claim"]

_CLAIM_SIZE_LIMIT = 65536


@dataclass(frozen=True)
class HeldClaim:
    """Somebody else's claim, alive; nothing was changed."""

    record: ClaimRecord


class Claim:
    """A claim that this process holds. A context manager that releases it.

    Attributes:
        record: What the claim file says.
        predecessor: The dead claim that this one replaced, if there was one.

    """

    def __init__(self, path: Path, descriptor: int, record: ClaimRecord, predecessor: ClaimRecord | None) -> None:
        """Made by `try_claim` only."""
        self._path = path
        self._descriptor = descriptor
        self.record = record
        self.predecessor = predecessor

    @property
    def descriptor(self) -> int:
        """The open file whose lock says that the claim is alive; to be inherited by the job."""
        return self._descriptor

    def release(self) -> None:
        """Remove the claim. Only when its outcome is written, and no process of the job is left."""
        if self._descriptor < 0:
            return
        if _is_at(self._descriptor, self._path):
            self._path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Let go of the claim without removing it: it stays alive for as long as a process of the job is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Claim:  # noqa: PYI034 - `Self` needs Python 3.11, and nobody derives from this class
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def try_claim(path: Path, claimant: Claimant) -> Claim | HeldClaim:
    """Claim a job now, or say who has it. The folder of `path` must exist.

    Raises `StoreError` when the store cannot be written, and for a claim of which nobody can say whether it is alive:
    an unreadable one, or one of another machine whose lock is not held here.
    """
    record = ClaimRecord(claimant)
    temporary = path.with_name(f".claim-{record.token}")
    try:
        descriptor = _write_locked(temporary, record)
    except OSError as error:
        raise store_error("write the claim", temporary, error) from error
    try:
        while True:
            place = _next_place(path)
            if _link(temporary, place, descriptor):
                return Claim(place, descriptor, record, None)
            found = _seize(place)
            if isinstance(found, HeldClaim):
                if _is_over(found.record, path):
                    continue
                os.close(descriptor)
                return found
            if found is not None:
                with found:
                    temporary.rename(place)
                    return Claim(place, descriptor, record, found.record)
    except OSError as error:
        os.close(descriptor)
        raise store_error("claim the job", path, error) from error
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def claim_is_live(path: Path) -> bool:
    """Whether there is a claim that is alive, or of which nobody here can tell. Changes nothing."""
    place, last = _last_claim(path)
    if last is not None and last.authority == "slurm":
        return not _is_over(last, path)
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A shared lock, so that two who only ask do not take each other for the job.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        record = _read(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return record is not None and not record.lock_decides


def read_claim(path: Path) -> ClaimRecord | None:
    """What the claim of the chain at `path` that counts says, dead or alive; `None` where none can be read."""
    return _last_claim(path)[1]


@dataclass(frozen=True)
class _DeadClaim:
    """A dead claim whose lock is held by this process until the `with` block ends."""

    record: ClaimRecord
    descriptor: int

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


def _last_claim(path: Path) -> tuple[Path, ClaimRecord | None]:
    """The last place of the chain that begins at `path`, and what the claim there says."""
    record = _read_file(path)
    while record is not None and record.authority == "slurm":
        following = _read_file(_after(path, record))
        if following is None:
            break
        path, record = _after(path, record), following
    return path, record


def _next_place(path: Path) -> Path:
    """Where the next claim belongs, or where one is that is not over.

    The end of a claim of Slurm's is marked before it gets a successor: the record that shows it will be replaced.
    """
    place, last = _last_claim(path)
    if last is None or last.authority != "slurm" or not _is_over(last, path):
        return place
    _over(path, last).touch()
    return _after(path, last)


def _is_over(record: ClaimRecord, path: Path) -> bool:
    """Whether a claim of Slurm's has ended; one of a machine ends with its lock."""
    if record.authority != "slurm":
        return False
    attempt = read_attempt(path.with_name("attempt.json"))
    return (attempt is not None and attempt.token == record.token) or _over(path, record).exists()


def _after(path: Path, record: ClaimRecord) -> Path:
    return path.with_name(f"claim.after-{record.token}")


def _over(path: Path, record: ClaimRecord) -> Path:
    return path.with_name(f"claim.over-{record.token}")


def _read_file(path: Path) -> ClaimRecord | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _write_locked(temporary: Path, record: ClaimRecord) -> int:
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, record.to_json().encode())
        # A claim that is empty after a power failure could not be judged by anybody.
        os.fsync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor


def _link(temporary: Path, path: Path, descriptor: int) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # On NFS the reply to a successful link can be lost, and its repetition fails; the number of links tells.
        return os.fstat(descriptor).st_nlink > 1 and _is_at(descriptor, path)
    return True


def _seize(path: Path) -> HeldClaim | _DeadClaim | None:
    """Take the lock of the claim at `path` if it is free; `None` when the claim has just gone away or changed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    keep = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = _read(descriptor)
            return None if record is None and not _is_at(descriptor, path) else HeldClaim(_known(record, path))
        if not _is_at(descriptor, path):
            return None
        record = _known(_read(descriptor), path)
        if record.authority != "local":
            return HeldClaim(record)
        if not record.lock_decides:
            raise StoreError(
                f"{path}: the job is claimed by {record}, which is another machine whose lock cannot be seen here,"
                f" so nobody can tell whether the job still runs there. Nothing was run. If {record.process.host} does"
                " not run it any more, remove this file and try again."
            )
        keep = True
        return _DeadClaim(record, descriptor)
    finally:
        if not keep:
            os.close(descriptor)


def _known(record: ClaimRecord | None, path: Path) -> ClaimRecord:
    if record is None:
        raise StoreError(
            f"{path}: this claim cannot be read, so nobody can tell whether the job runs. Nothing was run. If no"
            " process of the job is left, remove this file and try again."
        )
    return record


def _read(descriptor: int) -> ClaimRecord | None:
    try:
        data = json.loads(os.pread(descriptor, _CLAIM_SIZE_LIMIT, 0))
        return ClaimRecord.from_mapping(data)
    except (KeyError, TypeError, ValueError):
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return False
        raise
