"""What nix is asked to build or evaluate: a flake's attribute, a file's, an expression's, or a store path."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeAlias

from airflow_provider_repx.errors import NixEvaluationError

__all__ = [
    "AttributeSource",
    "ExpressionSource",
    "FileSource",
    "FlakeSource",
    "NixSource",
    "StorePathSource",
    "run_slice",
]

_SCHEME = re.compile(r"^[a-z][a-z0-9+]*:")
_REGISTRY_NAME = re.compile(r"^[a-zA-Z][a-zA-Z0-9_-]*(/[^/]+){0,2}$")
_PLAIN_ATTRIBUTE = re.compile(r"^[A-Za-z_][A-Za-z0-9_'-]*$")


@dataclass(frozen=True)
class FlakeSource:
    """An attribute of a flake.

    `reference` is a directory with a `flake.nix`, or any flake reference that nix knows (`git+file:`, `github:`); it
    may carry the attribute behind a ``#``. Directories become `path:` references: git would hide files that are not
    added yet, and refuses directories that belong to somebody else. Without `attribute` the flake's default package
    is meant.
    """

    default_attribute: ClassVar[str] = "default"

    reference: str
    attribute: str = ""

    def __post_init__(self) -> None:
        """Separate the attribute from the reference, and make a directory's path absolute."""
        reference, _, fragment = self.reference.partition("#")
        if fragment and self.attribute and fragment != self.attribute:
            raise NixEvaluationError(
                f"flake reference {self.reference!r} names an attribute of its own besides {self.attribute!r}: give one"
            )
        object.__setattr__(self, "reference", _absolute_reference(reference))
        object.__setattr__(self, "attribute", self.attribute or fragment)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What nix's command line needs."""
        # A build must not edit the sources it is given.
        return ("--no-write-lock-file", f"{self.reference}#{self.attribute}" if self.attribute else self.reference)

    def __str__(self) -> str:
        return self.arguments[-1]


@dataclass(frozen=True)
class FileSource:
    """An attribute of a Nix file; a function in the file is called with its defaults. `attribute` may be empty."""

    default_attribute: ClassVar[str] = ""

    file: Path
    attribute: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What nix's command line needs."""
        # The separate argument keeps an empty attribute (the file's own value) apart from a default package.
        return ("--impure", "--file", str(self.file.expanduser().absolute()), self.attribute)

    def __str__(self) -> str:
        return f"{self.file} ({self.attribute or 'its value'})"


@dataclass(frozen=True)
class ExpressionSource:
    """An attribute of a Nix expression given as text; `attribute` may be empty. Paths in it must be absolute."""

    default_attribute: ClassVar[str] = ""

    expression: str
    attribute: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What nix's command line needs."""
        return ("--impure", "--expr", self.expression, self.attribute)

    def __str__(self) -> str:
        return f"the expression ({self.attribute or 'its value'})"


@dataclass(frozen=True)
class StorePathSource:
    """A path that is in the store already."""

    path: Path

    @property
    def arguments(self) -> tuple[str, ...]:
        """What nix's command line needs."""
        return (str(self.path),)

    def __str__(self) -> str:
        return str(self.path)


NixSource: TypeAlias = FlakeSource | FileSource | ExpressionSource | StorePathSource

AttributeSource: TypeAlias = FlakeSource | FileSource | ExpressionSource
"""What has attributes, so that a run's slice can be asked of it."""


def run_slice(lab: AttributeSource, run: str) -> AttributeSource:
    """The part of a lab that holds one run only: the attribute `.runs.<run>` of what `mkLab` returns."""
    name = run if _PLAIN_ATTRIBUTE.match(run) else f'"{run}"'
    path = [lab.attribute or lab.default_attribute, "runs", name]
    return replace(lab, attribute=".".join(filter(None, path)))


def _absolute_reference(reference: str) -> str:
    if _SCHEME.match(reference):
        return reference
    location, question_mark, query = reference.partition("?")
    directory = Path(location or ".").expanduser()
    if _REGISTRY_NAME.match(location) and not directory.is_dir():
        return reference
    return f"path:{directory.absolute()}{question_mark}{query}"
