{ pkgs }:
{
  pname = "b";
  inputs.from_a = "";
  outputs.from_b = "$out/b";
  run = { ... }: "";
}
