# A polynomial through the points that are there to learn from, for every set of points.
{ pkgs }:
{
  pname = "fit";
  params.degree = 1;
  inputs = {
    metadata__preprocess = "";
    store__base = "";
  };
  outputs.model = "$out/model.json";
  runDependencies = [ pkgs.python3 ];
  run =
    {
      inputs,
      outputs,
      params,
      ...
    }:
    ''
      python3 ${../programs}/fit.py \
        --metadata "${inputs.metadata__preprocess}" --store "${inputs.store__base}" \
        --degree ${toString params.degree} --output "${outputs.model}"
    '';
}
