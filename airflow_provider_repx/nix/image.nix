# A container image with the packages of some stages and all else that their jobs read, built by the given packages'
# own dockerTools.
{
  name,
  pkgs,
  script,
  values,
  packages,
  # Attribute sets whose texts mention store paths: values of parameters, scripts, defaults of inputs.
  mentions,
}:
let
  inherit (builtins)
    appendContext
    attrNames
    attrValues
    concatMap
    filter
    getContext
    hasContext
    isAttrs
    isList
    isString
    listToAttrs
    map
    split
    storeDir
    unsafeDiscardStringContext
    ;

  core = map (package: pkgs.${package}) (filter (package: pkgs ? ${package}) script.coreNames);

  # The programs of each package once, by their path. dockerTools takes what it is given as it is, while a package with
  # several outputs may have its programs in another one than the first.
  distinct = attrValues (
    listToAttrs (
      map (package: {
        name = unsafeDiscardStringContext "${values.programsOf package}";
        value = values.programsOf package;
      }) (core ++ packages)
    )
  );

  texts =
    value:
    if isString value then
      filter hasContext [ value ]
    else if isList value then
      concatMap texts value
    else if isAttrs value then
      concatMap texts (attrValues value)
    else
      [ ];

  # The store paths in a text, each with all that the text depends on: which of it makes which path, Nix does not tell.
  pathsIn =
    text:
    let
      context = getContext text;
      parts = split "(${storeDir}/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+)" (unsafeDiscardStringContext text);
    in
    map (part: {
      name = builtins.head part;
      value = appendContext (builtins.head part) context;
    }) (filter isList parts);

  # Sorted, and only the paths: an image stays the same while a script mentions the same paths as before.
  mentionedPaths = listToAttrs (concatMap pathsIn (texts mentions));

  # Paths that are in the image without being laid over its root folder.
  mentioned = derivation {
    name = "repx-mentioned";
    system = script.systemOf pkgs;
    builder = "${pkgs.bash}/bin/bash";
    args = [
      "-c"
      ''set -e; "$coreutils/bin/mkdir" -p "$out/share/repx"; "$coreutils/bin/cp" "$pathsPath" "$out/share/repx/mentioned-paths"; exit 0''
    ];
    coreutils = values.programsOf pkgs.coreutils;
    # There may be more than an environment variable holds.
    passAsFile = [ "paths" ];
    paths = map (path: mentionedPaths.${path}) (attrNames mentionedPaths);
  };

  build = pkgs.dockerTools.buildLayeredImage;

  # Older nixpkgs refuse the argument: they always compress.
  takesCompressor = (build.__functionArgs or (builtins.functionArgs build)) ? compressor;
in
build (
  {
    inherit name;
    tag = "latest";
    contents = distinct ++ [ mentioned ];
    config.Cmd = [ "${values.programsOf pkgs.bash}/bin/bash" ];
  }
  // (if takesCompressor then { compressor = "none"; } else { })
)
