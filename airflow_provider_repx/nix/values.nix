# Parameter values, as the blueprint holds them: floats exact, paths and derivations as store paths.
{
  errors,
  paths,
  text,
}:
let
  inherit (builtins)
    concatStringsSep
    genericClosure
    isAttrs
    isBool
    isFloat
    isInt
    isPath
    isString
    mapAttrs
    match
    pathExists
    split
    toJSON
    ;

  isDerivation = value: isAttrs value && (value.type or "" == "derivation" || value ? outPath);

  encode =
    where: value:
    if value == null || isBool value || isInt value || isString value then
      value
    else if isFloat value then
      { float = text.number value; }
    else if isPath value && !pathExists value then
      throw "${where}: ${paths.missing value}"
    else if isPath value || isDerivation value then
      "${value}"
    else
      throw "${where}: ${errors.kind value} is no parameter value; a parameter is a text, number, boolean, null, path or derivation";
  # Store path names know fewer characters than file names.
  storeName =
    name:
    let
      safe = concatStringsSep "" (
        map (part: if isString part then part else "-") (split "[^A-Za-z0-9+._?=-]" name)
      );
    in
    if match "\\..*" safe != null then "_${safe}" else safe;
in
{
  inherit encode isDerivation storeName;

  # The output of a package that has its programs, unless a lab names another one.
  programsOf =
    package: if package.outputSpecified or false then package else package.bin or package.out or package;

  # What a stage's own functions see: store paths instead of paths, everything else as it is.
  plain = value: if isPath value || isDerivation value then "${value}" else value;

  # The distinct ones of a list of attribute sets of parameters, in order of first appearance.
  distinct =
    points:
    map (entry: entry.point) (genericClosure {
      startSet = map (point: {
        key = builtins.unsafeDiscardStringContext (toJSON (mapAttrs (name: encode "parameter '${name}'") point));
        inherit point;
      }) points;
      operator = _: [ ];
    });
}
