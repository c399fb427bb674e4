{ pkgs }:
{
  pname = "a";
  inputs.from_b = "";
  outputs.from_a = "$out/a";
  run = { ... }: "";
}
