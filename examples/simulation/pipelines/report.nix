{ repx }:
repx.mkPipe rec {
  gather = repx.callStage ../stages/gather.nix [ ];
  plot = repx.callStage ../stages/plot.nix [ gather ];
  picture = repx.callStage ../stages/picture.nix [ gather ];
}
