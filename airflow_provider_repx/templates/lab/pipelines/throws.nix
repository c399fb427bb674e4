# A pipeline: stages, and which stage reads the outputs of which.
{ repx }:
repx.mkPipe rec {
  throw_dice = repx.callStage ../stages/throw_dice.nix [ ];
  # Its input `throws` is filled by the output of the same name.
  average = repx.callStage ../stages/average.nix [ throw_dice ];
}
