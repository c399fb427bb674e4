# A pipeline as a run sees it: its stages in the order of their dependencies, wired to each other.
{
  calls,
  errors,
  ordering,
  stage,
  wiring,
}:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    filter
    foldl'
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    match
    tail
    ;

  # How deep stages may be nested that a pipeline does not name.
  depthLimit = 500;

  # Stages that others depend on without being named in the pipeline take the name of their file.
  collect =
    where: named:
    let
      known = map (name: {
        inherit name;
        call = named.${name};
      }) (attrNames named);
      visit =
        depth: nodes: call:
        if calls.matching nodes call != [ ] then
          nodes
        else if depth > depthLimit then
          throw "${where}: stages that depend on each other, without being named in the pipeline, are nested more than ${toString depthLimit} deep; does one depend on itself, through functions that call it anew each time?"
        else
          let
            file = calls.fileName call.source;
            wanted = if file == null then "stage" else file;
            name = calls.freeName (map (node: node.name) nodes) wanted;
          in
          visitAll (depth + 1) (nodes ++ [ { inherit call name; } ]) call;
      visitAll =
        depth: nodes: call:
        foldl' (
          found: item:
          let
            target = if isList item && item != [ ] then head item else item;
          in
          if calls.isKind "stage" target then visit depth found target else found
        ) nodes call.dependencies;
    in
    foldl' (nodes: node: visitAll 0 nodes node.call) known known;

  # A stage's dependencies as names.
  itemsOf =
    {
      consumer,
      nodes,
      call,
    }:
    let
      nameOf =
        target:
        if calls.isKind "stage" target then
          (head (calls.matching nodes target)).name
        else
          throw "${consumer}: depends on ${errors.kind target}; dependencies are stages made by callStage, or [ stage \"output\" \"input\" ]";
      read =
        item:
        if !isList item then
          {
            stage = nameOf item;
            names = [ ];
          }
        else if
          elem (length item) [
            2
            3
          ]
          && all isString (tail item)
        then
          {
            stage = nameOf (head item);
            names = tail item;
          }
        else
          throw "${consumer}: a dependency in a list must be [ stage \"output\" \"input\" ]";
    in
    map read call.dependencies;

  # Inputs that the run itself fills: the stage asks for them, or it comes first in a run that depends on others.
  specialInputs =
    {
      consumer,
      dependencies,
      first,
      inputs,
    }:
    let
      metadataOf = dependency: "metadata__${dependency.run}";
      known = map metadataOf dependencies;
      foreign = filter (input: match "metadata__.*" input != null && !(elem input known)) inputs;
      given = filter (
        dependency: elem (metadataOf dependency) inputs || (first && dependency.type == "hard")
      ) dependencies;
    in
    if foreign != [ ] then
      throw "${consumer}: input '${head foreign}' names no run that this run depends on (it depends on ${
        errors.listed (map (dependency: dependency.run) dependencies)
      })"
    else
      {
        runs = given;
        store_base = given != [ ] || elem "store__base" inputs;
      };
in
{
  evaluate =
    {
      pkgs,
      offered,
      name,
      source,
      axes,
      runName,
      dependencies,
      hashMode,
    }:
    let
      where = "run '${runName}', pipeline '${name}'";
      loaded = calls.load { inherit offered pkgs where; } source;
      named = if calls.isKind "pipeline" loaded then loaded.stages else loaded;
      stray = filter (attribute: !(calls.isKind "stage" named.${attribute})) (attrNames named);

      nodes =
        if !isAttrs named || named == { } then
          throw "${where}: a pipeline needs at least one stage"
        else if stray != [ ] then
          throw "${where}: '${head stray}' is no stage made by callStage, but ${errors.kind named.${head stray}}"
        else
          collect where named;

      stages = listToAttrs (
        map (node: {
          inherit (node) name;
          value = stage.evaluate {
            inherit
              axes
              hashMode
              offered
              pkgs
              runName
              ;
            inherit (node) call name;
          };
        }) nodes
      );
      shapes = builtins.mapAttrs (_: evaluated: evaluated.shape) stages;

      items = listToAttrs (
        map (node: {
          inherit (node) name;
          value = itemsOf {
            inherit nodes;
            inherit (node) call;
            consumer = stages.${node.name}.where;
          };
        }) nodes
      );
      needs = builtins.mapAttrs (_: found: ordering.unique (map (item: item.stage) found)) items;

      describe =
        stageName:
        let
          evaluated = stages.${stageName};
          consumer = evaluated.where;
          cases = wiring.cases {
            inherit consumer shapes;
            inherit (evaluated) shape;
            items = items.${stageName};
          };
          special =
            inputs:
            specialInputs {
              inherit consumer dependencies inputs;
              first = items.${stageName} == [ ];
            };
          described = map (
            current: current // { special = special current.inputs; }
          ) cases;
          finished = evaluated.finish (wiring.alwaysProvided cases);

          # With one case for all jobs, an input that nothing fills is found here rather than by the builder program.
          only = head described;
          defaults = finished.blueprint.shape.shared.defaults;
          provided = map (mapping: mapping.target) only.mappings;
          unfilled = filter (
            input: defaults ? ${input} && !(elem input provided) && defaults.${input} ? error
          ) only.inputs;
          input = head unfilled;
        in
        if length described == 1 && evaluated.shape ? shared && unfilled != [ ] then
          throw "${consumer}: no dependency provides input '${input}', and ${defaults.${input}.error}"
        else
          finished
          // {
            blueprint = finished.blueprint // {
              needs = needs.${stageName};
              items = map (item: item.stage) items.${stageName};
              cases = described;
            };
          };

      order = ordering.inOrder {
        inherit where;
        kind = "stage";
      } needs (map (node: node.name) nodes);
      finished = listToAttrs (
        map (stageName: {
          name = stageName;
          value = describe stageName;
        }) order
      );
    in
    {
      declared = concatMap (stageName: attrNames stages.${stageName}.defaults) order;
      packages = concatMap (stageName: finished.${stageName}.packages) order;
      mentions = map (stageName: finished.${stageName}.mentions) order;
      scripts = builtins.mapAttrs (_: one: one.scripts) finished;
      blueprint = {
        inherit name;
        stages = map (stageName: finished.${stageName}.blueprint) order;
      };
    };
}
