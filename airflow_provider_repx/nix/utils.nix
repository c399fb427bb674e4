# `repx-lib.utils`: lists of parameter values.
{
  errors,
  hostPkgs,
  paths,
  text,
  values,
}:
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatStringsSep
    elem
    filter
    hasContext
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    match
    pathExists
    readDir
    replaceStrings
    toJSON
    ;

  inherit (values) storeName;

  sweep = list: {
    _repxType = "values";
    values = list;
  };

  number = value: if isInt value || isFloat value then text.number value else null;

  # The exact text of a value, where `toString` would keep only six decimals of a float.
  str =
    value:
    if number value != null then
      number value
    else if isBool value then
      (if value then "true" else "false")
    else
      toString value;

  quote =
    word:
    if match "[A-Za-z0-9_./:,@%+=-]+" word != null then
      word
    else
      "'${replaceStrings [ "'" ] [ "'\\''" ] word}'";

  typeNames = [
    "any"
    "directory"
    "file"
  ];

  ofType =
    type: entryType:
    type == "any"
    || (type == "file" && entryType == "regular")
    || (type == "directory" && entryType == "directory");

  # Names in a folder. Reading a derivation builds it first; a path is read as it is.
  entries =
    {
      where,
      src,
      type,
      match ? null,
    }:
    let
      found = readDir src;
      wanted =
        name: ofType type found.${name} && (match == null || builtins.match match name != null);
    in
    if isPath src && !pathExists src then
      throw "${where}: there is no folder '${toString src}'"
    else if isPath src && paths.isFile src then
      throw "${where}: '${toString src}' is a file; give the folder that holds the entries"
    else
      filter wanted (attrNames found);

  isLocal = src: isPath src;

  checkSource =
    where: src:
    if isPath src || isAttrs src || (isString src && hasContext src) then
      src
    else
      throw "${where}: the source must be a path or a derivation, but it is ${errors.kind src}";

  # One local folder entry as a store path of its own, so that a change to one leaves the others alone.
  ownPath =
    src: name:
    "${builtins.path {
      path = src + "/${name}";
      name = storeName name;
    }}";

  # A folder in a derivation of its own: its path ends in the folder's name, whatever characters that has.
  wrapped =
    pkgs: src: name:
    let
      content = builtins.path {
        path = src + "/${name}";
        name = storeName name;
      };
      wrapper = derivation {
        name = "submission-wrapper";
        system = pkgs.stdenv.hostPlatform.system or pkgs.system;
        builder = "${pkgs.bash}/bin/bash";
        args = [
          "-c"
          # Ends in bash itself: Nix takes a builder whose last program closes its output early for a killed one.
          ''set -e; "$coreutils/bin/mkdir" "$out"; "$coreutils/bin/cp" -R "$content" "$out/$folder"; exit 0''
        ];
        inherit (pkgs) coreutils;
        inherit content;
        folder = name;
        preferLocalBuild = true;
        allowSubstitutes = false;
      };
    in
    "${wrapper}/${name}";

  scanAs =
    function:
    {
      src ? throw "utils.${function}: there is no 'src', the folder to look into",
      type ? "any",
      match ? null,
    }:
    let
      where = "utils.${function}";
      source = checkSource where src;
      names = entries {
        inherit where type match;
        src = source;
      };
      pathOf = if isLocal source then ownPath source else name: "${source}/${name}";
    in
    if !(elem type typeNames) then
      throw "${where}: type is ${errors.notAmong typeNames type}"
    else if match != null && !isString match then
      throw "${where}: match must be a regular expression as a text, but it is ${errors.kind match}"
    else
      sweep (map pathOf names);
in
{
  inherit str;

  range =
    start: end:
    if isInt start && isInt end then
      text.range start end
    else
      throw "utils.range: both ends must be whole numbers, but they are ${toJSON start} and ${toJSON end}";

  list = value: if isList value then sweep value else throw "utils.list: expected a list, but got ${errors.kind value}";

  scan =
    arguments:
    if !isAttrs arguments then
      throw "utils.scan: expected { src; type; match; }, but got ${errors.kind arguments}"
    else
      errors.onlyKnown {
        where = "utils.scan";
        known = [
          "match"
          "src"
          "type"
        ];
        attributes = arguments;
      } (scanAs "scan" arguments);

  files =
    src:
    scanAs "files" {
      inherit src;
      type = "file";
    };

  dirs =
    src:
    let
      source = checkSource "utils.dirs" src;
    in
    if isLocal source then
      let
        names = entries {
          where = "utils.dirs";
          src = source;
          type = "directory";
        };
        # The run that sweeps over the folders asks again, with the packages of its lab.
        valuesWith = pkgs: map (wrapped pkgs source) names;
      in
      sweep (valuesWith hostPkgs) // { inherit valuesWith; }
    else
      scanAs "dirs" {
        inherit src;
        type = "directory";
      };

  zip =
    lists:
    let
      itemsOf =
        name: value:
        if isList value then
          length value
        else if isAttrs value && value._repxType or "" == "values" then
          length value.values
        else
          throw "utils.zip: '${name}' must be a list, but it is ${errors.kind value}";
      lengths = builtins.mapAttrs itemsOf lists;
      counts = map (name: "'${name}' has ${toString lengths.${name}} items") (attrNames lengths);
    in
    if !isAttrs lists then
      throw "utils.zip: expected an attribute set of lists, but got ${errors.kind lists}"
    else if lists == { } then
      throw "utils.zip: there is no parameter in it"
    else if !(all (count: count == builtins.head (attrValues lengths)) (attrValues lengths)) then
      throw "utils.zip: all parameter lists must have the same length, but ${concatStringsSep ", " counts}"
    else
      {
        _repxType = "zip";
        inherit lists;
      };

  # One shell line that exports variables: a parameter value for stages that evaluate it.
  env =
    variables:
    if !isAttrs variables then
      throw "utils.env: expected an attribute set of variables, but got ${errors.kind variables}"
    else if variables == { } then
      ""
    else
      "export ${concatStringsSep " " (map (name: "${name}=${quote (str variables.${name})}") (attrNames variables))}";
}
