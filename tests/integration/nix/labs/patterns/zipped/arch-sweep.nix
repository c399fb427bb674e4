{ repx-lib, ... }:
let
  inherit (repx-lib) utils;
in
{
  name = "arch-sweep";
  pipelines = [ ./pipelines/train.nix ];
  params = {
    seed = [ 1 2 3 ]; # cartesian: crossed with everything

    # architecture and learning rate are paired.
    # resnet↔0.001, transformer↔0.0001 -- never resnet↔0.0001.
    config = utils.zip {
      model = [ "resnet" "transformer" ];
      lr = [ 0.001 0.0001 ];
    };
  };
}
