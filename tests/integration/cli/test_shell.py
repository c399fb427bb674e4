"""`airflow repx debug-run` as a shell in a terminal, here and over a real sshd."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.labs import JobSpec, RunSpec, job_id, write_lab
from tools.airflow_local import wait_until
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


def environment_of(folder: Path, sshd: ThrowawaySshd | None) -> dict[str, str]:
    """What a command needs to run jobs in `folder`, here or over SSH."""
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), "TERM": "xterm", "PS1": ""}
    if sshd is None:
        return environment | {"AIRFLOW__REPX__BASE_PATH": str(folder / "base")}
    keys = {"key_file": str(sshd.key), "known_hosts": str(sshd.known_hosts)}
    slurm = {"base_path": str(folder / "base"), "ssh_conn_id": "login"}
    login = {"conn_type": "ssh", "host": sshd.host, "port": sshd.port, "login": sshd.user, "extra": keys}
    return environment | {
        "AIRFLOW_CONN_CLUSTER": json.dumps({"conn_type": "slurm", "extra": slurm}),
        "AIRFLOW_CONN_LOGIN": json.dumps(login),
        "AIRFLOW__REPX__SLURM_CONN_ID": "cluster",
    }


@pytest.mark.full
@pytest.mark.parametrize("way", ["here", "over ssh"])
def test_a_person_works_in_the_shell(sshd: ThrowawaySshd, tmp_path: Path, way: str) -> None:
    job = JobSpec(
        job_id("make-1.1"), script='echo made > data.txt; echo "ran with ${PATH:+a path}"', params={"a b": "c"}
    )
    lab = write_lab(tmp_path / "lab", [RunSpec("simulation", [job])])
    environment = environment_of(tmp_path, sshd if way == "over ssh" else None)
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


def ended(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.full
@pytest.mark.parametrize(
    ("number", "trap", "code"),
    [
        (signal.SIGINT, "", 128 + signal.SIGINT),
        (signal.SIGTERM, "", 128 + signal.SIGTERM),
        (signal.SIGINT, "trap '' INT TERM; ", 128 + signal.SIGKILL),
        (signal.SIGTERM, "trap 'exit 7' TERM; ", 7),
    ],
)
def test_a_signal_ends_what_runs_on_the_other_machine(
    sshd: ThrowawaySshd, tmp_path: Path, number: signal.Signals, trap: str, code: int
) -> None:
    job = JobSpec(job_id("make-1.1"))
    lab = write_lab(tmp_path / "lab", [RunSpec("simulation", [job])])
    line = f"{trap}read -r word; echo $word $BASHPID $PWD; while :; do sleep 0.2; done"
    command = [sys.executable, "-m", "airflow", "repx", "debug-run", job.id[:6], "--lab", str(lab), "-c", line]
    process = subprocess.Popen(
        command, env=environment_of(tmp_path, sshd), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("given\n")
        process.stdin.close()
        word, process_id, scratch = process.stdout.readline().split(maxsplit=2)
        assert word == "given"
        process.send_signal(number)
        assert process.wait(timeout=_SECONDS) == code
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
    wait_until(lambda: ended(int(process_id)), timeout=_SECONDS, what="the program's end")
    assert not Path(scratch.strip()).parent.exists()
