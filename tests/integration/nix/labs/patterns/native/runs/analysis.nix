{ ... }:
{
  name = "analysis";
  pipelines = [ ../../groups/runs/pipeline.nix ];
  params = { };
}
