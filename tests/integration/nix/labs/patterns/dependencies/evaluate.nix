{ repx }:
repx.mkPipe rec {
  collect = repx.callStage ./collect.nix [ ];
  # Asks for the soft dependency's metadata, although it is not a first stage.
  compare = repx.callStage ./compare.nix [ collect ];
}
