{ pkgs, repx-lib }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = "unknown";
  lab_version = "1.0.0";
  runs = {
    gpu = repx-lib.callRun (_: {
      name = "gpu";
      params = { };
      pipelines = [ ({ repx }: repx.mkPipe { train = repx.callStage ./gpu-training.nix [ ]; }) ];
    }) [ ];
    parallel = repx-lib.callRun (_: {
      name = "parallel";
      params = { };
      pipelines = [
        ({ repx }: repx.mkPipe rec {
          source = repx.callStage ./source.nix [ ];
          process = repx.callStage ./parallel-processing.nix [ source ];
          report = repx.callStage ./report.nix [ process ];
        })
      ];
    }) [ ];
  };
}
