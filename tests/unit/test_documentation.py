"""What the documentation says can be checked: links, names, settings, code."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_repx.factory import LabSettings
from airflow_provider_repx.get_provider_info import get_provider_info
from airflow_provider_repx.hooks.slurm_connection import SlurmConnection

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS_PAGE = ROOT / "docs/reference/configuration.md"
CONNECTIONS_PAGE = ROOT / "docs/reference/connections.md"

_DEFAULTS_IN_WORDS = frozenset({"base_path", "partition", "partitions", "config_file", "cpus", "out_link"})
"""Their defaults are not values."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = (match[1] for match in re.finditer(r"^#+ (.+)$", text, flags=re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        led = (page.parent / path).resolve() if path else page
        if not led.exists() or not led.is_relative_to(ROOT) or (anchor and anchor not in _anchors(led)):
            broken.append(target)
    assert broken == []


@each_page
def test_names_of_this_package_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [
        name for name in sorted(set(re.findall(r"airflow_provider_repx(?:\.\w+)+", text))) if not _exists(name)
    ] == []


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@each_page
def test_code_is_python_and_what_it_imports_of_this_package_is_there(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for name in _imports(ast.parse(_completed(block))):
            assert _exists(name), name


def _completed(block: str) -> str:
    """What a fragment leaves out: its indentation in a list, what its last decorator decorates, the rest of a dict."""
    text = textwrap.dedent(block).replace(", …", "")
    return f"{text}def decorated(): ..." if text.rstrip().splitlines()[-1].startswith("@") else text


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_repx"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_page_about_settings_has_each_with_its_default() -> None:
    told: dict[str, str] = {}
    for line in SETTINGS_PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            names, defaults = (re.split(r", ", cell.strip()) for cell in line.split("|")[1:3])
            told |= {
                name.strip("`"): defaults[number].strip("`") if number < len(defaults) else ""
                for number, name in enumerate(names)
            }
    assert set(told) == {*LabSettings.model_fields, "labs"}
    for name, field in LabSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name not in _DEFAULTS_IN_WORDS and default not in (None, {}) and not field.is_required():
            assert told[name] == str(default), name


def test_the_page_about_connections_has_the_fields_of_the_form() -> None:
    section = CONNECTIONS_PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    told = {name for line in section.splitlines() if line.startswith("| `") for name in _quoted(line.split("|")[1])}
    (form,) = (found for found in get_provider_info()["connection-types"] if found["connection-type"] == "slurm")
    assert told == set(SlurmConnection.model_fields) == set(form["conn-fields"])


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)
