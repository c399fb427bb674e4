# The inside of a scatter-gather stage: scatter, a graph of steps with one sink, gather.
{ errors, ordering }:
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    tail
    ;

  partNames = [
    "inputs"
    "outputs"
    "pname"
    "resources"
    "run"
    "runDependencies"
  ];

  # RepX's runner looks for the work items in this file, whatever the output says.
  workItems = "$out/work_items.json";

  required = [
    "scatter"
    "steps"
    "gather"
  ];

  checkedDefinition =
    { definition, where }:
    let
      missing = filter (name: !(definition ? ${name})) required;
      check =
        known: part: value:
        if isAttrs value then
          errors.onlyKnown {
            where = "${where}, ${part}";
            inherit known;
            attributes = value;
          } value
        else
          throw "${where}, ${part}: must be an attribute set, but it is ${errors.kind value}";
    in
    if missing != [ ] then
      throw "${where}: a scatter-gather stage needs ${errors.quoted required}, but there is no '${head missing}'"
    else if !isAttrs definition.steps then
      throw "${where}: steps must be an attribute set, but it is ${errors.kind definition.steps}"
    else if definition.steps == { } then
      throw "${where}: steps is empty; a scatter-gather stage needs at least one step"
    else
      {
        scatter = check partNames "scatter" definition.scatter;
        gather = check partNames "gather" definition.gather;
        steps = mapAttrs (name: check (partNames ++ [ "deps" ]) "step '${name}'") definition.steps;
      };

  # A dependency of a step: the step itself or [ step "output" "input" ].
  dependenciesOf =
    {
      where,
      steps,
      name,
    }:
    let
      place = "${where}, step '${name}'";
      nameOf =
        step:
        let
          alike = filter (
            candidate: (step.pname or null) == (steps.${candidate}.pname or null)
          ) (attrNames steps);
          found = if length alike == 1 then alike else filter (candidate: steps.${candidate} == step) alike;
        in
        if !isAttrs step then
          throw "${place}: deps holds ${errors.kind step}; it takes steps and [ step \"output\" \"input\" ]"
        else if found == [ ] then
          throw "${place}: depends on ${
            if step ? pname then "step '${toString step.pname}'" else "a step"
          }, which is not among the stage's steps (${errors.quoted (attrNames steps)})"
        else
          head found;
      read =
        item:
        if !isList item then
          {
            step = nameOf item;
            names = [ ];
          }
        else if elem (length item) [ 2 3 ] && foldl' (ok: text: ok && isString text) true (tail item) then
          {
            step = nameOf (head item);
            names = tail item;
          }
        else
          throw "${place}: a dependency in a list must be [ step \"output\" \"input\" ]";
      deps = steps.${name}.deps or [ ];
    in
    if isList deps then map read deps else throw "${place}: deps must be a list, but it is ${errors.kind deps}";

