from __future__ import annotations

import pytest

from airflow_provider_repx.building.progress import BuildProgress
from airflow_provider_repx.building.structured_log import BuildLogLine, BuildStarted, CopyStarted, Message, Progress

pytestmark = pytest.mark.unit


def drv(name: str) -> str:
    return f"/nix/store/00000000000000000000000000000000-{name}.drv"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_at_a_sensible_pace() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = BuildProgress(lines.append, interval=2.0, clock=clock)
    progress(Progress(0, 12, 0, 0))
    for number in range(12):
        clock.now = number * 0.5
        progress(BuildStarted(drv(f"stage-{number}")))
    progress.finish()
    assert lines == [
        "building 1/12 stage-0",
        "building 5/12 stage-4",
        "building 9/12 stage-8",
        "built 12 derivations",
    ]


def test_the_total_is_never_smaller_than_what_has_started() -> None:
    lines: list[str] = []
    progress = BuildProgress(lines.append, interval=0.0)
    progress(BuildStarted(drv("a")))
    progress(Progress(1, 0, 0, 0))
    progress(BuildStarted(drv("b")))
    assert lines == ["building 1/1 a", "building 2/2 b"]


def test_builders_and_warnings_are_logged_in_full() -> None:
    lines: list[str] = []
    progress = BuildProgress(lines.append)
    for _ in range(3):
        progress(BuildLogLine(drv("a"), "compiling"))
    progress(BuildLogLine("", "uploading"))
    progress(CopyStarted("copying path 'x'"))
    progress(Message(1, "warning: unknown setting", "warning: unknown setting"))
    progress(Message(3, "talkative", "talkative"))
    progress(Message(0, "error: raised as an exception instead", "x"))
    assert lines == [
        *["a> compiling"] * 3,
        "builder> uploading",
        "copying path 'x' (1 so far)",
        "warning: unknown setting",
    ]


def test_a_build_with_nothing_to_do_says_so() -> None:
    lines: list[str] = []
    BuildProgress(lines.append).finish()
    assert lines == ["nothing to build: everything was there"]
