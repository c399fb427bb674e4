"""What a lab's scripts need of the machine that runs them: their interpreters and the Nix store paths they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_repx.execution.transport.lab_contents import LabContents

__all__ = ["Requirement", "requirements"]

_STORE_PATH = re.compile(rb"(?:/[^\s/\"'`:;=()<>|&$\\\0]+)*/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+")
"""A path in a Nix store, wherever that lies: 32 characters of nix-base32, a dash, a name."""

_HOST_PACKAGE = re.compile(r"/[0-9a-df-np-sv-z]{32}-host-[^/]+$")
"""A package of repx-lib's hostPkgs: where it is not, its programs are looked for on that machine's own PATH."""

_SCRIPT_BYTES = 1 << 20
"""No job script is longer; a larger executable is a program, whose bytes say little."""


@dataclass(frozen=True)
class Requirement:
    """A path (absolute) or the name of a program on PATH, and one script that needs it."""

    name: str
    script: str


def requirements(contents: LabContents) -> tuple[Requirement, ...]:
    """What the executables of a lab's jobs need, each thing once, in a fixed order."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for file in sorted(contents.files, key=lambda file: file.path):
        if not (file.executable and file.path.startswith("jobs/")) or file.content in seen:
            continue
        seen.add(file.content)
        with (contents.root / file.path).open("rb") as stream:
            text = stream.read(_SCRIPT_BYTES)
        for name in _needs(text, contents.root):
            found.setdefault(name, file.path)
    return tuple(Requirement(name, script) for name, script in sorted(found.items()))


def _needs(text: bytes, lab: Path) -> set[str]:
    if not text.startswith(b"#!"):
        return set()
    words = text[2:].split(b"\n", 1)[0].split()
    names = {words[0]} if words else set()
    if len(words) > 1 and words[0].endswith(b"/env"):
        names.update([word for word in words[1:] if not word.startswith(b"-") and b"=" not in word][:1])
    names.update(match for match in _STORE_PATH.findall(text))
    paths = {name.decode(errors="surrogateescape") for name in names}
    # The lab itself is shipped; its own path is not needed over there.
    return {path for path in paths if not path.startswith(str(lab)) and not _HOST_PACKAGE.search(path)}
