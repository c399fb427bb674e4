# nix/lab.nix
{ pkgs, repx-lib, self }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = self.rev or self.dirtyRev or "unknown";
  lab_version = "1.0.0";
  containerMode = "none"; # Skip Docker image generation for all runs
  runs = {
    lightweight = repx-lib.callRun ./runs/lightweight.nix [];
  };
}
