# Programs that a lab brings along for the machine that starts its containers. Static ones work on any machine.
{ pkgs, script }:
let
  source = pkgs.pkgsStatic or { };
  wanted = [
    "bash"
    "bubblewrap"
    "coreutils"
    "findutils"
    "gnugrep"
    "gnused"
    "gnutar"
  ];
in
map (name: {
  inherit name;
  bin = script.binOf source.${name};
}) (builtins.filter (name: source ? ${name}) wanted)
