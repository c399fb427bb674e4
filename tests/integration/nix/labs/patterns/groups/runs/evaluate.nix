{ repx-lib, ... }:
{
  name = "evaluate";
  pipelines = [ ./pipeline.nix ];
  params = { };
}
