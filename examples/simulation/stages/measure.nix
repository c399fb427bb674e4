# Averages over one simulation. The stage declares no parameters: it has a job for each job of `simulate`.
{ pkgs }:
{
  pname = "measure";
  inputs = {
    series = "";
  };
  outputs = {
    measurement = "$out/measurement.json";
  };
  resources = {
    mem = "128M";
    time = "00:01:00";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs/measure.py} --series "${inputs.series}" --output "${outputs.measurement}"
    '';
}
