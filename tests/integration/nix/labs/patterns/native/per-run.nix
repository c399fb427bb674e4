{ pkgs, repx-lib, self, containerMode, runContainerMode ? "per-run" }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = self.rev or self.dirtyRev or "unknown";
  lab_version = "1.0.0";
  inherit containerMode runContainerMode;
  runs = {
    simulation = repx-lib.callRun ./runs/simulation.nix [];
    analysis = repx-lib.callRun ./runs/analysis.nix [];
  };
}
