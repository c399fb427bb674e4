# Finds the results of exactly the jobs that the upstream run's metadata lists.
{ pkgs }:
{
  pname = "gather";
  inputs = {
    metadata__simulation = "";
    store__base = "";
  };
  outputs = {
    table = "$out/table.csv";
    lattices = "$out/lattices.json";
  };
  resources = {
    mem = "256M";
    cpus = 1;
    time = "00:02:00";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs/gather.py} \
        --metadata "${inputs.metadata__simulation}" --store "${inputs.store__base}" \
        --table "${outputs.table}" --lattices "${outputs.lattices}"
    '';
}
