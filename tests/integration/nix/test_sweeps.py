"""Which jobs a sweep has, what tells them apart, and what their ids depend on."""

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


def jobs(lab: Path, run: str = "sim") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((lab / f"revision/metadata-{run}.json").read_text())["jobs"]
    return found


def ids_of(lab: Path, stage: str) -> list[str]:
    return [job for job, record in jobs(lab).items() if record["stage"] == stage]


THREE = """
rec {
  first = callStage (producer // {
    pname = "z-first";
    params.seed = 0;
    run = { outputs, params, ... }: ''echo ${toString params.seed} > "${outputs.data}"'';
  }) [ ];
  second = callStage (consumer // {
    pname = "b-second";
    outputs.data = "$out/data";
    params = { model = "m"; lr = 0.5; };
    run = { inputs, outputs, params, ... }: ''
      { cat "${inputs.data}"; echo ${params.model} ${utils.str params.lr}; } > "${outputs.data}"
    '';
  }) [ first ];
  third = callStage (consumer // { pname = "a-third"; }) [ second ];
}
"""
SWEEP = '{ seed = [ 1 2 ]; z = utils.zip { model = [ "a" "b" "c" ]; lr = [ 0.1 0.2 1.0e-7 ]; }; }'


def test_a_job_exists_for_each_assignment_of_own_and_upstream_axes(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(nix, labs, f"labOf {SWEEP} ({THREE})")

    assert [len(ids_of(lab, stage)) for stage in ("first", "second", "third")] == [2, 6, 6]
    third = [record for record in jobs(lab).values() if record["stage"] == "third"]
    assert [record["axes"] for record in third][:4] == [
        {"seed": 1, "lr": 0.1, "model": "a"},
        {"seed": 1, "lr": 0.2, "model": "b"},
        {"seed": 1, "lr": 1e-07, "model": "c"},
        {"seed": 2, "lr": 0.1, "model": "a"},
    ]
    assert all(record["params"] == {} for record in third)
    LabRunner(lab, tmp_path).run("sim")
    texts = sorted((tmp_path / "outputs" / job / "out/result").read_text() for job in ids_of(lab, "third"))
    assert texts == sorted(
        f"{seed}\n{model} {lr}\n" for seed in (1, 2) for model, lr in (("a", "0.1"), ("b", "0.2"), ("c", "1e-07"))
    )


def test_stages_are_listed_behind_those_that_they_need(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs, f"labOf {SWEEP} ({THREE})")

    assert [record["stage"] for record in jobs(lab).values()] == ["first"] * 2 + ["second"] * 6 + ["third"] * 6


def test_a_stage_that_sees_a_part_of_a_zip_has_a_job_per_distinct_value(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        'labOf { z = utils.zip { a = [ "x" "x" "y" ]; b = [ 1 2 3 ]; }; } '
        '{ some = callStage (producer // { params.a = ""; }) [ ]; '
        'all = callStage (producer // { pname = "all"; params = { a = ""; b = 0; }; }) [ ]; }',
    )

    axes = [record["axes"] for record in jobs(lab).values() if record["stage"] == "some"]
    assert axes == [{"a": "x"}, {"a": "y"}]
    assert len(ids_of(lab, "all")) == 3


def test_values_that_look_alike_are_kept_apart(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs, 'labOfStage { v = [ 1 1.0 true "1" "true" 1.0000001 ]; } (producer // { params.v = 0; })')

    values = [record["params"]["v"] for record in jobs(lab).values()]
    assert [(type(value).__name__, value) for value in values] == [
        ("int", 1),
        ("float", 1.0),
        ("bool", True),
        ("str", "1"),
        ("str", "true"),
        ("float", 1.0000001),
    ]
    assert len(set(jobs(lab))) == 6


@pytest.mark.parametrize(
    "text",
    [
        "1.0e-7",
        "2.269185314213022",
        "0.1",
        "1.0e22",
        "123456789.125",
        "-0.30000000000000004",
        "9.999999999999999e-5",
        "4.9e-300",
        "1.7976931348623157e307",
        "1.7976931348623157e308",
        "1.23456789e308",
    ],
)
def test_floats_are_exact(nix: Nix, labs: Path, text: str) -> None:
    written = nix.eval("--impure", "--expr", f"with import {labs}/tools.nix; utils.str ({text})")

    assert float(written) == float(text)
    assert len(written) <= len(text) + 4


def test_floats_are_written_as_python_writes_them(nix: Nix, labs: Path) -> None:
    # Whatever this version of Nix makes of them: job ids follow from the texts.
    texts = [
        "0.1",
        "5.0",
        "-2.5",
        "1e-07",
        "1e-05",
        "0.0001",
        "999999.5",
        "1000000.0",
        "1e+16",
        "1e+22",
        "123456789.125",
    ]
    numbers = " ".join(f"({text.replace('1e', '1.0e').replace('+', '')})" for text in texts)

    assert nix.eval("--impure", "--expr", f"with import {labs}/tools.nix; map utils.str [ {numbers} 0.0 ]") == [
        *texts,
        "0.0",
    ]


def test_a_script_that_holds_a_rounded_number_is_warned_about(nix: Nix, labs: Path) -> None:
    expression = (
        f"with import {labs}/tools.nix; (labOfStage {{ lr = [ 1.0e-7 2.0e-7 ]; }} (producer // {{ params.lr = 0.5; "
        'run = { params, ... }: "echo ${FUNCTION params.lr}"; })).drvPath'
    )

    rounded = nix.succeed("eval", "--impure", "--expr", expression.replace("FUNCTION", "toString"))
    exact = nix.succeed("eval", "--impure", "--expr", expression.replace("FUNCTION", "utils.str"))

    assert "the script holds params.lr = 1e-07 as 0.000000; write ${repx-lib.utils.str params.lr}" in rounded.stderr
    assert "warning" not in exact.stderr


def test_null_takes_the_stage_s_default(nix: Nix, labs: Path) -> None:
    lab = build(nix, labs, "labOfStage { v = [ null 2 ]; } (producer // { params.v = 7; })")

    assert [record["params"]["v"] for record in jobs(lab).values()] == [7, 2]


def test_one_script_serves_all_jobs_where_it_refers_to_parameters_in_bash(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(
        nix,
        labs,
        'labOfStage { v = [ "a b" "$(false) \' \\" \\\\ ü" ]; } (producer // { parameters.v = 0; '
        "run = { outputs, parameters, ... }: ''printf %s \"${parameters.v}\" > \"${outputs.data}\"''; })",
    )
    LabRunner(lab, tmp_path).run("sim")

    scripts = {(lab / record["executables"]["main"]["path"]).read_text() for record in jobs(lab).values()}
    values = [(tmp_path / "outputs" / job / "out/data").read_text() for job in jobs(lab)]
    assert len(scripts) == 1
    assert values == ["a b", "$(false) ' \" \\ ü"]


def test_a_run_that_takes_params_without_looking_at_swept_ones_stays_one_script(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        "labOfStage { v = [ 1 2 3 ]; } (producer // { params = { v = 0; w = 5; }; "
        'run = { params, ... }: "echo ${toString params.w}"; })',
    )

    inodes = {(lab / record["executables"]["main"]["path"]).stat().st_ino for record in jobs(lab).values()}
    assert len(inodes) == 1


def test_dynamic_wiring_follows_each_job(nix: Nix, labs: Path, tmp_path: Path) -> None:
    pipeline = """
      rec {
        make = callStage (producer // { params.kind = ""; outputs = { params }: { ${params.kind} = "$out/data"; };
          run = { outputs, params, ... }: ''echo ${params.kind} > "${outputs.${params.kind}}"''; }) [ ];
        use = callStage (consumer // { params.kind = ""; inputs = { params }: { ${params.kind} = ""; };
          run = { inputs, outputs, params, ... }: ''cp "${inputs.${params.kind}}" "${outputs.result}"''; }) [ make ];
      }
    """
    lab = build(nix, labs, f'labOf {{ kind = [ "red" "blue" ]; }} ({pipeline})')
    LabRunner(lab, tmp_path).run("sim")

    results = [(tmp_path / "outputs" / job / "out/result").read_text() for job in ids_of(lab, "use")]
    assert results == ["red\n", "blue\n"]


def test_wiring_that_fails_for_some_jobs_names_them(nix: Nix, labs: Path) -> None:
    pipeline = """
      rec {
        make = callStage producer [ ];
        use = callStage (consumer // { params.kind = ""; inputs = { params }: { ${params.kind} = ""; };
          run = { ... }: ""; }) [ make ];
      }
    """
    error = nix.build_error(
        "--impure", "--expr", f'with import {labs}/tools.nix; labOf {{ kind = [ "data" "blue" ]; }} ({pipeline})'
    )

    assert (
        "repx-lib: run 'sim', stage 'use': depends on stage 'make', but no output of 'make' ('data') has the name of "
        'an input here (\'blue\'); write [ make "output" "input" ] (for kind=blue)'
    ) in error


def test_stages_of_two_pipelines_that_do_the_same_are_one_job(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        'lab { runs.sim = callRun { name = "sim"; params = { }; pipelines = [ (mkPipe { a = callStage producer [ ]; }) '
        "(mkPipe rec { a = callStage producer [ ]; b = callStage consumer [ a ]; }) ]; } [ ]; }",
    )

    found = jobs(lab)
    assert [(record["pipeline"], record["stage"]) for record in found.values()] == [
        ("pipeline", "a"),
        ("pipeline-2", "b"),
    ]


def test_stages_that_the_pipeline_does_not_name_take_their_file_s_name(nix: Nix, labs: Path) -> None:
    lab = build(
        nix,
        labs,
        f'labOf {{ }} {{ end = callStage consumer [ [ (callStage {labs}/circle_free.nix [ ]) "out" "data" ] ]; }}',
    )

    assert [record["stage"] for record in jobs(lab).values()] == ["circle_free", "end"]


VARIANT = "labOfStage { seed = [ 1 2 ]; } (producer // { params.seed = 0; } // CHANGE)"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ('{ resources.mem = "9G"; }', True),
        ("{ runDependencies = [ pkgs.jq ]; }", False),
        ('{ version = "2"; }', False),
        ('{ run = { outputs, ... }: "true"; }', False),
        ('{ outputs.data = "$out/other"; }', False),
        ("{ params = { seed = 0; extra = 1; }; }", False),
    ],
)
def test_ids_depend_on_what_results_depend_on(nix: Nix, labs: Path, change: str, same: bool) -> None:
    before = build(nix, labs, VARIANT.replace("CHANGE", "{ }"))
    after = build(nix, labs, VARIANT.replace("CHANGE", change))

    assert (list(jobs(before)) == list(jobs(after))) is same
    assert before != after


