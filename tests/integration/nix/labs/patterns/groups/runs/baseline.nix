{ repx-lib, ... }:
{
  name = "baseline";
  pipelines = [ ./pipeline.nix ];
  params = { };
}
