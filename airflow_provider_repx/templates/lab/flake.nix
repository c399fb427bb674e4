{
  description = "A lab: computational experiments in Nix";

  # No inputs: repx-lib lies in nix/repx-lib, and packages are the programs of this machine. To use nixpkgs instead, add
  #   inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  # take `nixpkgs` as an argument below, and pass `pkgs = nixpkgs.legacyPackages.${system};` to the lab.
  outputs =
    { self }:
    let
      repx-lib =
        if builtins.pathExists ./nix/repx-lib then
          import ./nix/repx-lib
        else
          throw "nix/repx-lib is missing: it is a copy of the folder `nix` of airflow_provider_repx; `airflow repx init` makes one";
      lab =
        system:
        import ./lab.nix {
          inherit repx-lib;
          pkgs = repx-lib.hostPkgs.forSystem system;
          gitHash = self.rev or self.dirtyRev or "unknown";
        };
    in
    {
      # `nix build .#lab` builds all runs, `nix build .#lab.runs.hello` only one.
      packages.x86_64-linux.lab = lab "x86_64-linux";
      packages.aarch64-linux.lab = lab "aarch64-linux";
      packages.x86_64-darwin.lab = lab "x86_64-darwin";
      packages.aarch64-darwin.lab = lab "aarch64-darwin";
    };
}
