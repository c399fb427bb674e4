from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_repx.errors import SlurmSubmissionError
from airflow_provider_repx.execution.slurm.directives import Directives, format_memory
from airflow_provider_repx.execution.slurm.options import parse_options
from airflow_provider_repx.targets import Resources, SlurmDefaults

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("--gres=gpu:2", "gres", "gpu:2"),
        ("--gres gpu:2", "gres", "gpu:2"),
        ("-C a100", "constraint", "a100"),
        ("-Ca100", "constraint", "a100"),
        ("-C 'a100|h100'", "constraint", "a100|h100"),
        ("--mail-user x@y.z", "mail-user", "x@y.z"),
        ("--exclusive", "exclusive", None),
        ("--exclusive=user", "exclusive", "user"),
        ('--comment="two words"', "comment", "two words"),
        ("--no-requeue", "no-requeue", None),
        ("-d afterok:5", "dependency", "afterok:5"),
        (" --nice=5 ", "nice", "5"),
    ],
)
def test_forms_of_options(option: str, name: str, value: str | None) -> None:
    assert parse_options([option]) == {name: value}


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--array=0-5", "put into arrays"),
        ("-a 0-5", "put into arrays"),
        ("--job-name=x", "found again by a name"),
        ("-J x", "found again"),
        ("--output=/x", "own folder"),
        ("-o /x", "own folder"),
        ("--error=/x", "own folder"),
        ("--wrap=ls", "comes from its lab"),
        ("--requeue", "must not both"),
        ("-D /x", "own folder"),
        ("--export=ALL", "environment"),
        ("--parsable", "sbatch itself"),
        ("-W", "waits by itself"),
        ("--test-only", "nothing would be run"),
        ("-H", "release"),
        ("--open-mode=append", "own folder"),
        ("--input=/x", "told about"),
        ("--gres", "needs a value"),
        ("--gres=", "value is empty"),
        ("gres=gpu", "does not begin with an option"),
        ("ls; rm -rf /", "does not begin with an option"),
        ("--gres=gpu:2 --mem=5G", "more than one option"),
        ("--comment=a\n#SBATCH --wrap=ls", "cannot be printed"),
        ("--comment='a", "not balanced"),
        ("-Z x", "no option -Z"),
        ("", "does not begin with an option"),
    ],
)
def test_options_that_cannot_be_used(option: str, why: str) -> None:
    with pytest.raises(SlurmSubmissionError, match=why):
        parse_options([option])


def test_an_option_is_given_once() -> None:
    with pytest.raises(SlurmSubmissionError, match="given twice"):
        parse_options(["-C a", "--constraint=b"])


@given(st.text())
def test_a_directive_is_one_line_and_one_option(value: str) -> None:
    try:
        directives = Directives(tuple(parse_options([f"--comment={shlex.quote(value)}"]).items()))
        lines = directives.lines()
    except SlurmSubmissionError:
        return
    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 1
    words = shlex.split(lines[0].removeprefix("#SBATCH "))
    assert words == [f"--comment={value.strip()}"] or words == [f"--comment={value}"]


def test_resources_over_defaults_and_options_over_both() -> None:
    resources = Resources(64 * 2**30, 8, 43200, "gpu", ("--gres=gpu:2", "-C a100", "--qos=high"))
    directives = Directives.of(resources, SlurmDefaults(partition="main", account="physics", qos="normal"))
    assert directives.lines() == [
        "#SBATCH --account=physics",
        "#SBATCH --constraint=a100",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --gres=gpu:2",
        "#SBATCH --mem=64G",
        "#SBATCH --partition=gpu",
        "#SBATCH --qos=high",
        "#SBATCH --time=12:00:00",
    ]
    assert directives.get("partition") == "gpu"
    assert directives == Directives.of(resources, SlurmDefaults(partition="x", account="physics"))
    assert Directives.of(Resources(mem=1, sbatch_opts=("--mem-per-cpu=1G",))).lines() == ["#SBATCH --mem-per-cpu=1G"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1, "1K"), (1024, "1K"), (1025, "2K"), (2**20, "1M"), (2**20 + 1, "1025K"), (3 * 2**30, "3G"), (2**41, "2T")],
)
def test_memory(amount: int, text: str) -> None:
    assert format_memory(amount) == text
