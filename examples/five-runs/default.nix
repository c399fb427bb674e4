# For `nix build --file`: the lab with this repository's own library and the host's programs.
{
  repx-lib ? import ../../airflow_provider_repx/nix,
  pkgs ? repx-lib.hostPkgs,
  gitHash ? "unknown",
}:
import ./lab.nix { inherit gitHash pkgs repx-lib; }
