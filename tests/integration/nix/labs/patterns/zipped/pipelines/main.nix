{ repx }:
repx.mkPipe { main = repx.callStage ../stage.nix [ ]; }
