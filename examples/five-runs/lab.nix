# Five runs that depend on each other: data, models, their scores, a picture of them, and what a naive guess scores.
{
  pkgs,
  repx-lib,
  gitHash,
}:
let
  preprocess = repx-lib.callRun ./runs/preprocess.nix [ ];
  train = repx-lib.callRun ./runs/train.nix [ preprocess ];
  evaluate = repx-lib.callRun ./runs/evaluate.nix [ train ];
  visualize = repx-lib.callRun ./runs/visualize.nix [ evaluate ];
  baseline = repx-lib.callRun ./runs/baseline.nix [ preprocess ];
in
repx-lib.mkLab {
  inherit gitHash pkgs repx-lib;
  lab_version = "1.0.0";
  containerMode = "none";
  runContainerMode = "none";
  runs = {
    inherit
      preprocess
      train
      evaluate
      visualize
      baseline
      ;
  };
  groups = {
    ml-pipeline = [
      preprocess
      train
      evaluate
    ];
    reporting = [ visualize ];
    baselines = [ baseline ];
  };
}
