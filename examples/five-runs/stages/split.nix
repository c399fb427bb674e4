# Points to learn from, and points to be tested on.
{ pkgs }:
{
  pname = "split";
  inputs.points = "";
  outputs.parts = "$out/parts.json";
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs}/split.py --points "${inputs.points}" --output "${outputs.parts}"
    '';
}
