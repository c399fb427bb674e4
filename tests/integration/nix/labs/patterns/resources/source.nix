{ pkgs }:
{
  pname = "source";
  outputs.data = "$out/data.csv";
  resources = { mem = "1G"; cpus = 2; time = "01:00:00"; partition = "io"; };
  run = { outputs, ... }: ''
    printf 'header\nrow\n' > "${outputs.data}"
  '';
}
