{ repx }:
repx.mkPipe rec {
  make = repx.callStage ./make.nix [ ];
}
