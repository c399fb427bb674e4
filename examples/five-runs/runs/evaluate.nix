# One table of how well the models of `train` predict points that they have not seen.
{ ... }:
{
  name = "evaluate";
  pipelines = [ ../pipelines/evaluate.nix ];
  params = { };
}
