# Parameter values, as the blueprint holds them: floats exact, paths and derivations as store paths.
{ errors, text }:
let
  inherit (builtins)
    genericClosure
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    mapAttrs
    toJSON
    typeOf
    ;

  isDerivation = value: isAttrs value && (value.type or "" == "derivation" || value ? outPath);

  encode =
    where: value:
    if value == null || isBool value || isInt value || isString value then
      value
    else if isFloat value then
      { float = text.number value; }
    else if isPath value || isDerivation value then
      "${value}"
    else
      throw "${where}: ${
        if isList value then "a list" else if isFunction value then "a function" else "a ${typeOf value}"
      } is no parameter value; a parameter is a string, number, boolean, null, path or derivation";
in
{
  inherit encode isDerivation;

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
