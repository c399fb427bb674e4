# Three models, each for all data that `preprocess` made.
{ ... }:
{
  name = "train";
  pipelines = [ ../pipelines/train.nix ];
  params = {
    degree = [
      1
      2
      3
    ];
  };
}
