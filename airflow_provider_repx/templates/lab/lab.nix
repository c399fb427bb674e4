# The lab: which runs there are, and which of them need results of others.
{
  repx-lib ? import ./nix/repx-lib,
  pkgs ? repx-lib.hostPkgs,
  gitHash ? "unknown",
}:
let
  hello = repx-lib.callRun ./runs/hello.nix [ ];
in
repx-lib.mkLab {
  inherit gitHash pkgs repx-lib;
  lab_version = "1.0.0";
  runs = { inherit hello; };
  # Runs can be grouped, for instance to select them together.
  groups = {
    examples = [ hello ];
  };
}
