# `mkLab`: runs become one derivation, the lab directory; and one more for each run alone.
{
  calls,
  errors,
  ordering,
  run,
  script,
  values,
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
      throw "mkLab: ${attribute} is ${errors.notAmong containerModes mode}"
    else if mode != "none" && !hasImages then
      throw "mkLab: ${attribute} is '${mode}', but these pkgs have no dockerTools to build images with; use nixpkgs or ${attribute} = \"none\""
    else
      mode;

  # The attribute of the run that a call means; `phrase` begins the message where there is none, or more than one.
  attributeAmong =
    runs: phrase: call:
    let
      attributes = attrNames runs;
      found = calls.matching (map (name: { inherit name; call = runs.${name}; }) attributes) call;
      names = map (candidate: candidate.name) found;
    in
    if names == [ ] then
      throw "${phrase} a run that is not among the lab's runs (${errors.quoted attributes})"
    else if builtins.tail names != [ ] then
      throw "${phrase} a run that is written like each of ${errors.quoted names}; give the one that is meant a name with 'let', and use it in both places"
    else
      head names;

  # A run's dependencies as [ { attribute; type; } ].
  dependenciesOf =
    runs: attribute:
    let
      where = "run '${attribute}'";
      attributeOf =
        call:
        if calls.isKind "run" call then
          attributeAmong runs "${where}: depends on" call
        else
          throw "${where}: depends on ${errors.kind call}; dependencies are runs made by callRun, or [ run \"hard\" ] or [ run \"soft\" ]";
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
            throw "${where}: a dependency is of type ${errors.notAmong dependencyTypes type}"
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
      order = ordering.inOrder {
        where = "mkLab";
        kind = "run";
      } needs attributes;

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
        if calls.isKind "run" member then
          evaluated.${attributeAmong runs "mkLab: group '${group}' holds" member}.name
        else
          throw "mkLab: group '${group}' holds ${errors.kind member}, which is no run made by callRun";

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
          inherit
            name
            pkgs
            script
            values
            ;
          packages = concatMap (attribute: evaluated.${attribute}.packages) attributesInside;
          mentions = map (attribute: evaluated.${attribute}.mentions) attributesInside;
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
    if !isAttrs arguments then
      throw "mkLab: expected { pkgs; repx-lib; gitHash; lab_version; runs; }, but got ${errors.kind arguments}"
    else if !isAttrs runs || runs == { } then
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
