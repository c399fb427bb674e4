{ pkgs, repx-lib, ... }:
let
  utils = repx-lib.utils;
  seeds = utils.list (map (x: x * 10) (utils.range 1 5));
  # seeds.values = [ 10 20 30 40 50 ]
in
{
  name = "sweep";
  pipelines = [ ./pipelines/main.nix ];
  params = {
    seed = seeds;
    model = [ "A" "B" ];
  };
}
