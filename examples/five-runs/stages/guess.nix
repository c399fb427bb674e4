# How far the mean is off.
{ pkgs }:
{
  pname = "guess";
  inputs = {
    metadata__preprocess = "";
    store__base = "";
  };
  outputs.table = "$out/table.csv";
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs}/guess.py \
        --metadata "${inputs.metadata__preprocess}" --store "${inputs.store__base}" --output "${outputs.table}"
    '';
}
