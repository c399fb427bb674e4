"""What a job on this machine sees of the worker's environment: an allowlist, so that no secret of Airflow leaks.

RepX hands the whole environment down. An Airflow worker's holds connections, keys and tokens, so only variables that
describe the machine, the user and how numeric libraries are to behave are passed on.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

__all__ = ["PASSED_ON", "TOKEN_VARIABLE", "host_tools", "job_environment"]

TOKEN_VARIABLE = "REPX_JOB_TOKEN"  # noqa: S105 - a variable's name, not a secret
"""Set for every process of a job, so that those who left its process group are found again."""

PASSED_ON = (
    # The user and the machine.
    "HOME",
    "HOSTNAME",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    # Language.
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOCALE_ARCHIVE*",
    # The way out of a closed network, and whom to trust there.
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ftp_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    # Nix itself; without NIX_CONFIG, which may hold access tokens.
    "NIX_PATH",
    "NIX_PROFILES",
    "NIX_REMOTE",
    "NIX_SSL_CERT_FILE",
    "NIX_STATE_DIR",
    "NIX_STORE*",
    # Devices and threads of numeric libraries. LD_LIBRARY_PATH is how drivers are found outside of NixOS.
    "CUDA_*",
    "GOMP_*",
    "GPU_DEVICE_ORDINAL",
    "HIP_*",
    "KMP_*",
    "LD_LIBRARY_PATH",
    "MKL_*",
    "NUMEXPR_*",
    "NVIDIA_*",
    "OMP_*",
    "OPENBLAS_*",
    "ROCR_*",
    "VECLIB_*",
)
"""Names and patterns of the variables that a job inherits, besides ``PATH``."""

_NEVER = ("AIRFLOW*", "_AIRFLOW*")


def job_environment(inherited: Mapping[str, str], *, lab: Path, token: str, also: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a job: what `PASSED_ON` and `also` allow, never anything of Airflow's.

    ``PATH`` is the lab's own tools, then the inherited one, as in RepX.
    """
    allowed = _pattern((*PASSED_ON, *also))
    never = _pattern(_NEVER)
    environment = {name: value for name, value in inherited.items() if allowed.match(name) and not never.match(name)}
    tools = host_tools(lab)
    path = [str(tools)] if tools is not None else []
    path += [inherited["PATH"]] if inherited.get("PATH") else []
    if path:
        environment["PATH"] = ":".join(path)
    environment[TOKEN_VARIABLE] = token
    return environment


def host_tools(lab: Path) -> Path | None:
    """The folder of the tools that a lab brings for its host; `None` for a lab without."""
    return min(lab.glob("host-tools/*/bin"), default=None)


@cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, globs)))
