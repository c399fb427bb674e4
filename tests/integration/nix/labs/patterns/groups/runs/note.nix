{ pkgs }:
{
  pname = "note";
  outputs.note = "$out/note";
  run = { outputs, ... }: ''
    echo note > "${outputs.note}"
  '';
}
