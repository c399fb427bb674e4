# The packages that a stage names in `runDependencies`.
{
  errors,
  paths,
  values,
}:
let
  inherit (builtins)
    all
    filter
    head
    isAttrs
    isList
    isPath
    isString
    map
    match
    pathExists
    ;

  # A name such as "python3" would become a relative folder on the path, and the program would be missing at run time.
  isPackage =
    package:
    isPath package
    || values.isDerivation package
    || (isAttrs package && (package ? bin || package ? out))
    || (isString package && match "/.*" package != null);

  present =
    place: package:
    if isPath package && !pathExists package then
      throw "${place}: runDependencies: ${paths.missing package}"
    else
      package;
in
{
  # The folder of a package's programs.
  folder = package: "${values.programsOf package}/bin";

  # Passes packages on; `place` names the stage or the part of one.
  checked =
    place: packages:
    let
      strange = head (filter (package: !isPackage package) packages);
    in
    if !isList packages then
      throw "${place}: runDependencies must be a list of packages, but it is ${errors.kind packages}"
    else if all isPackage packages then
      map (present place) packages
    else
      throw "${place}: runDependencies holds ${errors.kind strange}${
        if isString strange then " '${strange}'" else ""
      }, which is no package; write one such as pkgs.python3";
}