def test_ids_of_the_params_only_mode_ignore_scripts(nix: Nix, labs: Path) -> None:
    ids = [
        list(jobs(build(nix, labs, VARIANT.replace("CHANGE", f'{{ hashMode = "params-only"; run = _: "{text}"; }}'))))
        for text in ("true", "echo other")
    ]

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_a_change_upstream_changes_ids_downstream(nix: Nix, labs: Path) -> None:
    # The consumer's name sorts before the producer's.
    labs_built = [
        build(nix, labs, f"labOf {SWEEP} (({THREE}) // {{ }})"),
        build(nix, labs, f"labOf {SWEEP} ({THREE.replace('> ', '>> ', 1)})"),
    ]

    before, after = ([set(ids_of(lab, stage)) for stage in ("first", "second", "third")] for lab in labs_built)
    assert all(not old & new for old, new in zip(before, after, strict=True))


def test_resources_are_inherited_by_the_largest(nix: Nix, labs: Path) -> None:
    pipeline = """
      rec {
        a = callStage (producer // {
          resources = { mem = "1000M"; cpus = 8; time = "90:00"; partition = "big"; sbatch_opts = [ "--a" ]; };
        }) [ ];
        b = callStage (producer // { pname = "b"; outputs.more = "$out/more"; run = _: "";
          resources = { mem = "1G"; cpus = 1; time = "1-00:00:00"; partition = "small"; }; }) [ ];
        c = callStage (consumer // { inputs = { data = ""; more = ""; }; resources.cpus = 2; }) [ a b ];
        d = callStage (consumer // { pname = "d"; inputs.result = ""; run = _: "";
          resources = { partition = "own"; sbatch_opts = [ ]; time = null; }; }) [ c ];
      }
    """
    lab = build(nix, labs, f"labOf {{ }} ({pipeline})")
    hints = {record["stage"]: record.get("resource_hints") for record in jobs(lab).values()}

    assert hints["c"] == {
        "mem": "1G",
        "cpus": 8,
        "time": "1-00:00:00",
        "partition": "big",
        "sbatch_opts": ["--a"],
    }
    assert hints["d"] == {"mem": "1G", "cpus": 8, "partition": "own", "sbatch_opts": []}


