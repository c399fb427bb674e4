"""The phrases of several versions of Nix; those of the installed one are provoked in the integration tests."""

from __future__ import annotations

import pytest

from airflow_provider_repx.building.failures import Transcript, failure
from airflow_provider_repx.building.structured_log import BuildLogLine, Message, NixEvent, OtherLine
from airflow_provider_repx.errors import (
    NixBuildError,
    NixError,
    NixEvaluationError,
    NixMissingAttributeError,
    NixTransientError,
)

pytestmark = pytest.mark.unit

BROKEN = "/nix/store/00000000000000000000000000000000-broken.drv"
FOLLOWER = "/nix/store/11111111111111111111111111111111-follower.drv"
OTHER = "/nix/store/22222222222222222222222222222222-other.drv"


def error(summary: str) -> Message:
    return Message(0, f"error: {summary}", summary)


def judge(*events: NixEvent | str, network_allowed: bool = False) -> NixError:
    transcript = Transcript()
    for event in events:
        transcript.add(error(event) if isinstance(event, str) else event)
    return failure(transcript, "the lab", network_allowed=network_allowed)


@pytest.mark.parametrize(
    "summary",
    [
        f"builder for '{BROKEN}' failed with exit code 1",
        f"builder for '{BROKEN}' failed with exit code 1;\n       last 2 log lines:\n       > a\n       > b",
        f"builder for '{BROKEN}' failed due to signal 9 (Killed)",
        f"builder for '{BROKEN}' failed to produce output path for output 'out' at '/nix/store/x'",
        f"Cannot build '{BROKEN}'.\nReason: builder failed with exit code 1.\nOutput paths:\n  /nix/store/x",
        f"Cannot build '{BROKEN}'.\nReason: required system or feature not available",
        f"building of '{BROKEN}!out' from .drv file timed out after 1 seconds",
        f"building of '{BROKEN}^out' timed out after 1 seconds of silence",
        f"hash mismatch in fixed-output derivation '{BROKEN}':\n  specified: a\n  got: b",
        f"build of '{BROKEN}' on 'ssh://builder' failed: builder failed with exit code 1",
        f"a 'i686-linux' with features {{}} is required to build '{BROKEN}', but I am a 'x86_64-linux'",
    ],
)
def test_a_failed_builder_is_named_with_the_end_of_its_log(summary: str) -> None:
    judged = judge(
        *[BuildLogLine(BROKEN, f"line {number}") for number in range(40)], BuildLogLine(OTHER, "unrelated"), summary
    )
    assert type(judged) is NixBuildError
    text = str(judged)
    assert text.startswith("the lab: derivation 'broken' failed to build: ")
    assert "  > line 39" in text
    assert "line 14\n" not in text
    assert "unrelated" not in text
    assert text.endswith(f"Its whole log: nix log {BROKEN}")


@pytest.mark.parametrize(
    ("own", "followers"),
    [
        (
            f"builder for '{BROKEN}' failed with exit code 1",
            [f"1 dependencies of derivation '{FOLLOWER}' failed to build"],
        ),
        (
            f"Cannot build '{BROKEN}'.\nReason: builder failed with exit code 1.",
            [f"Cannot build '{FOLLOWER}'.\nReason: 1 dependency failed.", "Build failed due to failed dependency"],
        ),
    ],
)
def test_the_cause_is_named_and_not_its_followers(own: str, followers: list[str]) -> None:
    judged = judge(own, *followers)
    assert type(judged) is NixBuildError
    assert "derivation 'broken'" in str(judged)
    assert "follower" not in str(judged)


def test_all_broken_derivations_are_named() -> None:
    judged = judge(*[f"builder for '{path}' failed with exit code 1" for path in (BROKEN, OTHER)])
    assert "Failed as well: other" in str(judged)


def test_only_a_follower_is_known() -> None:
    judged = judge(f"1 dependencies of derivation '{FOLLOWER}' failed to build")
    assert type(judged) is NixBuildError
    assert "follower" in str(judged)


@pytest.mark.parametrize(
    "summary",
    [
        "flake 'path:/srv/lab' does not provide attribute 'packages.x86_64-linux.x' or 'x'",
        "attribute 'x' in selection path 'x' not found",
    ],
)
def test_a_missing_attribute(summary: str) -> None:
    judged = judge(summary)
    assert type(judged) is NixMissingAttributeError
    assert "Correct the attribute" in str(judged)


@pytest.mark.parametrize(
    "summary",
    [
        "attribute 'x' missing",
        "undefined variable 'x'",
        "a throw of the user's that says: does not provide attribute",
        "the stage says: unable to download",
    ],
)
def test_everything_else_is_evaluation(summary: str) -> None:
    judged = judge(Message(0, f"error: {summary}\n\n       at flake.nix:1:1", summary))
    assert type(judged) is NixEvaluationError
    assert str(judged) == f"the lab does not evaluate: {summary}\n\n       at flake.nix:1:1"


NETWORK = [
    "unable to download 'https://example.com/x': Couldn't resolve host name (6)",
    "unable to download 'https://example.com/x': HTTP error 503",
]


@pytest.mark.parametrize("summary", NETWORK)
def test_network_trouble_is_worth_a_retry_where_the_network_is_allowed(summary: str) -> None:
    assert type(judge(summary, network_allowed=True)) is NixTransientError


@pytest.mark.parametrize("summary", [*NETWORK, "cannot find flake 'flake:nixpkgs' in the flake registries"])
def test_a_forbidden_network_says_how_to_allow_it(summary: str) -> None:
    judged = judge(summary)
    assert type(judged) is NixEvaluationError
    assert "Pass allow_network=True" in str(judged)


@pytest.mark.parametrize(
    "summary",
    [
        "unable to download 'https://example.com/x': HTTP error 404",
        "cannot find flake 'flake:nixpkgz' in the flake registries",
    ],
)
def test_what_the_network_does_not_have_is_not_worth_a_retry(summary: str) -> None:
    assert type(judge(summary, network_allowed=True)) is NixEvaluationError


@pytest.mark.parametrize(
    "summary",
    [
        "executing SQLite query 'x': database is locked",
        "SQLite database '/nix/var/nix/db/db.sqlite' is busy",
        "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
        "Nix daemon disconnected unexpectedly (maybe it crashed?)",
    ],
)
def test_a_busy_store_is_worth_a_retry(summary: str) -> None:
    assert type(judge(summary)) is NixTransientError


@pytest.mark.parametrize(
    "summary",
    [
        "cannot create symlink '/srv/lab/result'; already exists",
        "opening lock file '/nix/var/nix/db/big-lock': Permission denied",
        "writing to file: No space left on device",
    ],
)
def test_trouble_with_the_machine_is_neither(summary: str) -> None:
    assert type(judge(summary)) is NixError


def test_without_a_structured_message_the_plain_lines_are_shown() -> None:
    judged = judge(OtherLine("error: unrecognised flag '--bogus'"))
    assert type(judged) is NixError
    assert "unrecognised flag" in str(judged)
    assert "gave no reason" in str(judge())


def test_logs_of_many_derivations_are_not_all_kept() -> None:
    transcript = Transcript()
    for number in range(10_000):
        transcript.add(BuildLogLine(f"/nix/store/{number}.drv", "line"))
    assert transcript.last_lines("/nix/store/0.drv") == ()
    assert transcript.last_lines("/nix/store/9999.drv") == ("line",)
