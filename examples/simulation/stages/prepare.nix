# A random lattice of spins: one job per seed, whatever the temperatures.
{ pkgs }:
{
  pname = "prepare";
  params = {
    seed = 1;
    size = 24;
  };
  outputs = {
    lattice = "$out/lattice.txt";
  };
  resources = {
    mem = "128M";
    cpus = 1;
    time = "00:01:00";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    { outputs, params, ... }:
    ''
      python3 ${../programs/prepare.py} \
        --seed ${toString params.seed} --size ${toString params.size} --output "${outputs.lattice}"
    '';
}
