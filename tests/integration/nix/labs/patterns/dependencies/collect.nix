{ pkgs }:
{
  pname = "collect";
  inputs = {
    metadata__training = "";
    store__base = "";
  };
  outputs.jobs = "$out/jobs";
  run = { inputs, outputs, ... }: ''
    grep -o '"jobs/[^/]*' "${inputs.metadata__training}" | sort -u > "${outputs.jobs}"
    test -d "${inputs.store__base}/outputs"
  '';
}
