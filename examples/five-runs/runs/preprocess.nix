# Two sets of noisy points.
{ ... }:
{
  name = "preprocess";
  pipelines = [ ../pipelines/preprocess.nix ];
  params = {
    seed = [
      1
      2
    ];
  };
}
