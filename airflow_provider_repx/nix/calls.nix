# Calls that are written in a lab but answered later, once `mkLab` has brought `pkgs`: stages, pipelines and runs.
{ errors, paths }:
let
  inherit (builtins)
    all
    attrNames
    elemAt
    filter
    functionArgs
    genList
    head
    intersectAttrs
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    listToAttrs
    match
    pathExists
    tail
    toXML
    typeOf
    ;

  isKind = kind: value: isAttrs value && value._repxType or "" == kind;

  # Cheap to compare, and equal for equal calls: keeps `==` from wandering through unrelated sources.
  fingerprint = source: if isPath source then toString source else typeOf source;

  call = kind: source: dependencies: {
    _repxType = kind;
    inherit source dependencies;
    fingerprint = fingerprint source;
    # Two functions are never equal, but `==` of attribute sets takes values at the same place in memory as equal: so
    # this equals itself, and the one of no other call.
    identity.token = _: null;
  };

  isSame = a: b: a.identity == b.identity;

  # How deep calls are compared. Only calls that a lab makes anew on each use are that deep.
  depthLimit = 100;

  targetOf = item: if isList item && item != [ ] then head item else item;

  namesOf = item: if isList item && item != [ ] then tail item else null;

  nameOfCall = kind: if kind == "run" then "callRun" else "callStage";

  isCall = value: isAttrs value && value ? identity && value ? fingerprint;

  # Whether two calls were written alike: the same source, and dependencies that are the same or written alike.
  isAlike =
    depth: a: b:
    isSame a b
    || (
      a.fingerprint == b.fingerprint
      && removeAttrs a notCompared == removeAttrs b notCompared
      && isList a.dependencies
      && isList b.dependencies
      && length a.dependencies == length b.dependencies
      && (
        if depth >= depthLimit then
          throw "${nameOfCall a._repxType}: calls of ${
            if isPath a.source then toString a.source else errors.kind a.source
          } are nested more than ${toString depthLimit} deep; does this ${a._repxType} depend on itself, through functions that call it anew each time?"
        else
          all (
            index: isAlikeItem (depth + 1) (elemAt a.dependencies index) (elemAt b.dependencies index)
          ) (genList (index: index) (length a.dependencies))
      )
    );

  notCompared = [
    "dependencies"
    "identity"
  ];

  isAlikeItem =
    depth: a: b:
    namesOf a == namesOf b
    && (
      if isCall (targetOf a) && isCall (targetOf b) then
        isAlike depth (targetOf a) (targetOf b)
      else
        targetOf a == targetOf b
    );

  # Those of `calls` that are the very one meant, or else those written alike.
  matching =
    calls: one:
    let
      identical = filter (candidate: isSame candidate.call one) calls;
    in
    if identical != [ ] then identical else filter (candidate: isAlike 0 candidate.call one) calls;

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
      isFile = isPath source || (isString source && match "/.*" source != null);
      # A folder stands for the `default.nix` in it.
      isEmptyFolder =
        match ".*\\.nix" (baseNameOf source) == null
        && !pathExists (source + "/default.nix")
        && paths.isFolder source;
      loaded =
        if !isFile then
          source
        else if !pathExists source then
          throw "${where}: ${paths.missing source}"
        else if isEmptyFolder then
          throw "${where}: ${paths.missing (source + "/default.nix")}"
        else
          import source;
      result = if isFunction loaded then loaded (argumentsFor context loaded) else loaded;
    in
    if !isAttrs result then
      throw "${where}: expected an attribute set, or a file or function that returns one, but got ${errors.kind result}"
    else
      result;
  # A name that is not among `taken`: the one wanted, or that with "-2", "-3", ... behind it.
  freeName =
    taken: wanted:
    let
      isTaken = listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) taken
      );
      numbered =
        number:
        let
          name = "${wanted}-${toString number}";
        in
        if isTaken ? ${name} then numbered (number + 1) else name;
    in
    if isTaken ? ${wanted} then numbered 2 else wanted;
in
{
  inherit
    isKind
    load
    matching
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

  inherit freeName;

  # The names as given, each later duplicate with "-2", "-3", ... behind it.
  uniqueNames = builtins.foldl' (names: name: names ++ [ (freeName names name) ]) [ ];

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
