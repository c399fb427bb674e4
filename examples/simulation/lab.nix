# The two-dimensional Ising model: a run that simulates, and a run that makes a table and pictures of the results.
{
  pkgs,
  repx-lib,
  gitHash,
}:
let
  simulation = repx-lib.callRun ./runs/simulation.nix [ ];
  analysis = repx-lib.callRun ./runs/analysis.nix [ [ simulation "hard" ] ];
in
repx-lib.mkLab {
  inherit gitHash pkgs repx-lib;
  lab_version = "1.0.0";
  containerMode = "none";
  runContainerMode = "none";
  runs = { inherit analysis simulation; };
  groups = {
    compute = [ simulation ];
    ising = [
      simulation
      analysis
    ];
  };
}
