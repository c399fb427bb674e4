# Short ways to write labs for tests.
rec {
  repx-lib = import ../../../../airflow_provider_repx/nix;
  pkgs = repx-lib.hostPkgs;
  inherit (repx-lib) callRun callStage mkPipe utils;

  lab = extra: repx-lib.mkLab ({
    inherit pkgs repx-lib;
    gitHash = "0123456789abcdef";
    lab_version = "1.0.0";
    containerMode = "none";
    runContainerMode = "none";
  } // extra);

  runOf = params: stages: callRun { name = "sim"; inherit params; pipelines = [ (mkPipe stages) ]; } [ ];

  # A lab of one run: parameters and stages.
  labOf = params: stages: lab { runs.sim = runOf params stages; };

  # A lab of one stage.
  labOfStage = params: definition: labOf params { only = callStage definition [ ]; };

  producer = {
    pname = "producer";
    outputs.data = "$out/data";
    run = { outputs, ... }: ''echo data > "${outputs.data}"'';
  };
  consumer = {
    pname = "consumer";
    inputs.data = "";
    outputs.result = "$out/result";
    run = { inputs, outputs, ... }: ''cp "${inputs.data}" "${outputs.result}"'';
  };

  # A sound scatter-gather stage to break.
  splitter = rec {
    pname = "splitter";
    scatter = {
      outputs = { work__items = "$out/work_items.json"; worker__arg = { index = 0; }; };
      run = { outputs, ... }: ''echo '[{"index":0},{"index":1}]' > "${outputs.work__items}"'';
    };
    steps = {
      compute = {
        pname = "compute";
        inputs.worker__item = "";
        outputs.result = "$out/result";
        deps = [ ];
        run = { inputs, outputs, ... }: ''cp "${inputs.worker__item}" "${outputs.result}"'';
      };
    };
    gather = {
      inputs.worker__outs = "[]";
      outputs.all = "$out/all";
      run = { inputs, outputs, ... }: ''cp "${inputs.worker__outs}" "${outputs.all}"'';
    };
  };
}
