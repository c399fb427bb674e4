# One run: its sweep, and its pipelines under that sweep.
{
  calls,
  errors,
  ordering,
  pipeline,
  values,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    ;

  known = [
    "hashMode"
    "name"
    "parameters"
    "parametersDependencies"
    "params"
    "paramsDependencies"
    "pipelines"
  ];

  isZip = value: calls.isKind "zip" value;

  listOf =
    {
      where,
      pkgs,
      name,
      value,
    }:
    let
      list =
        if isList value then
          value
        else if calls.isKind "values" value then
          (if value ? valuesWith then value.valuesWith pkgs else value.values)
        else
          throw "${where}: params.${name} must be a list of values, but it is ${errors.kind value}; write [ ... ]";
    in
    if list == [ ] then
      throw "${where}: params.${name} is an empty list, so the run would have no jobs"
    else
      list;

  # Each axis: the parameters that vary along it and its points. Plain axes by name, then zips by name.
  axesOf =
    {
      where,
      pkgs,
      params,
    }:
    let
      plainNames = filter (name: !(isZip params.${name})) (attrNames params);
      zipNames = filter (name: isZip params.${name}) (attrNames params);
      plainAxis = name: {
        names = [ name ];
        points = map (value: { ${name} = value; }) (listOf {
          inherit name pkgs where;
          value = params.${name};
        });
      };
      zipAxis =
        zip:
        let
          lists = mapAttrs (
            name: value: listOf { inherit name pkgs value where; }
          ) params.${zip}.lists;
          names = attrNames lists;
        in
        {
          inherit names;
          points = genList (index: mapAttrs (_: list: elemAt list index) lists) (length lists.${head names});
        };
      doubled = concatMap (
        zip:
        map (name: { inherit name zip; }) (
          filter (
            name:
            elem name plainNames
            || builtins.any (other: other != zip && params.${other}.lists ? ${name}) zipNames
          ) (attrNames params.${zip}.lists)
        )
      ) zipNames;
      first = head doubled;
    in
    if doubled != [ ] then
      throw "${where}: parameter '${first.name}' is in zip '${first.zip}' and ${
        if elem first.name plainNames then "outside of it as well" else "in another zip as well"
      }; it can vary along one axis only"
    else
      map plainAxis plainNames ++ map zipAxis zipNames;
in
{
  evaluate =
    {
      pkgs,
      repx-lib,
      attribute,
      call,
      dependencies,
      hashMode,
    }:
    let
      offered = {
        inherit pkgs repx-lib;
        # Pipelines know the library by this name.
        repx = repx-lib;
      };
      place = "run '${attribute}'${
        if builtins.isPath call.source then " (${toString call.source})" else ""
      }";
      loaded = calls.load {
        inherit offered pkgs;
        where = place;
      } call.source;
      definition = errors.onlyKnown {
        where = place;
        inherit known;
        attributes = removeAttrs loaded [
          "override"
          "overrideDerivation"
        ];
      } loaded;
      name = definition.name or attribute;
      where = "run '${name}'";

      params =
        if definition ? params && definition ? parameters then
          throw "${where}: has both 'params' and 'parameters'; they mean the same, keep one"
        else
          definition.params or definition.parameters or { };

      axes = axesOf { inherit params pkgs where; };

      sources =
        if !(definition ? pipelines) then
          throw "${where}: there is no 'pipelines'"
        else if !isList definition.pipelines then
          throw "${where}: pipelines must be a list, but it is ${errors.kind definition.pipelines}"
        else if definition.pipelines == [ ] then
          throw "${where}: pipelines is empty, so the run would have no jobs"
        else
          definition.pipelines;

      pipelineNames = calls.uniqueNames (
        map (
          source:
          let
            file = calls.fileName source;
          in
          if file == null then "pipeline" else file
        ) sources
      );

      pipelines = genList (
        index:
        pipeline.evaluate {
          inherit
            axes
            dependencies
            offered
            pkgs
            ;
          hashMode = definition.hashMode or hashMode;
          name = elemAt pipelineNames index;
          source = elemAt sources index;
          runName = name;
        }
      ) (length sources);

      declared = concatMap (one: one.declared) pipelines;
      undeclared = filter (axis: !(elem axis declared)) (concatMap (axis: axis.names) axes);

      encodedAxis = axis: {
        inherit (axis) names;
        points = map (
          point: map (axisName: values.encode "${where}: params.${axisName}" point.${axisName}) axis.names
        ) axis.points;
      };

      kept = definition.parametersDependencies or definition.paramsDependencies or [ ];

      blueprint =
        if undeclared != [ ] then
          throw "${where}: params.${head undeclared} is declared by no stage of its pipelines${errors.suggestion (head undeclared) declared} (declared: ${
            errors.listed (ordering.unique (builtins.sort builtins.lessThan declared))
          })"
        else
          {
            inherit dependencies name;
            axes = map encodedAxis axes;
            pipelines = map (one: one.blueprint) pipelines;
            # Kept with the lab: values may refer to them without Nix's knowing.
            paths =
              if isList kept then
                map (dependency: "${dependency}") kept
              else
                throw "${where}: parametersDependencies must be a list of derivations, but it is ${errors.kind kept}";
          };
    in
    if !isString name || match "[A-Za-z0-9_][A-Za-z0-9+._-]*" name == null then
      throw "${place}: name must be a text of letters, digits and + . _ -, but it is ${
        if isString name then "'${name}'" else errors.kind name
      }"
    else if name == "top" then
      throw "${place}: a run cannot be named 'top', since its metadata would overwrite the lab's own metadata-top.json"
    else if !isAttrs params then
      throw "${where}: params must be an attribute set, but it is ${errors.kind params}"
    else
      {
        inherit name;
        packages = concatMap (one: one.packages) pipelines;
        # What a container of this run needs besides packages.
        mentions = [
          blueprint.axes
          blueprint.paths
          (map (one: one.mentions) pipelines)
        ];
        stages = listToAttrs (
          genList (index: {
            name = elemAt pipelineNames index;
            value = (elemAt pipelines index).scripts;
          }) (length pipelines)
        );
        inherit blueprint;
      };
}
