"""Users of this machine for tests with two colleagues; only root can make them, and they are removed again."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.airflow_local.processes import is_running

from .daemons import ClusterError, find_program, identity_of, own_identity

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ThrowawayUser", "remove_ownerless_users", "why_no_users"]

_PREFIX = "repxtest"
_SECONDS = 60.0


def why_no_users() -> str | None:
    """Why no users can be made here; `None` where they can."""
    if os.geteuid() != 0:
        return "needs root: only root can make a second user"
    missing = [name for name in ("useradd", "userdel") if find_program(name) is None]
    return f"needs {', '.join(missing)} (Debian: apt-get install passwd)" if missing else None


class ThrowawayUser:
    """A new user with a home folder and a group of the same name.

    Attributes:
        name: The login name.
        home: The home folder.
        uid: The user's number.
        gid: The number of the user's own group.

    """

    def __init__(self, *, shell: str = "/bin/bash", groups: tuple[str, ...] = ()) -> None:
        """Make the user; raises `ClusterError`."""
        self.name = f"{_PREFIX}{secrets.token_hex(4)}"
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/tmp"))
        # The comment names the owner, as the file of a cluster's folder does; '*' is no password but no lock either.
        arguments = ["--no-create-home", "--home-dir", str(self.home), "--shell", shell, "--user-group"]
        arguments += ["--groups", ",".join(groups)] if groups else []
        _run("useradd", *arguments, "--password", "*", "--comment", own_identity(), self.name)
        entry = pwd.getpwnam(self.name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        os.chown(self.home, self.uid, self.gid)
        self.home.chmod(0o755)

    def remove(self) -> None:
        """Remove the user and the home folder."""
        _remove(self.name, self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def remove_ownerless_users() -> None:
    """Remove the users whose owner was killed."""
    if why_no_users() is not None:
        return
    for entry in pwd.getpwall():
        if entry.pw_name.startswith(_PREFIX):
            try:
                owner = identity_of(entry.pw_gecos)
            except ValueError:
                continue
            if not is_running(owner):
                _remove(entry.pw_name, Path(entry.pw_dir))


def _remove(name: str, home: Path) -> None:
    _run("userdel", "--force", name)
    shutil.rmtree(home, ignore_errors=True)


def _run(*command: str) -> None:
    program = find_program(command[0]) or command[0]
    done = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)} ended with exit code {done.returncode}: {done.stderr.strip()}")
