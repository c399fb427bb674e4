{ pkgs }:
{
  pname = "free";
  outputs.out = "$out/out";
  run = { outputs, ... }: ''echo free > "${outputs.out}"'';
}
