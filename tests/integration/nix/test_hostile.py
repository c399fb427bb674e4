"""Labs that are sound but hard: odd texts, large numbers, thousands of things, runs that look alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab_runner import LabRunner
from tests.support.nix import Nix

pytestmark = pytest.mark.integration


def build(nix: Nix, labs: Path, expression: str) -> Path:
    return nix.build("--impure", "--expr", f"with import {labs}/tools.nix; {expression}").path


def metadata(lab: Path, run: str = "sim") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab / f"revision/metadata-{run}.json").read_text())
    return found


ODD = [
    "",
    " ",
    "two words",
    "two\nlines\n",
    'a "quoted" word',
    "it's",
    "$(touch /tmp/owned) `id` ${HOME}",
    "back\\slash\\n",
    "ünïcödé ✓ 🜚",
    "tab\there",
    "-n",
    "*",
    "{{ jinja }}",
    "null",
    "true",
    "1",
]


def test_odd_texts_reach_the_job_as_they_are(nix: Nix, labs: Path, tmp_path: Path) -> None:
    # A JSON text within Nix's own quotes: the whole way from the lab to the job's output.
    texts = json.dumps(json.dumps(ODD)).replace("$", "\\$")
    lab = build(
        nix,
        labs,
        f'labOfStage {{ text = builtins.fromJSON {texts}; }} (producer // {{ params.text = ""; '
        'run = { outputs, parameters, ... }: "printf %s \\"${parameters.text}\\" > \\"${outputs.data}\\""; })',
    )
    LabRunner(lab, tmp_path).run("sim")

    jobs = metadata(lab)["jobs"]
    assert [job["params"]["text"] for job in jobs.values()] == ODD
    assert [(tmp_path / "outputs" / job / "out/data").read_text() for job in jobs] == ODD


def test_odd_names_of_stages_inputs_and_outputs(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(
        nix,
        labs,
        'let first = callStage { pname = "a"; outputs."the füll data" = "$out/the data"; '
        'run = { outputs, ... }: "echo data > \\"${outputs."the füll data"}\\""; } [ ]; '
        'second = callStage { pname = "b"; inputs."the füll data" = ""; outputs.copy = "$out/copy"; '
        'run = { inputs, outputs, ... }: "cp \\"${inputs."the füll data"}\\" \\"${outputs.copy}\\""; } [ first ]; '
        'in labOf { } { "first stage" = first; "second \\"stage\\"" = second; }',
    )
    LabRunner(lab, tmp_path).run("sim")

    assert [job["stage"] for job in metadata(lab)["jobs"].values()] == ["first stage", 'second "stage"']
    [copy] = tmp_path.glob("outputs/*/out/copy")
    assert copy.read_text() == "data\n"


def test_numbers_at_the_edges(nix: Nix, labs: Path, tmp_path: Path) -> None:
    largest = 2**63 - 1
    lab = build(
        nix,
        labs,
        f"labOfStage {{ n = [ {largest} (-{largest}) 0 (-1) 1.0e-5 1.0e22 999999.5 true false null ]; }} "
        '(producer // { params.n = "default"; '
        'run = { outputs, parameters, ... }: "printf %s \\"${parameters.n}\\" > \\"${outputs.data}\\""; })',
    )
    LabRunner(lab, tmp_path).run("sim")

    jobs = metadata(lab)["jobs"]
    assert [job["params"]["n"] for job in jobs.values()] == [
        largest,
        -largest,
        0,
        -1,
        1.0e-5,
        1.0e22,
        999999.5,
        True,
        False,
        "default",
    ]
    assert [(tmp_path / "outputs" / job / "out/data").read_text() for job in jobs] == [
        str(largest),
        str(-largest),
        "0",
        "-1",
        "1e-05",
        "1e+22",
        "999999.5",
        "true",
        "false",
        "default",
    ]


def test_thousands_of_parameters(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        'let names = map (n: "p${toString n}") (utils.range 1 3000); '
        "all = value: builtins.listToAttrs (map (name: { inherit name value; }) names); "
        "in labOfStage (all [ 1 ]) (producer // { params = all 0; })",
    )

    [job] = metadata(lab)["jobs"].values()
    assert len(job["params"]) == 3000
    assert set(job["params"].values()) == {1}


@pytest.mark.full
def test_a_pipeline_of_three_hundred_stages_in_a_row(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        'let stage = n: if n == 0 then callStage producer [ ] else callStage (producer // { inputs.data = ""; }) '
        '[ (builtins.getAttr "s${toString (n - 1)}" stages) ]; '
        'stages = builtins.listToAttrs (map (n: { name = "s${toString n}"; value = stage n; }) (utils.range 0 299)); '
        "in labOf { } stages",
    )

    assert [job["stage"] for job in metadata(lab)["jobs"].values()] == [f"s{number}" for number in range(300)]


@pytest.mark.full
def test_a_chain_of_stages_that_the_pipeline_does_not_name(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        "let chain = n: if n == 0 then callStage producer [ ] else "
        'callStage (producer // { inputs.data = ""; version = toString n; }) [ (chain (n - 1)) ]; '
        "in labOf { } { last = chain 200; }",
    )

    assert len(metadata(lab)["jobs"]) == 201


def test_runs_of_one_file_are_told_apart_by_who_is_named(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        "let run = { ... }: { pipelines = [ (mkPipe { only = callStage producer [ ]; }) ]; }; "
        'a = callRun run [ ]; b = callRun run [ ]; c = callRun run [ b ]; d = callRun run [ [ a "soft" ] ]; '
        "in lab { runs = { inherit a b c d; }; groups = { first = [ a ]; second = [ b ]; }; }",
    )

    top = json.loads((lab / "revision/metadata-top.json").read_text())
    assert metadata(lab, "c")["dependencies"] == {"revision/metadata-b.json": "hard"}
    assert metadata(lab, "d")["dependencies"] == {"revision/metadata-a.json": "soft"}
    assert top["groups"] == {"first": ["a"], "second": ["b"]}


def test_a_call_that_is_written_again_is_the_same_run(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        'let definition = { name = "sim"; pipelines = [ (mkPipe { only = callStage producer [ ]; }) ]; }; '
        'in lab { runs = { a = callRun definition [ ]; b = callRun (definition // { name = "next"; }) '
        "[ (callRun definition [ ]) ]; }; }",
    )

    assert metadata(lab, "next")["dependencies"] == {"revision/metadata-sim.json": "hard"}


def test_twenty_thousand_points(nix: Nix, labs: Path) -> None:
    count = nix.eval(
        "--impure",
        "--expr",
        f"with import {labs}/tools.nix; builtins.stringLength "
        "(labOfStage { n = utils.range 1 20000; } (producer // { params.n = 1; })).drvPath",
    )

    assert count > 0
