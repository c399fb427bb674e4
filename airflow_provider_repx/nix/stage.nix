# One stage as a run sees it: its attributes for every distinct assignment of the parameters that it declares.
{
  calls,
  errors,
  resources,
  script,
  scatterGather,
  text,
  values,
}:
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatMap
    elemAt
    filter
    foldl'
    genList
    intersectAttrs
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    pathExists
    replaceStrings
    seq
    tryEval
    ;

  commonNames = [
    "__noChroot"
    "hashMode"
    "parameters"
    "params"
    "passthru"
    "pname"
    "resources"
    "runDependencies"
    "version"
    "inputs"
  ];

  simpleNames = commonNames ++ [
    "outputs"
    "run"
  ];

  scatterGatherNames = commonNames ++ [
    "gather"
    "scatter"
    "steps"
  ];

  hashModes = [
    "params-only"
    "pure"
  ];

  # The value of an attribute for given parameters: functions are called, all else stands as it is.
  resolve =
    where: attribute: value: params:
    if isFunction value then
      let
        taken = attrNames (builtins.functionArgs value);
      in
      if
        taken != [ ]
        && !(all (name: name == "params" || name == "parameters") taken)
      then
        throw "${where}: ${attribute} may be a function of { params } or { parameters }, but it asks for ${errors.quoted taken}"
      else
        calls.apply value {
          inherit params;
          parameters = params;
        }
    else
      value;

  attributeSet =
    where: attribute: value:
    if isAttrs value then value else throw "${where}: ${attribute} must be an attribute set, but it is ${errors.kind value}";

  # Forces what `value` consists of without walking through whole packages.
  force =
    value:
    if isAttrs value && (value ? outPath || value.type or "" == "derivation") then
      seq value.outPath true
    else if isAttrs value then
      all force (attrValues value)
    else if isList value then
      all force value
    else
      seq value true;

  bashReference = array: name: "\${${array}[\"${name}\"]}";

  packagePath = package: "${package.bin or package.out or package}/bin";

  evaluate =
    {
      pkgs,
      offered,
      name,
      call,
      axes,
      runName,
      hashMode,
    }:
    let
      file = if isPath call.source then call.source else null;
      label = if file == null then "stage '${name}'" else "stage '${name}' (${toString file})";
      where = "run '${runName}', ${label}";

      loaded = calls.load {
        inherit offered pkgs where;
      } call.source;

      isScatterGather = loaded ? scatter || loaded ? steps || loaded ? gather;

      definition = errors.onlyKnown {
        inherit where;
        known = if isScatterGather then scatterGatherNames else simpleNames;
        # nixpkgs' callPackage leaves these behind.
        attributes = removeAttrs loaded [
          "override"
          "overrideDerivation"
        ];
      } loaded;

      defaults =
        if definition ? params && definition ? parameters then
          throw "${where}: has both 'params' and 'parameters'; they mean the same, keep one"
        else
          attributeSet where "params" (definition.params or definition.parameters or { });

      encodedDefaults = mapAttrs (
        parameter: values.encode "${where}: params.${parameter}"
      ) defaults;

      # Axes narrowed to the parameters of this stage, each with its distinct points.
      dimensions = filter (dimension: dimension.names != [ ]) (
        map (axis: rec {
          names = filter (parameter: defaults ? ${parameter}) axis.names;
          points = values.distinct (map (intersectAttrs defaults) axis.points);
        }) axes
      );

      assignments = foldl' (
        partial: dimension: concatMap (assignment: map (point: assignment // point) dimension.points) partial
      ) [ { } ] dimensions;

      swept = listToAttrs (
        concatMap (
          dimension:
          map (parameter: {
            name = parameter;
            value = throw "repx-lib: the value of '${parameter}' differs from job to job";
          }) dimension.names
        ) dimensions
      );

      effective =
        assignment:
        mapAttrs (
          parameter: default:
          values.plain (if assignment.${parameter} or null == null then default else assignment.${parameter})
        ) defaults;

      # Parameters of each distinct instance of this stage, and stand-ins that show whether a function looks at them.
      instances = map effective assignments;
      poisoned = mapAttrs (parameter: values.plain) (defaults // swept);

      # A value once for all jobs where a function does not look at swept parameters, else once per instance.
      vary =
        function:
        let
          probe = tryEval (
            let
              value = function poisoned;
            in
            seq (force value) value
          );
        in
        if dimensions == [ ] then
          { shared = function (effective { }); }
        else if probe.success then
          { shared = probe.value; }
        else
          { each = map function instances; };

      varyOver =
        varied: function:
        if varied ? shared then
          vary (params: function params varied.shared)
        else
          { each = genList (index: function (elemAt instances index) (elemAt varied.each index)) (length instances); };

      mapVaried =
        function: varied:
        if varied ? shared then { shared = function varied.shared; } else { each = map function varied.each; };

      checkedName =
        attribute: given:
        if !isString given then
          throw "${where}: ${attribute} must be a text, but it is ${errors.kind given}"
        else if match "[A-Za-z0-9_][A-Za-z0-9+._-]*" given == null then
          throw "${where}: ${attribute} is '${given}', which is no file name: use letters, digits and + . _ -"
        else
          given;

      pname = vary (
        params:
        checkedName "pname" (
          resolve where "pname" (definition.pname or (throw "${where}: there is no 'pname'")) params
        )
      );

      version = checkedName "version" (definition.version or "1.1");

      hints = vary (
        params: resources.check where (resolve where "resources" (definition.resources or null) params)
      );

      outputsOf =
        part: value: params:
        let
          outputs = attributeSet part "outputs" (resolve part "outputs" value params);
          wrong = filter (output: !isString outputs.${output}) (attrNames (removeAttrs outputs [ "worker__arg" ]));
        in
        if wrong == [ ] then
          outputs
        else
          throw "${part}: outputs.${builtins.head wrong} must be a text such as \"$out/${builtins.head wrong}\"";

      inputsOf =
        part: value: params:
        attributeSet part "inputs" (resolve part "inputs" value params);

      simpleShape =
        params:
        let
          inputs = inputsOf where (definition.inputs or { }) params;
          outputs = outputsOf where (definition.outputs or { }) params;
        in
        {
          inherit inputs outputs;
          executables = [
            {
              key = "main";
              inherit inputs outputs;
              mappings = [ ];
              externals = attrNames inputs;
              deps = [ ];
            }
          ];
        };

      parts =
        if isScatterGather then
          scatterGather.parts { inherit definition where; }
        else
          [
            {
              key = "main";
              inherit where;
              run = definition.run or (throw "${where}: there is no 'run'");
              runDependencies = [ ];
              resources = null;
            }
          ];

      # Inputs and outputs of the job and of each of its executables.
      shape = vary (
        if isScatterGather then
          scatterGather.shape {
            inherit
              definition
              inputsOf
              outputsOf
              where
              ;
          }
        else
          simpleShape
      );

      # What an input holds when no stage provides it: a path in the store, or why there is none.
      defaultOf =
        input: value:
        let
          relative = if file == null then null else dirOf file + "/${value}";
        in
        if isPath value || (isAttrs value && (value ? outPath || value.type or "" == "derivation")) then
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

      # `provided` are the inputs that some stage always provides: their defaults are never looked at.
      defaultsOf = provided: inputs: mapAttrs defaultOf (removeAttrs inputs (provided ++ filter isSpecial (attrNames inputs)));

      usable =
        found:
        listToAttrs (
          map (input: {
            name = input;
            value = found.${input}.path;
          }) (filter (input: found.${input} ? path) (attrNames found))
        );

      textOf =
        part: executable: params:
        let
          written = calls.apply part.run {
            inherit params pkgs;
            inputs = mapAttrs (input: _: bashReference "inputs" input) executable.inputs;
            outputs = executable.outputs;
            parameters = mapAttrs (parameter: _: bashReference "parameters" parameter) defaults;
          };
        in
        if !isFunction part.run then
          throw "${part.where}: run must be a function, but it is ${errors.kind part.run}"
        else if !isString written then
          throw "${part.where}: run must return a text, but it returned ${errors.kind written}"
        else
          written;

      scriptOf =
        provided: index: part:
        let
          packages =
            let
              own = part.runDependencies ++ (definition.runDependencies or [ ]);
            in
            if isList own then own else throw "${part.where}: runDependencies must be a list of packages";
        in
        {
          inherit (part) key;
          path = map packagePath packages;
          identity = map (package: package.repxIdentity or (packagePath package)) packages;
          content = (content: warnAboutDigits content content) (varyOver shape (
            params: current:
            let
              executable = elemAt current.executables index;
            in
            {
              text = textOf part executable params;
              defaults = usable (defaultsOf provided executable.inputs);
            }
          ));
        };

      indexed = genList (index: index) (length parts);

      # Swept numbers that `toString` prints as others, and the parameters that have any.
      isLossy = assignment: parameter: text.losesDigits (assignment.${parameter} or null);
      lossy = filter (parameter: builtins.any (assignment: isLossy assignment parameter) assignments) (
        concatMap (dimension: dimension.names) dimensions
      );
      contains = needle: haystack: replaceStrings [ needle ] [ "" ] haystack != haystack;
      # Says so where a script holds such a number, since two points of the sweep may then look alike.
      warnAboutDigits =
        content: value:
        foldl' (
          unchanged: parameter:
          let
            affected = filter (
              index:
              let
                number = (elemAt assignments index).${parameter};
                written = (elemAt content.each index).text;
              in
              isLossy (elemAt assignments index) parameter
              && contains (toString number) written
              && !(contains (text.number number) written)
            ) (genList (index: index) (length assignments));
            number = (elemAt assignments (builtins.head affected)).${parameter};
          in
          if !(content ? each) || affected == [ ] then
            unchanged
          else
            builtins.trace "warning: ${where}: the script holds params.${parameter} = ${text.number number} as ${toString number}; write \${repx-lib.utils.str params.${parameter}} instead of toString" unchanged
        ) value lossy;

      mode = definition.hashMode or hashMode;
    in
    {
      inherit
        defaults
        label
        name
        shape
        where
        ;
      # Everything that depends on which inputs other stages provide.
      finish =
        provided:
        let
          scripts = script.scriptsOf {
            inherit pkgs;
            name = values.storeName "repx-scripts-${name}";
            noChroot = definition.__noChroot or false;
            executables = map (index: scriptOf provided index (elemAt parts index)) indexed;
          };
        in
        {
          scripts = scripts // (definition.passthru or { });
          blueprint = {
            inherit name pname version;
            hash_mode =
              if builtins.elem mode hashModes then
                mode
              else
                throw "${where}: hashMode is '${toString mode}'${errors.suggestion (toString mode) hashModes} (known: ${errors.quoted hashModes})";
            kind = if isScatterGather then "scatter-gather" else "simple";
            parameters = encodedDefaults;
            resources = hints;
            part_resources = map (
              part: vary (params: resources.check part.where (resolve part.where "resources" part.resources params))
            ) parts;
            scripts = "${scripts}";
            shape = mapVaried (current: {
              inputs = attrNames current.inputs;
              defaults = defaultsOf provided current.inputs;
              outputs = attrNames current.outputs;
              executables = map (executable: removeAttrs executable [ "inputs" ]) current.executables;
            }) shape;
          };
          packages = concatMap (part: part.runDependencies ++ (definition.runDependencies or [ ])) parts;
        };
      inherit defaultOf;
    };
in
{
  inherit evaluate hashModes;
}
