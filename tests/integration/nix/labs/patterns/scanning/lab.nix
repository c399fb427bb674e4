{ pkgs, repx-lib }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = "unknown";
  lab_version = "1.0.0";
  runs = {
    grading = repx-lib.callRun ./runs/grading.nix [ ];
    files = repx-lib.callRun ./runs/files.nix [ ];
    scan = repx-lib.callRun ./runs/scan.nix [ ];
  };
}
