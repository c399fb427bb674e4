"""How commands of `airflow repx` fail: one clear line on stderr, and an exit code.

1 is an error at run time or a failed job, 2 a command line that names what is not there or contradicts itself, 130 an
interruption with Ctrl+C.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import ParamSpec, cast

from airflow_provider_repx.cli.logs import send_logs_to_stderr
from airflow_provider_repx.cli.tables import one_line
from airflow_provider_repx.errors import CommandLineError, LabLookupError, RepxError

__all__ = ["command"]

_P = ParamSpec("_P")

_FAILURE = 1
_USAGE = 2
_INTERRUPTED = 130


def command(function: Callable[_P, int | None]) -> Callable[_P, None]:
    """Turn what a command returns, or raises on purpose, into an exit code and one line on stderr.

    A command returns `None` or 0 when all is well, else its exit code.
    """

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        send_logs_to_stderr()
        _print_everything()
        try:
            with warnings.catch_warnings():
                # What the libraries that Airflow loads say to each other concerns nobody who calls a command.
                warnings.filterwarnings("ignore", module=r"fastapi\b|starlette\b")
                code = function(*args, **kwargs)
            # Here and not at the interpreter's end, where a reader that has gone away would be an exception.
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_quietly()
        except KeyboardInterrupt:
            _end(_INTERRUPTED, "interrupted")
        except (CommandLineError, LabLookupError) as error:
            elsewhere = _elsewhere(args, error)
            _end(_USAGE, f"{str(error).removesuffix('.')}. {elsewhere}" if elsewhere else str(error), error)
        except (RepxError, OSError) as error:
            _end(_FAILURE, str(error), error)
        except Exception as error:
            message = _of_airflow(error)
            if message is None:
                raise
            _end(_FAILURE, message, error)
        else:
            if code:
                raise SystemExit(code)

    return wrapped


def _print_everything() -> None:
    """Have characters that a terminal's encoding lacks written out: names of files and labs may hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end(code: int, message: str, error: Exception | None = None) -> None:
    print(f"[ERROR] {one_line(message)}", file=sys.stderr)
    raise SystemExit(code) from error


def _elsewhere(arguments: Sequence[object], error: Exception) -> str:
    """Where what a command line names is to be found, if not in the lab that it is about."""
    from airflow_provider_repx.cli.labs import labs_with_runs  # noqa: PLC0415 - loaded only when something went wrong

    if not isinstance(error, LabLookupError) or not arguments or not hasattr(arguments[0], "lab"):
        return ""
    try:
        return labs_with_runs(cast("argparse.Namespace", arguments[0]))
    except RepxError:
        # The configuration of another lab; what went wrong with this one matters more.
        return ""


def _leave_quietly() -> None:
    """End when whoever read our output has gone away, as `head` does: nothing is wrong, and nobody is told."""
    # The interpreter flushes stdout at its end, which would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def _of_airflow(error: Exception) -> str | None:
    """One line for an error of Airflow or its database; `None` for a fault of this program, where a traceback helps."""
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - loaded only when something went wrong
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - see above

    if isinstance(error, AirflowException):
        return f"Airflow: {error}"
    if isinstance(error, SQLAlchemyError):
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        return f"Airflow's database: {cause}. If it was never set up, run `airflow db migrate`."
    return None
