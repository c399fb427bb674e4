{ repx }:
repx.mkPipe { guess = repx.callStage ../stages/guess.nix [ ]; }
