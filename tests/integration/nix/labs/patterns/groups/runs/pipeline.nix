{ repx }:
repx.mkPipe { note = repx.callStage ./note.nix [ ]; }
