# One stage as a run sees it: its attributes for every distinct assignment of the parameters that it declares.
{
  calls,
  errors,
  inputDefaults,
  packages,
  resources,
  scatterGather,
  script,
  values,
  varying,
}:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elemAt
    filter
    genList
    isAttrs
    isFunction
    isPath
    isString
    length
    map
    mapAttrs
    match
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

  # Bash would not take such a name for a text, but for the end of it or for something to expand.
  bashReference =
    where: array: name:
    if match ".*[]\"$`\\\\\n].*" name == null then
      "\${${array}[\"${name}\"]}"
    else
      throw "${where}: ${array}: the name ${builtins.toJSON name} holds a character that bash gives a meaning; use letters, digits and _";

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

      inherit (varying.over { inherit axes defaults where; })
        mapVaried
        vary
        varyOver
        warnAboutDigits
        ;

      boolean =
        attribute: value:
        if builtins.isBool value then
          value
        else
          throw "${where}: ${attribute} must be true or false, but it is ${errors.kind value}";

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

      # `provided` are the inputs that some stage always provides: their defaults are never looked at.
      defaultsOf = provided: inputs: inputDefaults.of file (removeAttrs inputs provided);

      textOf =
        part: executable: params:
        let
          written = calls.apply part.run {
            inherit params pkgs;
            inputs = mapAttrs (input: _: bashReference part.where "inputs" input) executable.inputs;
            outputs = executable.outputs;
            parameters = mapAttrs (parameter: _: bashReference part.where "parameters" parameter) defaults;
          };
        in
        if !isFunction part.run then
          throw "${part.where}: run must be a function, but it is ${errors.kind part.run}"
        else if !isString written then
          throw "${part.where}: run must return a text, but it returned ${errors.kind written}"
        else
          written;

      packagesOf =
        part:
        packages.checked part.where part.runDependencies
        ++ packages.checked where (definition.runDependencies or [ ]);

      scriptOf =
        provided: index: part:
        let
          used = packagesOf part;
          content = varyOver shape (
            params: current:
            let
              executable = elemAt current.executables index;
            in
            {
              text = textOf part executable params;
              defaults = inputDefaults.usable (defaultsOf provided executable.inputs);
            }
          );
        in
        {
          inherit (part) key;
          path = map packages.folder used;
          identity = map (package: package.repxIdentity or (packages.folder package)) used;
          content = warnAboutDigits content content;
        };

      indexed = genList (index: index) (length parts);

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
          executables = map (index: scriptOf provided index (elemAt parts index)) indexed;
          scripts = script.scriptsOf {
            inherit pkgs;
            name = values.storeName "repx-scripts-${name}";
            noChroot = boolean "__noChroot" (definition.__noChroot or false);
            label = "stage '${name}'${if file == null then "" else " (${baseNameOf file})"}";
            inherit executables;
          };
        in
        {
          scripts = scripts // attributeSet where "passthru" (definition.passthru or { });
          blueprint = {
            inherit name pname version;
            hash_mode =
              if builtins.elem mode hashModes then
                mode
              else
                throw "${where}: hashMode is ${errors.notAmong hashModes mode}";
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
          packages = concatMap packagesOf parts;
          mentions = [
            encodedDefaults
            (map (executable: executable.content) executables)
          ];
        };
    };
in
{
  inherit evaluate;
}
