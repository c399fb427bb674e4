from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_repx.errors import TargetError
from airflow_provider_repx.lab.models import ResourceHints
from airflow_provider_repx.targets import (
    ResourceRule,
    ResourceRules,
    Resources,
    ResourceSettings,
    load_resource_rules,
    resolve,
)

pytestmark = pytest.mark.unit

GIB = 2**30
JOB = "0123456789abcdfghijklmnpqrsvwxyz-train-1.1"

FULL = """
[defaults]
mem = "1G"
cpus = 1
partition = "main"

[[rules]]
job_id_glob = "*-train-*"
cpus-per-task = 8
time = "02:00:00"

[[rules]]
target = "cluster"
mem = "64G"
sbatch_opts = ["--gres=gpu:2", "--exclusive"]
[rules.worker_resources]
mem = "2G"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ResourceRules]:
    def load_texts(*texts: str) -> ResourceRules:
        paths = [tmp_path / f"resources-{number}.toml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return load_resource_rules(paths)

    return load_texts


def test_a_full_file(load: Callable[..., ResourceRules]) -> None:
    assert load(FULL) == ResourceRules(
        defaults=ResourceSettings(mem=GIB, cpus=1, partition="main"),
        rules=(
            ResourceRule(ResourceSettings(cpus=8, time=7200), job_id_glob="*-train-*"),
            ResourceRule(
                ResourceSettings(mem=64 * GIB, sbatch_opts=("--gres=gpu:2", "--exclusive")),
                target="cluster",
                worker_resources=ResourceSettings(mem=2 * GIB),
            ),
        ),
    )


def test_defaults_are_weaker_than_hints_and_hints_than_rules(load: Callable[..., ResourceRules]) -> None:
    rules = load(FULL)
    hints = ResourceHints(mem="4G", cpus=2)
    assert resolve(rules, "local", JOB, hints) == Resources(mem=4 * GIB, cpus=8, time=7200, partition="main")
    assert resolve(rules, "cluster", JOB, hints).mem == 64 * GIB
    assert resolve(rules, "cluster", JOB, hints).sbatch_opts == ("--gres=gpu:2", "--exclusive")
    assert resolve(rules, "local", "x-plot-1.1", hints) == Resources(mem=4 * GIB, cpus=2, partition="main")


def test_later_rules_are_stronger(load: Callable[..., ResourceRules]) -> None:
    rules = load("[[rules]]\ncpus = 1\nmem = '1G'\n[[rules]]\ncpus = 2\nsbatch_opts = []")
    hints = ResourceHints(sbatch_opts=("--exclusive",))
    assert resolve(rules, "local", JOB, hints) == Resources(mem=GIB, cpus=2)


def test_nothing_said_is_nothing_asked() -> None:
    assert resolve(ResourceRules(), "local", JOB, ResourceHints()) == Resources()


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*", True),
        ("*-train-1.1", True),
        ("train", False),
        ("*-TRAIN-*", False),
        ("0123*", True),
        ("*-train-?.?", True),
    ],
)
def test_globs_are_for_whole_job_ids(glob: str, expected: object) -> None:
    assert ResourceRule(ResourceSettings(), job_id_glob=glob).matches("local", JOB) is expected


def test_files_are_merged_key_by_key_and_rules_replaced(load: Callable[..., ResourceRules]) -> None:
    rules = load(FULL, "[defaults]\nmem = '2G'\n", "[[rules]]\ncpus = 3\n")
    assert rules.defaults == ResourceSettings(mem=2 * GIB, cpus=1, partition="main")
    assert rules.rules == (ResourceRule(ResourceSettings(cpus=3)),)


def test_the_two_spellings_of_cpus_override_each_other_across_files(load: Callable[..., ResourceRules]) -> None:
    assert load("[defaults]\ncpus-per-task = 2", "[defaults]\ncpus = 3").defaults.cpus == 3
    assert load("[defaults]\ncpus = 2", "[defaults]\ncpus-per-task = 3").defaults.cpus == 3


def test_the_two_spellings_of_worker_resources(load: Callable[..., ResourceRules]) -> None:
    rules = load("[[rules]]\n[rules.step_resources]\ncpus = 2")
    assert rules.rules[0].worker_resources == ResourceSettings(cpus=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]", r"default: unknown key\. Did you mean 'defaults'"),
        ("[defaults]\nmemory = '1G'", r"defaults\.memory: unknown key\. Did you mean 'mem'"),
        ("[defaults]\ncpu = 1", r"defaults\.cpu: unknown key\. Did you mean 'cpus'"),
        ("[[rules]]\n[[rules]]\njob_id = 'x'", r"rules\.1\.job_id: unknown key\. Did you mean 'job_id_glob'"),
        ("[defaults]\nmem = 'lots'", r"defaults\.mem: .*lots"),
        ("[[rules]]\ntime = 'soon'", r"rules\.0\.time: .*soon"),
        ("[[rules]]\n[rules.worker_resources]\nmem = 'x'", r"rules\.0\.worker_resources\.mem: "),
        ("[defaults]\ncpus = 0", r"defaults\.cpus.*: .*found 0"),
        ("[defaults]\ncpus = 2\ncpus-per-task = 2", r"defaults\.cpus.*: given a second time"),
        ("[defaults]\nmem = 4", r"defaults\.mem: .*found 4"),
        ("[defaults]\njob_id_glob = 'x'", r"defaults\.job_id_glob: unknown key"),
    ],
)
def test_errors_name_file_and_key(load: Callable[..., ResourceRules], tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message) as raised:
        load("", text)
    assert str(raised.value).startswith(f"{tmp_path / 'resources-1.toml'}: ")


@pytest.mark.parametrize("hints", [{"mem": "lots"}, {"time": "lots"}])
def test_an_unreadable_hint_names_job_and_field(hints: dict[str, str]) -> None:
    (field,) = hints
    with pytest.raises(TargetError, match=rf"job {JOB}: resource_hints\.{field}: .*lots"):
        resolve(ResourceRules(), "local", JOB, ResourceHints(**hints))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"given\.toml: cannot be read"):
        load_resource_rules([tmp_path / "given.toml"])
