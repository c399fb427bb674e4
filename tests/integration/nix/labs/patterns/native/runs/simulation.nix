{ ... }:
{
  name = "simulation";
  pipelines = [ ../../groups/runs/pipeline.nix ];
  params = { };
}
