# Noisy points on a curve.
{ pkgs }:
{
  pname = "generate";
  params.seed = 1;
  outputs.points = "$out/points.json";
  runDependencies = [ pkgs.python3 ];
  run =
    { outputs, params, ... }:
    ''
      python3 ${../programs}/generate.py --seed ${toString params.seed} --output "${outputs.points}"
    '';
}
