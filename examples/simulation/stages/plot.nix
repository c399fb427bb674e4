# Magnetization and energy against temperature, as SVG.
{ pkgs }:
{
  pname = "plot";
  inputs = {
    table = "";
  };
  outputs = {
    plot = "$out/ising.svg";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs/plot.py} --table "${inputs.table}" --output "${outputs.plot}"
    '';
}
