# A stage: parameters with their defaults, outputs, what it needs, and a bash script.
{ pkgs }:
{
  pname = "throw-dice";
  params = {
    seed = 1;
    sides = 6;
    count = 100;
  };
  outputs = {
    throws = "$out/throws.txt";
  };
  resources = {
    mem = "128M";
    cpus = 1;
    time = "00:01:00";
  };
  # Programs on the script's PATH, beside the usual ones of a shell.
  runDependencies = [ pkgs.gawk ];
  run =
    { outputs, params, ... }:
    ''
      awk -v seed=${toString params.seed} -v sides=${toString params.sides} -v count=${toString params.count} '
        BEGIN { srand(seed); for (i = 0; i < count; i++) print 1 + int(rand() * sides) }
      ' > "${outputs.throws}"
    '';
}
