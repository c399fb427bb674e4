{ repx }:
repx.mkPipe { picture = repx.callStage ../stages/picture.nix [ ]; }
