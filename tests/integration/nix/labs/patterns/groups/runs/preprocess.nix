{ repx-lib, ... }:
{
  name = "preprocess";
  pipelines = [ ./pipeline.nix ];
  params = { };
}
