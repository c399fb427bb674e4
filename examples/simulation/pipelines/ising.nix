{ repx }:
repx.mkPipe rec {
  prepare = repx.callStage ../stages/prepare.nix [ ];
  simulate = repx.callStage ../stages/simulate.nix [ [ prepare "lattice" "start" ] ];
  measure = repx.callStage ../stages/measure.nix [ simulate ];
}
