# A run: pipelines, and the values that their parameters take. Lists are combined each with each.
{ repx-lib, ... }:
{
  name = "hello";
  pipelines = [ ../pipelines/throws.nix ];
  params = {
    # 3 seeds x 2 dice = 6 jobs of each stage below.
    seed = repx-lib.utils.range 1 3;
    sides = [
      6
      20
    ];
  };
}
