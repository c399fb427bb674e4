# A container image with the packages of some stages, built by the given packages' own dockerTools.
{
  name,
  pkgs,
  script,
  packages,
  parameters,
}:
let
  inherit (builtins)
    attrValues
    filter
    listToAttrs
    map
    toJSON
    unsafeDiscardStringContext
    ;

  core = map (package: pkgs.${package}) (filter (package: pkgs ? ${package}) script.coreNames);

  # Each package once, by its path.
  distinct = attrValues (
    listToAttrs (
      map (package: {
        name = unsafeDiscardStringContext "${package}";
        value = package;
      }) (core ++ packages)
    )
  );

  # Paths that parameters mention are in the image without being laid over its root folder.
  mentioned = derivation {
    name = "repx-parameters";
    system = script.systemOf pkgs;
    builder = "${pkgs.bash}/bin/bash";
    args = [
      "-c"
      ''"$coreutils/bin/mkdir" -p "$out/share/repx" && printf '%s\n' "$parameters" > "$out/share/repx/parameters.json"''
    ];
    inherit (pkgs) coreutils;
    parameters = toJSON parameters;
  };
in
pkgs.dockerTools.buildLayeredImage {
  inherit name;
  tag = "latest";
  compressor = "none";
  contents = distinct ++ [ mentioned ];
  config.Cmd = [ "${pkgs.bash}/bin/bash" ];
}
