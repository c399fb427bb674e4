{ repx-lib, ... }:
{
  name = "visualize";
  pipelines = [ ./pipeline.nix ];
  params = { };
}
