{ repx-lib, ... }:
{
  name = "data-generation";
  pipelines = [ ../pipeline.nix ];
  params.seed = repx-lib.utils.range 1 2;
}
