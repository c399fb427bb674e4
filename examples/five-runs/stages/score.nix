# How far each model is off, on points that it has not seen.
{ pkgs }:
{
  pname = "score";
  inputs = {
    metadata__train = "";
    store__base = "";
  };
  outputs.table = "$out/table.csv";
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs}/score.py \
        --metadata "${inputs.metadata__train}" --store "${inputs.store__base}" --output "${outputs.table}"
    '';
}
