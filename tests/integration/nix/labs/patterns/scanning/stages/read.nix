{ pkgs }:
{
  pname = "read";
  params = {
    config = "";
    dataset = "";
    experiment = "";
  };
  outputs.names = "$out/names.txt";
  run = { outputs, params, ... }: ''
    for path in ${params.config} ${params.dataset} ${params.experiment}; do
      test -e "$path"
      basename "$path" >> "${outputs.names}"
    done
  '';
}