@pytest.mark.parametrize("type_", ["hard", "soft"])
def test_resources_are_not_inherited_from_other_runs(nix: Nix, labs: Path, type_: str) -> None:
    lab = build(
        nix,
        labs,
        "let run = name: stage: callRun { inherit name; pipelines = [ (mkPipe { only = callStage stage [ ]; }) ]; }; "
        'large = run "large" (producer // { resources = { mem = "64G"; cpus = 8; partition = "big"; }; }) [ ]; '
        f'small = run "small" (producer // {{ resources.mem = "1G"; }}) [ [ large "{type_}" ] ]; '
        "in lab { runs = { inherit large small; }; }",
    )

    [record] = json.loads((lab / "revision/metadata-small.json").read_text())["jobs"].values()
    assert record["resource_hints"] == {"mem": "1G"}


def test_passthru_is_on_the_stage_s_derivation(nix: Nix, labs: Path) -> None:
    lab = 'labOfStage { } (producer // { passthru.author = "Ada"; })'
    expression = f"with import {labs}/tools.nix; ({lab}).runs.sim.stages.pipeline.only.author"

    assert nix.eval("--impure", "--expr", expression) == "Ada"


def test_environment_lines(nix: Nix, labs: Path) -> None:
    expression = f'with import {labs}/tools.nix; utils.env {{ OMP_NUM_THREADS = 1; NAME = "it\'s $HOME"; }}'

    assert nix.eval("--impure", "--expr", expression) == "export NAME='it'\\''s $HOME' OMP_NUM_THREADS=1"


