"""Every mistake in a lab has its own error, found while the lab is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nix import Nix

pytestmark = pytest.mark.integration

KNOWN_STAGE = (
    "'__noChroot', 'hashMode', 'parameters', 'params', 'passthru', 'pname', 'resources', 'runDependencies', "
    "'version', 'inputs', 'outputs', 'run'"
)

STAGE = "run 'sim', stage 'only'"

# Each case: a name, a Nix expression over labs/tools.nix, the error's text.
CASES: list[tuple[str, str, str]] = [
    # Sweeps
    (
        "zip of unequal lengths",
        'toString (utils.zip { model = [ "a" "b" ]; lr = [ 1 2 3 ]; }).lists',
        "utils.zip: all parameter lists must have the same length, but 'lr' has 3 items, 'model' has 2 items",
    ),
    ("zip of a scalar", "(utils.zip { lr = 1; }).lists", "utils.zip: 'lr' must be a list, but it is a number"),
    ("zip of nothing", "(utils.zip { }).lists", "utils.zip: there is no parameter in it"),
    ("zip of a list", "(utils.zip [ 1 ]).lists", "utils.zip: expected an attribute set of lists, but got a list"),
    ("list of a scalar", "(utils.list 1).values", "utils.list: expected a list, but got a number"),
    (
        "empty list",
        "(labOfStage { seed = [ ]; } (producer // { params.seed = 1; })).drvPath",
        "run 'sim': params.seed is an empty list, so the run would have no jobs",
    ),
    (
        "scalar instead of a list",
        "(labOfStage { seed = 5; } (producer // { params.seed = 1; })).drvPath",
        "run 'sim': params.seed must be a list of values, but it is a number; write [ ... ]",
    ),
    (
        "parameter in a zip and outside",
        "(labOfStage { a = [ 1 ]; z = utils.zip { a = [ 1 ]; }; } (producer // { params.a = 1; })).drvPath",
        "run 'sim': parameter 'a' is in zip 'z' and outside of it as well; it can vary along one axis only",
    ),
    (
        "parameter in two zips",
        "(labOfStage { y = utils.zip { a = [ 1 ]; }; z = utils.zip { a = [ 1 ]; }; } (producer // { params.a = 1; })).drvPath",
        "run 'sim': parameter 'a' is in zip 'y' and in another zip as well; it can vary along one axis only",
    ),
    (
        "axis that no stage declares",
        "(labOfStage { sede = [ 1 ]; } (producer // { params.seed = 1; })).drvPath",
        "run 'sim': params.sede is declared by no stage of its pipelines; did you mean 'seed'? (declared: 'seed')",
    ),
    (
        "list as a value",
        "(labOfStage { seed = [ [ 1 ] ]; } (producer // { params.seed = 1; })).drvPath",
        "run 'sim': params.seed: a list is no parameter value; a parameter is a text, number, boolean, null, path or "
        "derivation",
    ),
    (
        "scan of an unknown type",
        '(utils.scan { src = ./.; type = "files"; }).values',
        "utils.scan: type is 'files'; did you mean 'file'? (known: 'any', 'directory', 'file')",
    ),
    (
        "scan with an unknown attribute",
        '(utils.scan { src = ./.; pattern = "x"; }).values',
        "utils.scan: unknown attribute 'pattern' (known: 'match', 'src', 'type')",
    ),
    (
        "scan of a text",
        '(utils.files "data").values',
        "utils.files: the source must be a path or a derivation, but it is a text",
    ),
    ("scan of a missing folder", "(utils.dirs /nonexistent).values", "utils.dirs: there is no folder '/nonexistent'"),
    # Unknown attributes
    (
        "unknown attribute of a stage",
        "(labOfStage { } (producer // { ressources = { }; })).drvPath",
        f"{STAGE}: unknown attribute 'ressources'; did you mean 'resources'? (known: {KNOWN_STAGE})",
    ),
    (
        "unknown attribute of a run",
        'let run = callRun { name = "sim"; pipline = [ ]; } [ ]; in (lab { runs.sim = run; }).drvPath',
        "run 'sim': unknown attribute 'pipline'; did you mean 'pipelines'? (known: 'hashMode', 'name', 'parameters', "
        "'parametersDependencies', 'params', 'paramsDependencies', 'pipelines')",
    ),
    (
        "unknown attribute of a lab",
        "(lab { run = { }; runs.sim = runOf { } { only = callStage producer [ ]; }; }).drvPath",
        "mkLab: unknown attribute 'run'; did you mean 'runs'? (known: 'containerMode', 'gitHash', 'groups', 'hashMode', "
        "'lab_version', 'pkgs', 'repx-lib', 'runContainerMode', 'runs')",
    ),
    (
        "something else in a pipeline",
        "(labOf { } { a = 1; }).drvPath",
        "run 'sim', pipeline 'pipeline': 'a' is no stage made by callStage, but a number",
    ),
    (
        "unknown attribute of a step",
        "(labOfStage { } (splitter // { steps.compute = splitter.steps.compute // { dep = [ ]; }; })).drvPath",
        f"{STAGE}, step 'compute': unknown attribute 'dep'; did you mean 'deps'? (known: 'inputs', 'outputs', 'pname', "
        "'resources', 'run', 'runDependencies', 'deps')",
    ),
    (
        "unknown attribute of scatter",
        "(labOfStage { } (splitter // { scatter = splitter.scatter // { output = 1; }; })).drvPath",
        f"{STAGE}, scatter: unknown attribute 'output'; did you mean 'outputs'? (known: 'inputs', 'outputs', 'pname', "
        "'resources', 'run', 'runDependencies')",
    ),
    # Stages
    ("no pname", '(labOfStage { } { run = { ... }: ""; }).drvPath', f"{STAGE}: there is no 'pname'"),
    ("no run", '(labOfStage { } { pname = "a"; }).drvPath', f"{STAGE}: there is no 'run'"),
    (
        "pname that is no file name",
        '(labOfStage { } (producer // { pname = "a/b"; })).drvPath',
        f"{STAGE}: pname is 'a/b', which is no file name: use letters, digits and + . _ -",
    ),
    (
        "run that is no function",
        '(labOfStage { } (producer // { run = "echo"; })).drvPath',
        f"{STAGE}: run must be a function, but it is a text",
    ),
    (
        "run that returns no text",
        "(labOfStage { } (producer // { run = { ... }: 1; })).drvPath",
        f"{STAGE}: run must return a text, but it returned a number",
    ),
    (
        "both spellings of parameters",
        "(labOfStage { } (producer // { params = { }; parameters = { }; })).drvPath",
        f"{STAGE}: has both 'params' and 'parameters'; they mean the same, keep one",
    ),
    (
        "function of something else",
        '(labOfStage { } (producer // { pname = { inputs }: "a"; })).drvPath',
        f"{STAGE}: pname may be a function of {{ params }} or {{ parameters }}, but it asks for 'inputs'",
    ),
    (
        "default that is a list",
        "(labOfStage { } (producer // { params.layers = [ 1 ]; })).drvPath",
        f"{STAGE}: params.layers: a list is no parameter value; a parameter is a text, number, boolean, null, path or "
        "derivation",
    ),
    (
        "output that is no text",
        "(labOfStage { } (producer // { outputs.data = 1; })).drvPath",
        f'{STAGE}: outputs.data must be a text such as "$out/data"',
    ),
    (
        "unknown hash mode",
        '(labOfStage { } (producer // { hashMode = "params"; })).drvPath',
        f"{STAGE}: hashMode is 'params' (known: 'params-only', 'pure')",
    ),
    (
        "stage file that asks for something unknown",
        "(labOfStage { } ({ pkgs, cudatolkit }: producer)).drvPath",
        f"{STAGE}: asks for 'cudatolkit', which is neither an argument ('pkgs', 'repx', 'repx-lib') nor a package",
    ),
    (
        "stage that is no attribute set",
        "(labOfStage { } ({ pkgs }: [ ])).drvPath",
        f"{STAGE}: expected an attribute set, or a file or function that returns one, but got a list",
    ),
    # Inputs
    (
        "input without producer or default",
        "(labOfStage { } consumer).drvPath",
        f"{STAGE}: no dependency provides input 'data', and it has no default",
    ),
    (
        "default of a stage that is no file",
        '(labOfStage { } (consumer // { inputs.data = "input.csv"; })).drvPath',
        f"{STAGE}: no dependency provides input 'data', and its default 'input.csv' is no file; the stage is no file that "
        "a relative path could start from",
    ),
    (
        "unknown output",
        '(labOf { } rec { a = callStage producer [ ]; b = callStage consumer [ [ a "dta" "data" ] ]; }).drvPath',
        "run 'sim', stage 'b': stage 'a' has no output 'dta'; did you mean 'data'? (it has 'data')",
    ),
    (
        "unknown input",
        '(labOf { } rec { a = callStage producer [ ]; b = callStage consumer [ [ a "data" "dat" ] ]; }).drvPath',
        "run 'sim', stage 'b': has no input 'dat'; did you mean 'data'? (it has 'data')",
    ),
    (
        "no names in common",
        '(labOf { } rec { a = callStage producer [ ]; b = callStage (consumer // { inputs.table = ""; }) [ a ]; }).drvPath',
        "run 'sim', stage 'b': depends on stage 'a', but no output of 'a' ('data') has the name of an input here "
        '(\'table\'); write [ a "output" "input" ]',
    ),
    (
        "input with two producers",
        '(labOf { } rec { a = callStage producer [ ]; c = callStage (producer // { pname = "c"; }) [ ]; '
        "b = callStage consumer [ a c ]; }).drvPath",
        "run 'sim', stage 'b': input 'data' is provided by 'a.data', 'c.data'; write [ stage \"output\" \"data\" ] for the "
        "one that is meant",
    ),
    (
        "dependency that is no stage",
        "(labOf { } { b = callStage consumer [ 1 ]; }).drvPath",
        "run 'sim', stage 'b': depends on a number; dependencies are stages made by callStage, or [ stage \"output\" "
        '"input" ]',
    ),
    (
        "dependency list that is malformed",
        "(labOf { } rec { a = callStage producer [ ]; b = callStage consumer [ [ a ] ]; }).drvPath",
        "run 'sim', stage 'b': a dependency in a list must be [ stage \"output\" \"input\" ]",
    ),
    (
        "dependencies that are no list",
        "(labOf { } rec { a = callStage producer [ ]; b = callStage consumer a; }).drvPath",
        "callStage: the second argument is a list of stages that this stage depends on, but it is an attribute set",
    ),
    (
        "metadata of a run that is none",
        '(labOfStage { } (consumer // { inputs = { metadata__other = ""; }; })).drvPath',
        f"{STAGE}: input 'metadata__other' names no run that this run depends on (it depends on none)",
    ),
    # Resources
    (
        "unknown resource",
        '(labOfStage { } (producer // { resources.memory = "4G"; })).drvPath',
        f"{STAGE}: resources: unknown attribute 'memory'; did you mean 'mem'? (known: 'cpus', 'mem', 'partition', 'sbatch_opts', 'time')",
    ),
    (
        "memory that is no text",
        "(labOfStage { } (producer // { resources.mem = 4; })).drvPath",
        f'{STAGE}: resources.mem must be a text such as "512M" or "16G", but it is 4',
    ),
    (
        "memory that is no size",
        '(labOfStage { } (producer // { resources.mem = "lots"; })).drvPath',
        f'{STAGE}: resources.mem must be a text such as "512M" or "16G", but it is "lots"',
    ),
    (
        "CPUs that are no number",
        '(labOfStage { } (producer // { resources.cpus = "4"; })).drvPath',
        f'{STAGE}: resources.cpus must be a whole number above zero, but it is "4"',
    ),
    (
        "time that is none",
        '(labOfStage { } (producer // { resources.time = "2 hours"; })).drvPath',
        f'{STAGE}: resources.time must be a text such as "02:00:00", "30:00" or "1-12:00:00", but it is "2 hours"',
    ),
    (
        "sbatch options that are no list",
        '(labOfStage { } (producer // { resources.sbatch_opts = "--gres=gpu:1"; })).drvPath',
        f'{STAGE}: resources.sbatch_opts must be a list of texts, but it is "--gres=gpu:1"',
    ),
    (
        "partition that is no name",
        "(labOfStage { } (producer // { resources.partition = 1; })).drvPath",
        f"{STAGE}: resources.partition must be a partition's name, but it is 1",
    ),
    (
        "wrong resource for some parameters only",
        "(labOfStage { n = [ 1 2 ]; } (producer // { params.n = 1; resources = { params }: "
        "{ cpus = if params.n == 2 then 0 else 1; }; })).drvPath",
        f"{STAGE}: resources.cpus must be a whole number above zero, but it is 0",
    ),
    (
        "wrong resource of a step",
        "(labOfStage { } (splitter // { steps.compute = splitter.steps.compute // { resources.cpus = 0; }; })).drvPath",
        f"{STAGE}, step 'compute': resources.cpus must be a whole number above zero, but it is 0",
    ),
    # Scatter-gather
    (
        "no gather",
        '(labOfStage { } (removeAttrs splitter [ "gather" ])).drvPath',
        f"{STAGE}: a scatter-gather stage needs 'scatter', 'steps', 'gather', but there is no 'gather'",
    ),
    (
        "no steps",
        "(labOfStage { } (splitter // { steps = { }; })).drvPath",
        f"{STAGE}: steps is empty; a scatter-gather stage needs at least one step",
    ),
    (
        "no work items",
        "(labOfStage { } (splitter // { scatter = splitter.scatter // { outputs = { worker__arg = { }; }; }; })).drvPath",
        f"{STAGE}, scatter: must have the output 'work__items', such as outputs.work__items = \"$out/work_items.json\"",
    ),
    (
        "no worker argument",
        '(labOfStage { } (splitter // { scatter = splitter.scatter // { outputs = { work__items = "$out/x"; }; }; })).drvPath',
        f"{STAGE}, scatter: must have the output 'worker__arg', an example of one work item, such as "
        "outputs.worker__arg = { index = 0; }",
    ),
    (
        "gather that reads nothing",
        "(labOfStage { } (splitter // { gather = splitter.gather // { inputs = { }; }; })).drvPath",
        f"{STAGE}, gather: must have the input 'worker__outs', such as inputs.worker__outs = \"[]\"",
    ),
    (
        "first step that takes no item",
        '(labOfStage { } (splitter // { steps.compute = splitter.steps.compute // { inputs = { }; run = { ... }: ""; }; })).drvPath',
        f"{STAGE}: no first step ('compute') has the input 'worker__item', so the work items would reach nobody",
    ),
    (
        "two last steps",
        '(labOfStage { } (splitter // { steps = splitter.steps // { other = splitter.steps.compute // { pname = "other"; }; }; })).drvPath',
        f"{STAGE}: there must be exactly one step that no other step depends on, since gather reads its output, but there "
        "are 2: 'compute', 'other'",
    ),
    (
        "last step with two outputs",
        "(labOfStage { } (splitter // { steps.compute = splitter.steps.compute // "
        '{ outputs = { a = "$out/a"; result = "$out/b"; }; }; })).drvPath',
        f"{STAGE}, step 'compute': gather reads this step, so it must have exactly one output, but it has 'a', 'result'",
    ),
    (
        "circle of steps",
        'let a = splitter.steps.compute // { pname = "a"; deps = [ b ]; }; '
        'b = splitter.steps.compute // { pname = "b"; deps = [ a ]; }; '
        "in (labOfStage { } (splitter // { steps = { inherit a b; }; })).drvPath",
        f"{STAGE}: the steps 'a', 'b' depend on each other in a circle",
    ),
    (
        "dependency on a foreign step",
        'let other = splitter.steps.compute // { pname = "other"; }; in '
        "(labOfStage { } (splitter // { steps.compute = splitter.steps.compute // { deps = [ other ]; }; })).drvPath",
        f"{STAGE}, step 'compute': depends on step 'other', which is not among the stage's steps ('compute')",
    ),
    (
        "unknown output of a step",
        'let a = splitter.steps.compute // { pname = "a"; }; '
        'b = splitter.steps.compute // { pname = "b"; inputs.result = ""; deps = [ [ a "reslt" "result" ] ]; }; '
        "in (labOfStage { } (splitter // { steps = { inherit a b; }; })).drvPath",
        f"{STAGE}, step 'b': step 'a' has no output 'reslt'; did you mean 'result'? (it has 'result')",
    ),
    (
        "steps without names in common",
        'let a = splitter.steps.compute // { pname = "a"; }; '
        'b = splitter.steps.compute // { pname = "b"; inputs.table = ""; deps = [ a ]; }; '
        "in (labOfStage { } (splitter // { steps = { inherit a b; }; })).drvPath",
        f"{STAGE}, step 'b': depends on step 'a', but no output of that step ('result') has the name of an input here "
        '(\'table\'); write [ a "output" "input" ]',
    ),
    # Pipelines and runs
    (
        "circle of stages",
        "(labOf { } rec { a = callStage labs/circle_a.nix [ b ]; b = callStage labs/circle_b.nix [ a ]; }).drvPath",
        "run 'sim', pipeline 'pipeline': the stages 'a', 'b' depend on each other in a circle",
    ),
    (
        "empty pipeline",
        "(labOf { } { }).drvPath",
        "run 'sim', pipeline 'pipeline': a pipeline needs at least one stage",
    ),
    (
        "no pipelines",
        "(lab { runs.sim = callRun { } [ ]; }).drvPath",
        "run 'sim': there is no 'pipelines'",
    ),
    (
        "empty list of pipelines",
        "(lab { runs.sim = callRun { pipelines = [ ]; } [ ]; }).drvPath",
        "run 'sim': pipelines is empty, so the run would have no jobs",
    ),
    (
        "one pipeline without a list",
        "(lab { runs.sim = callRun { pipelines = labs/circle_a.nix; } [ ]; }).drvPath",
        "run 'sim': pipelines must be a list, but it is a path",
    ),
    (
        "run name that is no file name",
        '(lab { runs.sim = callRun { name = "a b"; pipelines = [ ]; } [ ]; }).drvPath',
        "run 'sim': name must be a text of letters, digits and + . _ -, but it is 'a b'",
    ),
    # Labs
    ("no runs", "(lab { runs = { }; }).drvPath", "mkLab: runs must be an attribute set with at least one run"),
    ("run that is none", "(lab { runs.sim = 1; }).drvPath", "mkLab: runs.sim is no run made by callRun, but a number"),
    (
        "no git hash",
        '(repx-lib.mkLab { inherit pkgs repx-lib; lab_version = "1"; runs.sim = runOf { } { only = callStage producer [ ]; }; }).drvPath',
        "mkLab: there is no 'gitHash'",
    ),
    (
        "same name twice",
        "let run = runOf { } { only = callStage producer [ ]; }; in (lab { runs = { a = run; b = run; }; }).drvPath",
        "mkLab: more than one run is named 'sim'; names of runs must differ",
    ),
    (
        "circle of runs",
        "let a = callRun labs/circle_a.nix [ b ]; b = callRun labs/circle_b.nix [ a ]; in (lab { runs = { inherit a b; }; }).drvPath",
        "mkLab: the runs 'a', 'b' depend on each other in a circle",
    ),
    (
        "unknown dependency type",
        'let a = runOf { } { only = callStage producer [ ]; }; b = callRun { pipelines = [ ]; } [ [ a "sfot" ] ]; '
        "in (lab { runs = { inherit a b; }; }).drvPath",
        "run 'b': a dependency is of type 'sfot'; did you mean 'soft'? (known: 'hard', 'soft')",
    ),
    (
        "dependency outside of the lab",
        "let a = runOf { } { only = callStage producer [ ]; }; b = callRun { pipelines = [ ]; } [ a ]; "
        "in (lab { runs = { inherit b; }; }).drvPath",
        "run 'b': depends on a run that is not among the lab's runs ('b')",
    ),
    (
        "dependency that is no run",
        '(lab { runs.b = callRun { pipelines = [ ]; } [ "a" ]; }).drvPath',
        'run \'b\': depends on a text; dependencies are runs made by callRun, or [ run "hard" ] or [ run "soft" ]',
    ),
    (
        "group with the name of a run",
        "let sim = runOf { } { only = callStage producer [ ]; }; in (lab { runs = { inherit sim; }; groups.sim = [ sim ]; }).drvPath",
        "mkLab: group 'sim' has the name of a run; give it another name",
    ),
    (
        "group of something else",
        'let sim = runOf { } { only = callStage producer [ ]; }; in (lab { runs = { inherit sim; }; groups.g = [ "sim" ]; }).drvPath',
        "mkLab: group 'g' holds a text, which is no run made by callRun",
    ),
    (
        "group that is no list",
        "let sim = runOf { } { only = callStage producer [ ]; }; in (lab { runs = { inherit sim; }; groups.g = sim; }).drvPath",
        "mkLab: group 'g' must be a list of runs, but it is an attribute set",
    ),
    (
        "group of a foreign run",
        "let sim = runOf { } { only = callStage producer [ ]; }; other = callRun { pipelines = [ ]; } [ ]; "
        "in (lab { runs = { inherit sim; }; groups.g = [ other ]; }).drvPath",
        "mkLab: group 'g' holds a run that is not among the lab's runs ('sim')",
    ),
    (
        "unknown container mode",
        '(lab { containerMode = "perrun"; runs.sim = runOf { } { only = callStage producer [ ]; }; }).drvPath',
        "mkLab: containerMode is 'perrun'; did you mean 'per-run'? (known: 'none', 'per-run', 'unified')",
    ),
    (
        "images without dockerTools",
        '(lab { containerMode = "unified"; runs.sim = runOf { } { only = callStage producer [ ]; }; }).drvPath',
        "mkLab: containerMode is 'unified', but these pkgs have no dockerTools to build images with; use nixpkgs or "
        'containerMode = "none"',
    ),
    (
        "images of slices without dockerTools",
        '(lab { runContainerMode = "per-run"; runs.sim = runOf { } { only = callStage producer [ ]; }; }).runs.sim.drvPath',
        "mkLab: runContainerMode is 'per-run', but these pkgs have no dockerTools to build images with; use nixpkgs or "
        'runContainerMode = "none"',
    ),
    (
        "packages without Python",
        '(lab { pkgs = removeAttrs pkgs [ "python3" ]; runs.sim = runOf { } { only = callStage producer [ ]; }; }).drvPath',
        "mkLab: pkgs has no package 'python3' (the library needs 'bash', 'coreutils', 'findutils', 'gnugrep', 'gnused', "
        "'gawk', 'python3')",
    ),
]


@pytest.mark.parametrize(("expression", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_mistake_has_its_own_error(nix: Nix, labs: Path, expression: str, text: str) -> None:
    expression = expression.replace("labs/circle", f"{labs}/circle")

    assert nix.evaluation_error(f"with import {labs}/tools.nix; {expression}") == text
