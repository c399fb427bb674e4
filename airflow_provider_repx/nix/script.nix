# The derivations: one per stage that composes and checks its scripts, and one that assembles the lab directory.
{ errors, values }:
let
  inherit (builtins)
    filter
    head
    match
    substring
    toFile
    toJSON
    unsafeDiscardStringContext
    ;

  # The builder program as a folder to import from.
  program = builtins.path {
    name = "repx-assemble";
    path = ./.;
    filter =
      path: type:
      if type == "directory" then
        baseNameOf path == "assemble"
      else
        baseNameOf (dirOf path) == "assemble" && match ".*\\.(py|sh)" path != null;
  };

  start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from assemble.program import main; main()";

  coreNames = [
    "bash"
    "coreutils"
    "findutils"
    "gnugrep"
    "gnused"
    "gawk"
    "jq"
  ];

  requiredNames = [
    "bash"
    "coreutils"
    "findutils"
    "gnugrep"
    "gnused"
    "gawk"
    "python3"
  ];

  binOf = package: "${values.programsOf package}/bin";

  systemOf = pkgs: pkgs.stdenv.hostPlatform.system or pkgs.system;

  # Large data goes through a file without string contexts; an environment variable that holds only the contexts makes
  # the derivation depend on every path that the data mentions.
  assemble =
    {
      pkgs,
      name,
      task,
      data,
      extra ? { },
    }:
    let
      json = toJSON data;
    in
    derivation (
      {
        inherit name task;
        system = systemOf pkgs;
        builder = "${pkgs.python3}/bin/python3";
        args = [
          "-I"
          "-B"
          "-c"
          start
          "${program}"
        ];
        blueprint = toFile "blueprint.json" (unsafeDiscardStringContext json);
        contexts = substring 0 0 json;
        preferLocalBuild = true;
        allowSubstitutes = false;
      }
      // extra
    );
in
{
  inherit
    assemble
    binOf
    coreNames
    systemOf
    ;

  # The first package that the library needs and `pkgs` lacks stops the evaluation.
  checkPackages =
    pkgs: value:
    let
      missing = filter (name: !(pkgs ? ${name})) requiredNames;
    in
    if missing == [ ] then
      value
    else
      throw "mkLab: pkgs has no package '${head missing}' (the library needs ${errors.quoted requiredNames})";

  # How every script starts, whichever stage it is of.
  launchWith = pkgs: {
    shebang = pkgs.bash.repxShebang or "${pkgs.bash}/bin/bash";
    path = map (package: binOf pkgs.${package}) (filter (package: pkgs ? ${package}) coreNames);
  };

  scriptsOf =
    {
      pkgs,
      name,
      label,
      noChroot,
      executables,
    }:
    assemble {
      inherit name pkgs;
      task = "scripts";
      data = {
        inherit executables label;
        bash = "${pkgs.bash}/bin/bash";
        shellcheck = if pkgs ? shellcheck then "${binOf pkgs.shellcheck}/shellcheck" else null;
      };
      extra = if noChroot then { __noChroot = true; } else { };
    };
}
