# repx-lib: the language in which labs are written. Needs only Nix itself; packages come from the `pkgs` that a lab is given.
let
  errors = import ./errors.nix;
  text = import ./text.nix;
  paths = import ./paths.nix;
  ordering = import ./order.nix { inherit errors; };
  calls = import ./calls.nix { inherit errors paths; };
  values = import ./values.nix { inherit errors paths text; };
  packages = import ./packages.nix { inherit errors paths values; };
  resources = import ./resources.nix { inherit errors; };
  utils = import ./utils.nix {
    inherit
      errors
      hostPkgs
      paths
      text
      values
      ;
  };
  # Host tools in place of nixpkgs, for labs that run natively.
  hostPkgs = import ./host_pkgs.nix;
  script = import ./script.nix { inherit errors values; };
  inputDefaults = import ./input_defaults.nix { inherit errors paths values; };
  varying = import ./varying.nix { inherit text values; };
  stage = import ./stage.nix {
    inherit
      calls
      errors
      inputDefaults
      packages
      resources
      scatterGather
      script
      values
      varying
      ;
  };
  scatterGather = import ./scatter_gather.nix { inherit errors ordering; };
  wiring = import ./wiring.nix { inherit errors; };
  pipeline = import ./pipeline.nix {
    inherit
      calls
      errors
      ordering
      stage
      wiring
      ;
  };
  run = import ./run.nix {
    inherit
      calls
      errors
      ordering
      pipeline
      values
      ;
  };
  lab = import ./lab.nix {
    inherit
      calls
      errors
      ordering
      run
      script
      values
      ;
  };

  library = {
    inherit hostPkgs utils;
    inherit (lab) mkLab;
    inherit (calls) callRun callStage mkPipe;
    # RepX creates its helpers from nixpkgs; ours need none.
    mkUtils = _: utils;
  };
in
library
