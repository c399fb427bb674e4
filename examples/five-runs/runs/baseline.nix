# What the mean of `preprocess`'s points predicts.
{ ... }:
{
  name = "baseline";
  pipelines = [ ../pipelines/baseline.nix ];
  params = { };
}
