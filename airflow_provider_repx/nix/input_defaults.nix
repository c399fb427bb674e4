# What an input of a stage holds when no other stage provides it.
{
  errors,
  paths,
  values,
}:
let
  inherit (builtins)
    attrNames
    filter
    isPath
    isString
    listToAttrs
    mapAttrs
    match
    pathExists
    ;

  # A path in the store, or why there is none. `file` is the stage's own, or null.
  defaultOf =
    file: value:
    let
      relative = if file == null then null else dirOf file + "/${value}";
    in
    if isPath value && !pathExists value then
      { error = "its default is missing: ${paths.missing value}"; }
    else if isPath value || values.isDerivation value then
      { path = "${value}"; }
    else if !isString value then
      { error = "its default is ${errors.kind value}, not a path"; }
    else if value == "" then
      { error = "it has no default"; }
    else if match "/.*" value != null then
      { path = value; }
    else if file != null && pathExists relative then
      {
        path = "${builtins.path {
          path = relative;
          name = values.storeName (baseNameOf value);
        }}";
      }
    else
      {
        error = "its default '${value}' is no file${
          if file == null then "; the stage is no file that a relative path could start from" else " in ${toString (dirOf file)}"
        }";
      };

  isSpecial = input: input == "store__base" || match "metadata__.*" input != null;

  usable =
    found:
    listToAttrs (
      map (input: {
        name = input;
        value = found.${input}.path;
      }) (filter (input: found.${input} ? path) (attrNames found))
    );
in
{
  inherit usable;

  # `inputs` with their defaults, without those that the run fills.
  of = file: inputs: mapAttrs (_: defaultOf file) (removeAttrs inputs (filter isSpecial (attrNames inputs)));
}
