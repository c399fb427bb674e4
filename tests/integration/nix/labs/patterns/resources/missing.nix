{ pkgs, repx-lib }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = "unknown";
  lab_version = "1.0.0";
  runs.missing = repx-lib.callRun (_: {
    name = "missing";
    params = { };
    pipelines = [
      ({ repx }: repx.mkPipe {
        call = repx.callStage ({ pkgs }: {
          pname = "call";
          runDependencies = [ (pkgs.command "no-such-program") ];
          run = _: "no-such-program --help";
        }) [ ];
      })
    ];
  }) [ ];
}
