{ pkgs }:
{
  pname = "main";
  params = {
    seed = 0;
    model = "none";
    lr = 0.5;
  };
  outputs.line = "$out/line";
  run = { outputs, params, ... }: ''
    echo "${toString params.seed} ${params.model} ${toString params.lr}" > "${outputs.line}"
  '';
}
