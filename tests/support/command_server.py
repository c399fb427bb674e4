"""`airflow …` commands of one Airflow, called many times: each in a process of its own that has Airflow loaded already.

A command takes three seconds to load Airflow, and a tenth of that to do its work. So one process loads Airflow and
waits, and for each command it forks; the child does what the `airflow` command does.

As a program: reads one JSON list of arguments per line from stdin, and answers with one JSON object per line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["CommandServer"]


_TIMEOUT_SECONDS = 90


class CommandServer:
    """Runs `airflow` commands with the given environment; a context manager."""

    def __init__(self, environment: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server"],
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command and return what it said, whatever its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, answer["code"], answer["stdout"], answer["stderr"])


def _serve() -> None:
    from airflow.cli import cli_parser  # noqa: PLC0415 - for the program only, not for those who import the class

    cli_parser.get_parser()
    # What most commands load as well.
    for name in ("cli.airflow_dags", "cli.catalog", "cli.labs", "operators.base"):
        importlib.import_module(f"airflow_provider_repx.{name}")
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _become(json.loads(line), out.fileno(), err.fileno())
            code = _exit_code(child)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        print(json.dumps({"code": code, "stdout": texts[0], "stderr": texts[1]}), flush=True)  # noqa: T201 - the answer


def _exit_code(child: int) -> int:
    """Wait for a command; one that takes too long is killed, so that its output tells what it was doing."""
    ended = os.pidfd_open(child)
    if not select.select([ended], [], [], _TIMEOUT_SECONDS)[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(arguments: list[str], out: int, err: int) -> NoReturn:
    """Be an `airflow` command from here on."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 1
    with contextlib.suppress(BaseException):
        try:
            from airflow.__main__ import main  # noqa: PLC0415 - see above

            sys.argv = ["airflow", *arguments]
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:  # noqa: BLE001 - the process ends here, and its caller sees what happened
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
