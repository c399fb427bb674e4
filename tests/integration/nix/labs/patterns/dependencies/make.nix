{ pkgs }:
{
  pname = "make";
  params.seed = 0;
  outputs.value = "$out/value";
  run = { outputs, params, ... }: ''
    echo ${toString params.seed} > "${outputs.value}"
  '';
}
