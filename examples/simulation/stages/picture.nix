# The spins at the end of one simulation per temperature, as SVG.
{ pkgs }:
{
  pname = "picture";
  inputs = {
    lattices = "";
  };
  outputs = {
    picture = "$out/spins.svg";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs/picture.py} --lattices "${inputs.lattices}" --output "${outputs.picture}"
    '';
}
