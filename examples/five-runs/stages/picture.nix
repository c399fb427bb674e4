# The table as a picture.
{ pkgs }:
{
  pname = "picture";
  inputs = {
    metadata__evaluate = "";
    store__base = "";
  };
  outputs.picture = "$out/scores.svg";
  runDependencies = [ pkgs.python3 ];
  run =
    { inputs, outputs, ... }:
    ''
      python3 ${../programs}/picture.py \
        --metadata "${inputs.metadata__evaluate}" --store "${inputs.store__base}" --output "${outputs.picture}"
    '';
}
