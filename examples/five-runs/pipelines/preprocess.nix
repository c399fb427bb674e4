{ repx }:
repx.mkPipe rec {
  generate = repx.callStage ../stages/generate.nix [ ];
  split = repx.callStage ../stages/split.nix [ generate ];
}
