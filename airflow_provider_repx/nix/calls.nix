# Calls that are written in a lab but answered later, once `mkLab` has brought `pkgs`: stages, pipelines and runs.
{ errors }:
let
  inherit (builtins)
    attrNames
    filter
    functionArgs
    head
    intersectAttrs
    isAttrs
    isFunction
    isList
    isPath
    isString
    listToAttrs
    match
    toXML
    typeOf
    ;

  isKind = kind: value: isAttrs value && value._repxType or "" == kind;

  # Cheap to compare, and equal for equal calls: keeps `==` from wandering through unrelated dependencies.
  fingerprint = source: if isPath source then toString source else typeOf source;

  call = kind: source: dependencies: {
    _repxType = kind;
    inherit source dependencies;
    fingerprint = fingerprint source;
  };

  withoutDependencies = call: removeAttrs call [ "dependencies" ];

  # Functions have no identity in Nix, but `==` of attribute sets takes values at the same place as equal. Dependencies
  # come last: calls that depend on each other in a circle are told apart before `==` would follow the circle.
  same =
    a: b: a.fingerprint == b.fingerprint && withoutDependencies a == withoutDependencies b && a == b;

  acceptsMore = function: match ".*ellipsis=\"1\".*" (toXML function) != null;

  # The arguments that a function asks for: what the library offers, then packages, like nixpkgs' callPackage.
  argumentsFor =
    {
      where,
      offered,
      pkgs,
    }:
    function:
    let
      formals = functionArgs function;
      named = attrNames formals;
      missing = filter (name: !(offered ? ${name}) && !(pkgs ? ${name}) && !formals.${name}) named;
      fromPackages = intersectAttrs formals pkgs;
      chosen = if named == [ ] || acceptsMore function then offered else intersectAttrs formals offered;
    in
    if missing != [ ] then
      throw "${where}: asks for '${head missing}', which is neither an argument (${errors.quoted (attrNames offered)}) nor a package"
    else
      fromPackages // chosen;

  # Loads a path, function or attribute set into an attribute set.
  load =
    {
      where,
      offered,
      pkgs,
    }@context:
    source:
    let
      loaded =
        if isPath source || (isString source && match "/.*" source != null) then import source else source;
      result = if isFunction loaded then loaded (argumentsFor context loaded) else loaded;
    in
    if !isAttrs result then
      throw "${where}: expected an attribute set, or a file or function that returns one, but got ${errors.kind result}"
    else
      result;
in
{
  inherit
    isKind
    load
    same
    ;

  # Calls a function given inside a stage (`run`, `outputs`, ...) with those of `offered` that it takes.
  apply =
    function: offered:
    let
      formals = functionArgs function;
    in
    function (if formals == { } || acceptsMore function then offered else intersectAttrs formals offered);

  fileName =
    source:
    if isPath source then
      let
        parts = match "(.*)\\.nix" (baseNameOf source);
      in
      if parts == null then baseNameOf source else head parts
    else
      null;

  # The names as given, each later duplicate with "-2", "-3", ... behind it.
  uniqueNames =
    names:
    (builtins.foldl'
      (
        state: name:
        let
          seen = state.seen.${name} or 0;
        in
        {
          seen = state.seen // listToAttrs [
            {
              inherit name;
              value = seen + 1;
            }
          ];
          names = state.names ++ [ (if seen == 0 then name else "${name}-${toString (seen + 1)}") ];
        }
      )
      {
        seen = { };
        names = [ ];
      }
      names
    ).names;

  callStage =
    source: dependencies:
    if !isList dependencies then
      throw "callStage: the second argument is a list of stages that this stage depends on, but it is ${errors.kind dependencies}"
    else
      call "stage" source dependencies;

  callRun =
    source: dependencies:
    if !isList dependencies then
      throw "callRun: the second argument is a list of runs that this run depends on, but it is ${errors.kind dependencies}"
    else
      call "run" source dependencies;

  mkPipe = stages: {
    _repxType = "pipeline";
    inherit stages;
  };
}
