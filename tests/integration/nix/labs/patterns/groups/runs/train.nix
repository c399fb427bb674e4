{ repx-lib, ... }:
{
  name = "train";
  pipelines = [ ./pipeline.nix ];
  params = { };
}
