{ pkgs, repx-lib }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = "unknown";
  lab_version = "1.0.0";
  runs = {
    sweep = repx-lib.callRun ./sweep.nix [ ];
    arch = repx-lib.callRun ./arch-sweep.nix [ ];
  };
}
