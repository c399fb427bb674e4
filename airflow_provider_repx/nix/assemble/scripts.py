"""The scripts of a stage: checked here, one stage at a time; composed when the lab is written.

A script is a common beginning and the stage's own text. It follows RepX's job contract:
`<script> <out> <inputs.json> <parameters.json>`, strict bash, a cleared output folder, inputs that are there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from .failure import BlueprintError

__all__ = ["compose", "write_scripts"]

_CHECK_TIMEOUT = 300.0
"""Seconds for one run of a checking program."""

_INTERPOLATION_FINDINGS = "SC2034,SC2043,SC2050,SC2154,SC2193,SC2194"
"""ShellCheck's findings about constants: a parameter's value in the text is one on purpose."""


_STYLE_HEADER = """#!/usr/bin/env bash
set -euo pipefail; declare -A inputs parameters; export out inputs_json parameters_json
"""
"""What a stage's text relies on, for ShellCheck; the common beginning has its own tests."""


@lru_cache(maxsize=None)  # noqa: UP033 - Python 3.8 has no functools.cache
def _beginning(shebang: str, path: tuple[str, ...]) -> str:
    prologue = (Path(__file__).parent / "prologue.sh").read_text()
    return f"#!{shebang}\n" + prologue.replace("@PATH@", shlex.quote(":".join(path)))


def compose(shebang: str, path: tuple[str, ...], text: str, defaults: dict[str, str]) -> bytes:
    """One whole script. `path` are the folders of its programs, `defaults` paths of inputs that no stage provides."""
    assignments = " ".join(f"[{shlex.quote(name)}]={shlex.quote(value)}" for name, value in sorted(defaults.items()))
    beginning = _beginning(shebang, path).replace("@DEFAULTS@", assignments)
    return f"{beginning}{text}{'' if text.endswith(chr(10)) else chr(10)}".encode()


def _digest(identity: list[str], text: str, defaults: dict[str, str]) -> str:
    content = json.dumps([identity, text, defaults], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def _run(command: list[str]) -> tuple[int, str]:
    finished = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_CHECK_TIMEOUT, check=False
    )
    return finished.returncode, (finished.stdout + finished.stderr).strip()


def _check_syntax(bash: str, texts: list[str], label: str, folder: Path) -> None:
    """Parse all scripts in one bash, and only if it objects each on its own: the whole is thirty times faster."""
    sound = True
    # Twice, since a text may by accident close one kind of bracket and open it again.
    for left, right in ("{}", "()"):
        together = folder / "all.sh"
        together.write_text("".join(f"{left}\n:\n{text}\n{right}\n" for text in texts))
        sound = sound and _run([bash, "-n", str(together)])[0] == 0
    if sound:
        return
    for text in texts:
        alone = folder / "script.sh"
        alone.write_text(text)
        code, output = _run([bash, "-n", str(alone)])
        if code != 0:
            raise BlueprintError(f"{label}: the script is no valid bash:\n{_findings(output, text, alone, 0)}")


def _check_style(shellcheck: str, text: str, label: str, folder: Path) -> None:
    script = folder / "script.sh"
    script.write_text(_STYLE_HEADER + text)
    command = [shellcheck, "--shell=bash", "--severity=warning", "--format=gcc"]
    code, output = _run([*command, f"--exclude={_INTERPOLATION_FINDINGS}", str(script)])
    if code == 1:
        findings = _findings(output, text, script, _STYLE_HEADER.count("\n"))
        raise BlueprintError(f"{label}: ShellCheck objects to the script:\n{findings}")
    if code not in (0, 127):
        raise BlueprintError(f"{label}: ShellCheck failed with exit code {code}:\n{output}")


def _findings(output: str, text: str, script: Path, offset: int) -> str:
    """What a checker says of `text`, by the lines of the text as the stage has it, and the lines around the last one.

    `offset` is the number of lines that stood before the text in the file `script`.
    """
    said = []
    number = None
    for line in output.splitlines():
        match = re.fullmatch(rf"{re.escape(str(script))}:(?: line)? ?([0-9]+):(.*)", line)
        if match is None:
            said.append(line)
        else:
            number = int(match.group(1)) - offset
            said.append(f"line {number}:{match.group(2)}")
    return "\n".join(said + ([] if number is None else _excerpt(text, number)))


def _excerpt(text: str, number: int) -> list[str]:
    """The line with this number and its neighbors, numbered."""
    lines = text.splitlines()
    first = max(0, number - 3)
    return [f"{first + offset + 1:5d}  {line}" for offset, line in enumerate(lines[first : number + 2])]


def _part(key: str) -> str:
    return f"step '{key[len('step-') :]}'" if key.startswith("step-") else key


def write_scripts(task: dict[str, Any], out: Path) -> None:
    """Check the texts of one stage's executables and write them, with their digests, to the file `out`.

    The task's `label` is what messages call the stage.

    Raises `BlueprintError` for a text that bash or ShellCheck rejects.
    """
    checked = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for executable in task["executables"]:
            key, identity = executable["key"], executable["identity"]
            varying = executable["content"]
            each = varying["each"] if "each" in varying else [varying["shared"]]
            for content in each:
                content["digest"] = _digest(identity, content["text"], content["defaults"])
            label = task["label"] if key == "main" else f"{task['label']}, {_part(key)}"
            _check_syntax(task["bash"], [content["text"] for content in each], label, folder)
            if task["shellcheck"] is not None:
                _check_style(task["shellcheck"], each[0]["text"], label, folder)
            checked[key] = {"path": executable["path"], "content": varying}
    out.write_text(json.dumps(checked, separators=(",", ":")))
