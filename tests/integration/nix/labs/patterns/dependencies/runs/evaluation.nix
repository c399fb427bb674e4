{ repx-lib, ... }:
{
  name = "evaluation";
  pipelines = [ ../evaluate.nix ];
  params = { };
}
