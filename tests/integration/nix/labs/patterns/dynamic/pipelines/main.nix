{ repx }:
repx.mkPipe { train = repx.callStage ../stages/train.nix [ ]; }
