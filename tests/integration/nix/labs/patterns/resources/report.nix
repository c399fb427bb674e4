{ pkgs }:
{
  pname = "report";
  inputs.total = "";
  outputs.report = "$out/report.txt";
  resources.cpus = 1;
  run = { inputs, outputs, ... }: ''
    cp "${inputs.total}" "${outputs.report}"
  '';
}
