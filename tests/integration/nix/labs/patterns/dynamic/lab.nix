{ pkgs, repx-lib }:
repx-lib.mkLab {
  inherit pkgs repx-lib;
  gitHash = "unknown";
  lab_version = "1.0.0";
  runs.training = repx-lib.callRun ({ ... }: {
    name = "training";
    pipelines = [ ./pipelines/main.nix ];
    params = {
      model = [ "resnet" "pretrained" "large" ];
      epochs = [ 100 1000 ];
    };
  }) [ ];
}