in
{
  # What does not depend on parameters: which executables there are, their scripts and packages.
  parts =
    { definition, where }:
    let
      checked = checkedDefinition { inherit definition where; };
      part = key: place: value: {
        inherit key;
        where = "${where}, ${place}";
        run = value.run or (throw "${where}, ${place}: there is no 'run'");
        runDependencies = value.runDependencies or [ ];
        resources = value.resources or null;
      };
    in
    [ (part "scatter" "scatter" checked.scatter) ]
    ++ map (name: part "step-${name}" "step '${name}'" checked.steps.${name}) (attrNames checked.steps)
    ++ [ (part "gather" "gather" checked.gather) ];

  # Inputs, outputs and wiring inside the stage, for given parameters.
  shape =
    {
      definition,
      inputsOf,
      outputsOf,
      where,
    }:
    params:
    let
      checked = checkedDefinition { inherit definition where; };
      inherit (checked) steps;
      stepNames = attrNames steps;

      resolved = place: value: {
        inputs = inputsOf "${where}, ${place}" (value.inputs or { }) params;
        outputs = outputsOf "${where}, ${place}" (value.outputs or { }) params;
      };
      scatter = resolved "scatter" checked.scatter;
      gather = resolved "gather" checked.gather;
      stepShapes = mapAttrs (name: resolved "step '${name}'") steps;

      dependencies = mapAttrs (name: _: dependenciesOf { inherit name steps where; }) steps;
      needs = mapAttrs (_: items: ordering.unique (map (item: item.step) items)) dependencies;
      needed = concatLists (map (name: needs.${name}) stepNames);
      roots = filter (name: needs.${name} == [ ]) stepNames;
      sinks = filter (name: !(elem name needed)) stepNames;
      sink = head sinks;
      sinkOutputs = attrNames stepShapes.${sink}.outputs;

      # Inputs of a step that its dependencies provide.
      stepMappings =
        name:
        let
          place = "${where}, step '${name}'";
          inputs = attrNames stepShapes.${name}.inputs;
          provide =
            item:
            let
              outputs = attrNames stepShapes.${item.step}.outputs;
              output = head item.names;
              input = elemAt item.names (length item.names - 1);
              shared = filter (candidate: elem candidate inputs) outputs;
              mapping = source: target: {
                source = "step:${item.step}";
                source_output = source;
                target_input = target;
              };
            in
            if item.names == [ ] then
              (
                if shared == [ ] then
                  throw "${place}: depends on step '${item.step}', but no output of that step (${errors.listed outputs}) has the name of an input here (${errors.listed inputs}); write [ ${item.step} \"output\" \"input\" ]"
                else
                  map (common: mapping common common) shared
              )
            else if !(elem output outputs) then
              throw "${place}: step '${item.step}' has no output '${output}'${errors.suggestion output outputs} (it has ${errors.listed outputs})"
            else if !(elem input inputs) then
              throw "${place}: has no input '${input}'${errors.suggestion input inputs} (it has ${errors.listed inputs})"
            else
              [ (mapping output input) ];
          mappings = concatMap provide dependencies.${name};
          targets = map (mapping: mapping.target_input) mappings;
          twice = filter (target: length (filter (other: other == target) targets) > 1) targets;
        in
        if twice == [ ] then
          mappings
        else
          throw "${place}: input '${head twice}' is provided by more than one step; write [ step \"output\" \"input\" ]";

      stepExecutable =
        name:
        let
          mappings = stepMappings name;
          provided = map (mapping: mapping.target_input) mappings;
          left = filter (input: !(elem input provided)) (attrNames stepShapes.${name}.inputs);
          item = {
            source = "scatter:work_item";
            target_input = "worker__item";
          };
        in
        {
          key = "step-${name}";
          inherit (stepShapes.${name}) inputs outputs;
          mappings = (if elem "worker__item" left then [ item ] else [ ]) ++ mappings;
          externals = filter (input: input != "worker__item") left;
          deps = needs.${name};
        };

      stepExecutables = map stepExecutable stepNames;

      scatterOutputs = attrNames (
        removeAttrs scatter.outputs [
          "work__items"
          "worker__arg"
        ]
      );
      gatherLeft = attrNames (removeAttrs gather.inputs [ "worker__outs" ]);
      fromScatter = filter (input: elem input scatterOutputs) gatherLeft;
      gatherExternals = filter (input: !(elem input scatterOutputs)) gatherLeft;

      only = names: attributes: listToAttrs (map (name: { inherit name; value = attributes.${name}; }) names);

      # What the job needs from outside: the runner reads it from the job's own inputs, whichever executable asks.
      inputs =
        foldl' (all: executable: only executable.externals executable.inputs // all)
          (
            only gatherExternals gather.inputs
            // inputsOf where (definition.inputs or { }) params
            // scatter.inputs
          )
          stepExecutables;
    in
    if !(scatter.outputs ? work__items) then
      throw "${where}, scatter: must have the output 'work__items', such as outputs.work__items = \"${workItems}\""
    else if scatter.outputs.work__items != workItems then
      throw "${where}, scatter: outputs.work__items is '${toString scatter.outputs.work__items}', but the work items are read from '${workItems}'; write that"
    else if !(scatter.outputs ? worker__arg) then
      throw "${where}, scatter: must have the output 'worker__arg', an example of one work item, such as outputs.worker__arg = { index = 0; }"
    else if !(gather.inputs ? worker__outs) then
      throw "${where}, gather: must have the input 'worker__outs', such as inputs.worker__outs = \"[]\""
    else if
      ordering.inOrder {
        inherit where;
        kind = "step";
      } needs stepNames == [ ]
    then
      { }
    else if length sinks != 1 then
      throw "${where}: there must be exactly one step that no other step depends on, since gather reads its output, but there are ${toString (length sinks)}: ${errors.quoted sinks}"
    else if length sinkOutputs != 1 then
      throw "${where}, step '${sink}': gather reads this step, so it must have exactly one output, but it has ${errors.listed sinkOutputs}"
    else if filter (name: stepShapes.${name}.inputs ? worker__item) roots == [ ] then
      throw "${where}: no first step (${errors.quoted roots}) has the input 'worker__item', so the work items would reach nobody"
    else
      {
        inherit inputs;
        inherit (gather) outputs;
        executables = [
          {
            key = "scatter";
            inherit inputs;
            inherit (scatter) outputs;
            mappings = [ ];
            externals = attrNames inputs;
            deps = [ ];
          }
        ]
        ++ stepExecutables
        ++ [
          {
            key = "gather";
            inherit (gather) inputs outputs;
            mappings = [
              {
                source = "runner:worker_outputs";
                source_key = head sinkOutputs;
                target_input = "worker__outs";
              }
            ]
            ++ map (input: {
              job_id = "self";
              source_output = input;
              target_input = input;
            }) fromScatter;
            externals = gatherExternals;
            deps = [ ];
          }
        ];
      };
}
