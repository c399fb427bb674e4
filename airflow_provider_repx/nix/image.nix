# A container image with the packages of some stages, built by the given packages' own dockerTools.
{
  name,
  pkgs,
  script,
  packages,
  paths,
}:
let
  inherit (builtins)
    attrValues
    concatStringsSep
    filter
    listToAttrs
    map
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
    name = "repx-mentioned-paths";
    system = script.systemOf pkgs;
    builder = "${pkgs.bash}/bin/bash";
    args = [
      "-c"
      ''"$coreutils/bin/mkdir" -p "$out/share/repx" && printf '%s\n' "$paths" > "$out/share/repx/mentioned-paths"''
    ];
    inherit (pkgs) coreutils;
    paths = concatStringsSep "\n" paths;
  };
in
pkgs.dockerTools.buildLayeredImage {
  inherit name;
  tag = "latest";
  compressor = "none";
  contents = distinct ++ [ mentioned ];
  config.Cmd = [ "${pkgs.bash}/bin/bash" ];
}
