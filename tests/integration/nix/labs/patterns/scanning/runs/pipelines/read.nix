{ repx }:
repx.mkPipe { read = repx.callStage ../../stages/read.nix [ ]; }
