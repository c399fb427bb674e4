# A stage without parameters of its own: it has one job for each job of the stage that it reads from.
{ pkgs }:
{
  pname = "average";
  inputs = {
    throws = "";
  };
  outputs = {
    average = "$out/average.txt";
  };
  runDependencies = [ pkgs.gawk ];
  run =
    { inputs, outputs, ... }:
    ''
      awk '{ sum += $1 } END { print sum / NR }' "${inputs.throws}" > "${outputs.average}"
      cat "${outputs.average}"
    '';
}
