{ repx-lib, ... }:
{
  name = "training";
  pipelines = [ ../pipeline.nix ];
  params.seed = repx-lib.utils.range 1 2;
}
