{
  description = "repx-lib, the language of RepX labs, with a template and an example; it has no inputs and needs no network";

  outputs =
    { self }:
    let
      lib = import ./airflow_provider_repx/nix;
      systems = [
        "aarch64-darwin"
        "aarch64-linux"
        "x86_64-darwin"
        "x86_64-linux"
      ];
      forAll =
        function:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = function system;
          }) systems
        );
    in
    {
      # What labs call repx-lib.
      inherit lib;

      # `nix build .#simulation`, `nix build .#simulation.runs.analysis`
      packages = forAll (system: {
        five-runs = import ./examples/five-runs/lab.nix {
          pkgs = lib.hostPkgs.forSystem system;
          repx-lib = lib;
          gitHash = self.rev or self.dirtyRev or "unknown";
        };
        simulation = import ./examples/simulation/lab.nix {
          pkgs = lib.hostPkgs.forSystem system;
          repx-lib = lib;
          gitHash = self.rev or self.dirtyRev or "unknown";
        };
      });

      templates.default = {
        path = ./airflow_provider_repx/templates/lab;
        description = "A small lab that needs only Nix and the programs of this machine";
        welcomeText = ''
          Copy repx-lib beside the lab, which pins its version:

              mkdir nix; cp -r "$(nix eval --raw <the same flake>#librarySource)" nix/repx-lib && chmod -R u+w nix/repx-lib

          Then build the lab with `nix build .#lab`.
        '';
      };

      # The folder that a lab keeps as nix/repx-lib.
      librarySource = "${builtins.path {
        name = "repx-lib";
        path = ./airflow_provider_repx/nix;
        filter = path: type: baseNameOf path != "__pycache__";
      }}";
    };
}
