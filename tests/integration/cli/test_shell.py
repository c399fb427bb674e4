"""`airflow repx debug-run` as a shell in a terminal, here and over a real sshd."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tools.cluster import ThrowawaySshd

pytestmark = [pytest.mark.integration, pytest.mark.ssh]

_SECONDS = 60


class Terminal:
    """A command in a terminal of 91 columns."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._master, other = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 91, 0, 0))
        self.shown = ""
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command], env=environment, stdin=other, stdout=other, stderr=other
        )
        os.close(other)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> None:
        """Read what is shown until a text is; fails after a minute."""
        deadline = time.monotonic() + _SECONDS
        while text not in self.shown:
            assert select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0], self.shown
            try:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                assert text in self.shown, self.shown

    def end(self) -> int:
        """Wait for the end; the exit code."""
        while True:
            try:
                if not os.read(self._master, 65536):
                    break
            except OSError:
                break
        os.close(self._master)
        return self._process.wait(timeout=_SECONDS)


@pytest.mark.full
@pytest.mark.parametrize("way", ["here", "over ssh"])
def test_a_person_works_in_the_shell(sshd: ThrowawaySshd, tmp_path: Path, way: str) -> None:
    job = JobSpec(
        job_id("make-1.1"), script='echo made > data.txt; echo "ran with ${PATH:+a path}"', params={"a b": "c"}
    )
    lab = write_lab(tmp_path / "lab", [RunSpec("simulation", [job])])
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "TERM": "xterm", "PS1": ""}
    if way == "over ssh":
        keys = {"key_file": str(sshd.key), "known_hosts": str(sshd.known_hosts)}
        slurm = {"base_path": str(tmp_path / "base"), "ssh_conn_id": "login"}
        login = {"conn_type": "ssh", "host": sshd.host, "port": sshd.port, "login": sshd.user, "extra": keys}
        environment["AIRFLOW_CONN_CLUSTER"] = json.dumps({"conn_type": "slurm", "extra": slurm})
        environment["AIRFLOW_CONN_LOGIN"] = json.dumps(login)
        environment["AIRFLOW__REPX__SLURM_CONN_ID"] = "cluster"
    else:
        environment["AIRFLOW__REPX__BASE_PATH"] = str(tmp_path / "base")
    command = [sys.executable, "-m", "airflow", "repx", "debug-run", job.id[:6], "--lab", str(lab)]
    terminal = Terminal(command, environment)
    terminal.read_until(f"repx {job.id[:8]}$ ")
    terminal.type("run-job; cat data.txt\r")
    terminal.read_until("ran with a path")
    terminal.read_until("made\r\n")
    # Ctrl+C ends what runs in the shell, and neither the shell nor the command around it.
    terminal.type("sleep 1000\r")
    terminal.type("\x03")
    terminal.type("echo still $((40 + 2)); tty\r")
    terminal.read_until("still 42")
    terminal.read_until("/dev/pts/")
    terminal.type("echo size $(stty size)\r")
    terminal.read_until("size 30 91")
    terminal.type("exit 5\r")
    assert terminal.end() == 5
    assert not (tmp_path / "base" / "outputs").exists()
