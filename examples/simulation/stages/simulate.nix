# Metropolis' algorithm at one temperature. Names, outputs and resources follow the label of the temperature.
{ pkgs }:
{
  pname = { params }: "simulate-${params.label}";
  params = {
    seed = 1;
    temperature = 2.269;
    label = "critical";
    sweeps = 600;
  };
  inputs = {
    start = "";
  };
  outputs = { params }: {
    final = "$out/lattice-${params.label}.txt";
    series = "$out/series.json";
  };
  # Near the transition the system is slow to settle: such jobs may take longer.
  resources = { params }: {
    mem = "256M";
    cpus = 1;
    time = if params.label == "critical" then "00:10:00" else "00:05:00";
  };
  runDependencies = [ pkgs.python3 ];
  run =
    {
      inputs,
      outputs,
      params,
      ...
    }:
    ''
      echo "Simulating ${params.label} spins (temperature ${toString params.temperature})"
      python3 ${../programs/simulate.py} \
        --start "${inputs.start}" \
        --seed ${toString params.seed} --temperature ${toString params.temperature} --label ${params.label} \
        --sweeps ${toString params.sweeps} \
        --series "${outputs.series}" --final "${outputs.final}"
    '';
}
