# `mkLab`: runs become one derivation, the lab directory; and one more for each run alone.
{
  calls,
  errors,
  run,
  script,
}:
let
  inherit (builtins)
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
    mapAttrs
    ;

  known = [
    "containerMode"
    "gitHash"
    "groups"
    "hashMode"
    "lab_version"
    "pkgs"
    "repx-lib"
    "runContainerMode"
    "runs"
  ];

  containerModes = [
    "none"
    "per-run"
    "unified"
  ];

  dependencyTypes = [
    "hard"
    "soft"
  ];

  text =
    attribute: value:
    if isString value then value else throw "mkLab: ${attribute} must be a text, but it is ${errors.kind value}";

  containerMode =
    {
      pkgs,
      attribute,
      arguments,
      default,
    }:
    let
      hasImages = pkgs ? dockerTools;
      mode = arguments.${attribute} or (if hasImages then default else "none");
    in
    if !elem mode containerModes then
      throw "mkLab: ${attribute} is '${toString mode}'${errors.suggestion (toString mode) containerModes} (known: ${errors.quoted containerModes})"
    else if mode != "none" && !hasImages then
      throw "mkLab: ${attribute} is '${mode}', but these pkgs have no dockerTools to build images with; use nixpkgs or ${attribute} = \"none\""
    else
      mode;

  # A run's dependencies as [ { attribute; type; } ].
  dependenciesOf =
    runs: attribute:
    let
      where = "run '${attribute}'";
      attributeOf =
        call:
        let
          found = filter (candidate: calls.same runs.${candidate} call) (attrNames runs);
        in
        if !calls.isKind "run" call then
          throw "${where}: depends on ${errors.kind call}; dependencies are runs made by callRun, or [ run \"hard\" ] or [ run \"soft\" ]"
        else if found == [ ] then
          throw "${where}: depends on a run that is not among the lab's runs (${errors.quoted (attrNames runs)})"
        else
          head found;
      read =
        item:
        if !isList item then
          {
            attribute = attributeOf item;
            type = "hard";
          }
        else if length item != 2 then
          throw "${where}: a dependency in a list must be [ run \"hard\" ] or [ run \"soft\" ]"
        else
          let
            type = builtins.elemAt item 1;
          in
          if !elem type dependencyTypes then
            throw "${where}: a dependency is of type ${
              if isString type then "'${type}'${errors.suggestion type dependencyTypes}" else errors.kind type
            } (known: ${errors.quoted dependencyTypes})"
          else
            {
              attribute = attributeOf (head item);
              inherit type;
            };
      # The same run twice: hard is the stronger word.
      merge =
        found: item:
        let
          others = filter (other: other.attribute != item.attribute) found;
          before = filter (other: other.attribute == item.attribute) found;
        in
        if before == [ ] then
          found ++ [ item ]
        else if (head before).type == "hard" then
          found
        else
          others ++ [ item ];
    in
    foldl' merge [ ] (map read runs.${attribute}.dependencies);

  inOrder =
    needs: names:
    let
      settle =
        done: left:
        let
          ready = filter (name: builtins.all (need: elem need done) needs.${name}) left;
        in
        if left == [ ] then
          done
        else if ready == [ ] then
          throw "mkLab: the runs ${errors.quoted left} depend on each other in a circle"
        else
          settle (done ++ [ (head ready) ]) (filter (name: name != head ready) left);
    in
    builtins.deepSeq needs (settle [ ] names);

  mkLab =
    arguments:
    let
      checked = errors.onlyKnown {
        where = "mkLab";
        inherit known;
        attributes = arguments;
      } arguments;
      need = name: checked.${name} or (throw "mkLab: there is no '${name}'");
      pkgs = script.checkPackages (need "pkgs") (need "pkgs");
      repx-lib = need "repx-lib";
      runs = need "runs";
      groups = checked.groups or { };
      hashMode = checked.hashMode or "pure";

      attributes = attrNames runs;
      stray = filter (attribute: !(calls.isKind "run" runs.${attribute})) attributes;
      dependencies = mapAttrs (attribute: _: dependenciesOf runs attribute) runs;
      needs = mapAttrs (_: items: map (item: item.attribute) items) dependencies;
      order = inOrder needs attributes;

      evaluated = mapAttrs (
        attribute: call:
        run.evaluate {
          inherit
            attribute
            call
            hashMode
            pkgs
            repx-lib
            ;
          dependencies = map (item: {
            run = evaluated.${item.attribute}.name;
            inherit (item) type;
          }) dependencies.${attribute};
        }
      ) runs;

      names = map (attribute: evaluated.${attribute}.name) order;
      doubled = filter (name: length (filter (other: other == name) names) > 1) names;

      groupMember =
        group: member:
        let
          found = filter (attribute: calls.same runs.${attribute} member) attributes;
        in
        if !calls.isKind "run" member then
          throw "mkLab: group '${group}' holds ${errors.kind member}, which is no run made by callRun"
        else if found == [ ] then
          throw "mkLab: group '${group}' holds a run that is not among the lab's runs (${errors.quoted attributes})"
        else
          evaluated.${head found}.name;

      resolvedGroups = mapAttrs (
        group: members:
        if elem group names then
          throw "mkLab: group '${group}' has the name of a run; give it another name"
        else if !isList members then
          throw "mkLab: group '${group}' must be a list of runs, but it is ${errors.kind members}"
        else
          map (groupMember group) members
      ) groups;

      # The runs whose jobs' ids a run's own ids depend on, itself included.
      closure =
        attribute:
        let
          reached = builtins.genericClosure {
            startSet = [ { key = attribute; } ];
            operator = node: map (item: { key = item.attribute; }) dependencies.${node.key};
          };
          keys = map (node: node.key) reached;
        in
        filter (candidate: elem candidate keys) order;

      image =
        name: attributesInside:
        import ./image.nix {
          inherit name pkgs script;
          packages = concatMap (attribute: evaluated.${attribute}.packages) attributesInside;
          parameters = map (attribute: {
            inherit (evaluated.${attribute}.blueprint) axes name paths;
          }) attributesInside;
        };

      imagesFor =
        mode: chosen:
        if mode == "none" then
          { }
        else if mode == "unified" then
          listToAttrs (
            map (attribute: {
              inherit (evaluated.${attribute}) name;
              value = image "repx-shared-image" chosen;
            }) chosen
          )
        else
          listToAttrs (
            map (attribute: {
              inherit (evaluated.${attribute}) name;
              value = image "${evaluated.${attribute}.name}-image" [ attribute ];
            }) chosen
          );

      build =
        {
          name,
          mode,
          chosen,
          inside,
          shownGroups,
        }:
        script.assemble {
          inherit name pkgs;
          task = "lab";
          data = {
            git_hash = text "gitHash" (need "gitHash");
            lab_version = text "lab_version" (need "lab_version");
            groups = shownGroups;
            launch = script.launchWith pkgs;
            chosen = map (attribute: evaluated.${attribute}.name) chosen;
            runs = map (attribute: evaluated.${attribute}.blueprint) inside;
            images = mapAttrs (_: built: "${built}") (imagesFor mode chosen);
            host_tools = if mode == "none" then [ ] else import ./host_tools.nix { inherit pkgs script; };
          };
        };

      slice =
        attribute:
        let
          only = evaluated.${attribute}.name;
          built = build {
            name = "repx-lab-${only}";
            mode = containerMode {
              inherit pkgs;
              arguments = checked;
              attribute = "runContainerMode";
              default = "per-run";
            };
            chosen = [ attribute ];
            inside = closure attribute;
            shownGroups = builtins.removeAttrs (mapAttrs (_: filter (member: member == only)) resolvedGroups) (
              filter (group: !elem only resolvedGroups.${group}) (attrNames resolvedGroups)
            );
          };
        in
        built
        // {
          inherit (evaluated.${attribute}) stages;
          lab = built;
        };

      whole = build {
        name = "repx-lab";
        mode = containerMode {
          inherit pkgs;
          arguments = checked;
          attribute = "containerMode";
          default = "unified";
        };
        chosen = order;
        inside = order;
        shownGroups = resolvedGroups;
      };
    in
    if !isAttrs runs || runs == { } then
      throw "mkLab: runs must be an attribute set with at least one run"
    else if stray != [ ] then
      throw "mkLab: runs.${head stray} is no run made by callRun, but ${errors.kind runs.${head stray}}"
    else if !isAttrs groups then
      throw "mkLab: groups must be an attribute set of lists of runs, but it is ${errors.kind groups}"
    else if doubled != [ ] then
      throw "mkLab: more than one run is named '${head doubled}'; names of runs must differ"
    else
      let
        result = whole // {
          lab = result;
          runs = mapAttrs (attribute: _: slice attribute) runs;
        };
      in
      result;
in
{
  inherit mkLab;
}
