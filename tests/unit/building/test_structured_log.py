from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.building.structured_log import (
    BuildFinished,
    BuildLogLine,
    BuildStarted,
    CopyStarted,
    Message,
    NixEvent,
    OtherLine,
    Progress,
    StructuredLog,
    derivation_name,
    without_ansi,
)

pytestmark = pytest.mark.unit

DRV = "/nix/store/kqmdyvdn37hq9w7vxndyzg8y6x7bkxlh-dep-a.drv"

# Written by Nix 2.8.0 for a build that fails.
RECORDED = r"""
@nix {"action":"start","id":29141353103360,"level":4,"text":"copying '/srv/lab'","type":0}
@nix {"action":"stop","id":29141353103360}
@nix {"action":"start","id":29141353103361,"level":0,"text":"","type":102}
@nix {"action":"start","id":29141353103362,"level":0,"text":"","type":104}
@nix {"action":"start","id":29141353103363,"level":0,"text":"","type":103}
@nix {"action":"result","fields":[0,1,0,0],"id":29141353103362,"type":105}
@nix {"action":"result","fields":[0,0,0,0],"id":29141353103363,"type":105}
@nix {"action":"result","fields":[101,0],"id":29141353103361,"type":106}
@nix {"action":"start","fields":["/nix/store/kqmdyvdn37hq9w7vxndyzg8y6x7bkxlh-dep-a.drv","",1,1],"id":29141353103365,"level":3,"text":"building","type":105}
@nix {"action":"result","fields":[0,1,1,0],"id":29141353103362,"type":105}
@nix {"action":"result","fields":["line \u001b[31m1\u001b[0m\r"],"id":29141353103365,"type":101}
@nix {"action":"result","fields":[0,0,0,1],"id":29141353103362,"type":105}
@nix {"action":"stop","id":29141353103365}
@nix {"action":"stop","id":29141353103362}
@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m \u001b[35;1m\u001b[0mbuilder for '\u001b[35;1m/nix/store/kqmdyvdn37hq9w7vxndyzg8y6x7bkxlh-dep-a.drv\u001b[0m' failed with exit code 3\u001b[0m","raw_msg":"\u001b[35;1m\u001b[0mbuilder for '\u001b[35;1m/nix/store/kqmdyvdn37hq9w7vxndyzg8y6x7bkxlh-dep-a.drv\u001b[0m' failed with exit code 3\u001b[0m"}
"""  # noqa: E501 - as recorded


def read(*lines: str) -> list[NixEvent]:
    log = StructuredLog()
    return [event for line in lines if (event := log.read(line)) is not None]


def nix_line(**record: Any) -> str:
    return f"@nix {json.dumps(record)}"


def test_a_recorded_build() -> None:
    failed = f"builder for '{DRV}' failed with exit code 3"
    assert read(*RECORDED.strip().splitlines()) == [
        Progress(0, 1, 0, 0),
        BuildStarted(DRV),
        Progress(0, 1, 1, 0),
        BuildLogLine(DRV, "line 1"),
        Progress(0, 0, 0, 1),
        BuildFinished(DRV),
        Message(0, f"error: {failed}", failed),
    ]


def test_the_summary_of_an_error_leaves_out_its_position() -> None:
    text = "\x1b[31;1merror:\x1b[0m attribute 'x' missing\n\n       at flake.nix:1:2:"
    (event,) = read(nix_line(action="msg", level=0, msg=text, raw_msg="attribute '\x1b[35;1mx\x1b[0m' missing"))
    assert isinstance(event, Message)
    assert event.summary == "attribute 'x' missing"
    assert event.text.endswith("at flake.nix:1:2:")
    assert event.is_error


def test_the_summary_without_a_raw_message_is_what_follows_the_trace() -> None:
    text = "error:\n       … while calling 'f'\n\n       error: really wrong"
    (event,) = read(nix_line(action="msg", level=0, msg=text))
    assert isinstance(event, Message)
    assert event.summary == "really wrong"


def test_hints_and_warnings_are_no_errors() -> None:
    events = read(
        nix_line(action="msg", level=0, msg="(use '--show-trace' to show detailed location information)"),
        nix_line(action="msg", level=1, msg="\x1b[35;1mwarning:\x1b[0m unknown setting"),
    )
    assert [event.is_error for event in events if isinstance(event, Message)] == [False, False]


def test_downloads() -> None:
    line = nix_line(
        action="start", id=7, level=3, type=100, text="copying path 'p' from 'c'", fields=["p", "c", "local"]
    )
    assert read(line) == [CopyStarted("copying path 'p' from 'c'")]


def test_output_of_a_post_build_hook() -> None:
    assert read(nix_line(action="result", id=9, type=107, fields=["uploading"])) == [BuildLogLine("", "uploading")]


@pytest.mark.parametrize(
    "line",
    [
        nix_line(action="start", id=1, level=5, type=999, text="of the future", fields=[{}]),
        nix_line(action="start", id=1, type=105),
        nix_line(action="start", id=1, type=105, fields=[3]),
        nix_line(action="result", id=1, type=101, fields=[]),
        nix_line(action="result", id=1, type=105, fields=["a"]),
        nix_line(action="result", id=1, type=999, fields=None),
        nix_line(action="stop", id=1),
        nix_line(action="stop"),
        nix_line(action="dance", id=1),
        nix_line(action="msg", level="high", msg="x"),
        "@nix []",
        "@nix 3",
        "",
        "   ",
    ],
)
def test_what_is_unknown_or_says_nothing_is_passed_over(line: str) -> None:
    assert read(line) == []


@pytest.mark.parametrize(
    "line", ["error: unrecognised flag '--bogus'", "@nix {broken", "@nixos", "\x1b[1mplain\x1b[0m"]
)
def test_other_lines_are_kept_as_text(line: str) -> None:
    assert read(line) == [OtherLine(without_ansi(line))]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_RECORD = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["start", "stop", "result", "msg"]) | _JSON,
        "id": st.integers(0, 3) | _JSON,
        "type": st.sampled_from([100, 101, 104, 105, 107]) | _JSON,
        "fields": st.lists(st.integers() | st.text(), max_size=5) | _JSON,
        "level": st.integers(0, 7) | _JSON,
        "msg": st.text() | _JSON,
        "raw_msg": st.text() | _JSON,
        "text": _JSON,
    },
)


@given(st.lists(_RECORD.map(lambda record: f"@nix {json.dumps(record)}") | st.text(), max_size=20))
def test_no_log_is_refused(lines: list[str]) -> None:
    read(*lines)


def test_names_of_derivations() -> None:
    assert derivation_name(DRV) == "dep-a"
    assert derivation_name("/nix/store/no-hash.drv") == "no-hash"
    assert derivation_name("") == ""