@pytest.mark.parametrize(
    ("definition", "lines"),
    [
        (
            'producer // { run = _: "echo a\\necho )\\necho c"; }',
            [
                "repx-lib: stage 'only': the script is no valid bash:",
                "line 2: syntax error near unexpected token `)'",
                "line 2: `echo )'",
                "    1  echo a",
                "    2  echo )",
                "    3  echo c",
            ],
        ),
        (
            'producer // { run = _: "echo a\\nfor f in $(ls); do echo \\"$f\\"; done"; }',
            [
                "repx-lib: stage 'only': ShellCheck objects to the script:",
                "line 2:10: error: Iterating over ls output is fragile. Use globs. [SC2045]",
                "    1  echo a",
                '    2  for f in $(ls); do echo "$f"; done',
            ],
        ),
        (
            'splitter // { gather = splitter.gather // { run = _: "fi"; }; }',
            [
                "repx-lib: stage 'only', gather: the script is no valid bash:",
                "line 1: syntax error near unexpected token `fi'",
                "line 1: `fi'",
                "    1  fi",
            ],
        ),
        (
            'splitter // { steps.compute = splitter.steps.compute // { run = _: "fi"; }; }',
            [
                "repx-lib: stage 'only', step 'compute': the script is no valid bash:",
                "line 1: syntax error near unexpected token `fi'",
                "line 1: `fi'",
                "    1  fi",
            ],
        ),
    ],
    ids=["bash", "ShellCheck", "gather", "step"],
)
def test_scripts_are_checked_when_the_lab_is_built(nix: Nix, labs: Path, definition: str, lines: list[str]) -> None:
    error = nix.build_error("--impure", "--expr", f"with import {labs}/tools.nix; labOfStage {{ }} ({definition})")

    log = [line.split("> ", 1)[1] for line in error.splitlines() if line.startswith("       > ")]
    assert log == lines


def test_the_text_after_a_script_s_last_line_does_not_matter(nix: Nix, labs: Path, tmp_path: Path) -> None:
    lab = build(
        nix, labs, "labOfStage { } (producer // { run = { outputs, ... }: ''echo a > \"${outputs.data}\" # end''; })"
    )

    LabRunner(lab, tmp_path).run("sim")

    [data] = tmp_path.glob("outputs/*/out/data")
    assert data.read_text() == "a\n"
