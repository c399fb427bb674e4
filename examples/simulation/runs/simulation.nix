# Six temperatures on both sides of the phase transition, each with three seeds.
{ repx-lib, ... }:
let
  inherit (repx-lib) utils;
in
{
  name = "simulation";
  pipelines = [ ../pipelines/ising.nix ];
  params = {
    seed = utils.list (map (number: 10 * number) (utils.range 1 3));
    # A label names each temperature: the two vary together.
    point = utils.zip {
      temperature = [ 1.5 1.9 2.1 2.269 2.5 3.2 ];
      label = [ "cold" "cool" "below" "critical" "above" "hot" ];
    };
  };
}
