{ pkgs }:
{
  pname = "compare";
  inputs = {
    jobs = "";
    metadata__data-generation = "";
  };
  outputs.lines = "$out/lines";
  run = { inputs, outputs, ... }: ''
    cat "${inputs.jobs}" "${inputs.metadata__data-generation}" | wc -l > "${outputs.lines}"
  '';
}
