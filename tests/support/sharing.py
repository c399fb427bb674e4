"""Which tests share what is expensive to start, and so belong into one process."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shared_scope"]


def shared_scope(nodeid: str) -> str:
    """A folder of integration tests, whose tests share an Airflow, a cluster or built labs; elsewhere a file.

    The tests of the tools share nothing but what they start themselves.
    """
    file = Path(nodeid.partition("::")[0])
    folders = file.parent.parts
    shares = folders[:2] == ("tests", "integration") and folders[-1] != "tools"
    return "/".join(folders) if shares else str(file)
