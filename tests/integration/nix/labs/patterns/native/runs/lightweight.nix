{ ... }:
{
  name = "lightweight";
  pipelines = [ ../../groups/runs/pipeline.nix ];
  params = { };
}
