"""Every mistake in a lab has its own error, found while the lab is evaluated. The cases are in labs/errors.txt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.nix import Nix

pytestmark = pytest.mark.integration

LABS = Path(__file__).parent / "labs"


class Case(NamedTuple):
    """A Nix expression over labs/tools.nix, and the error that it ends with."""

    name: str
    expression: str
    error: str


def read_cases() -> list[Case]:
    """Each case: a line `# <name>`, the expression, then `error: ` and the error's text on one or more lines."""
    cases = []
    for block in (LABS / "errors.txt").read_text().split("\n\n"):
        name, rest = block.split("\n", 1)
        expression, error = rest.split("\nerror: ")
        cases.append(Case(name.removeprefix("# "), expression, " ".join(error.split())))
    return cases


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_mistake_has_its_own_error(nix: Nix, case: Case) -> None:
    # Paths in the expressions are relative to the folder of the labs.
    expression = case.expression.replace(" labs/", f" {LABS}/")

    found = nix.evaluation_error(f"with import {LABS}/tools.nix; {expression}")
    assert found == case.error.replace("LABS/", f"{LABS}/")
