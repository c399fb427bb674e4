# Resource hints: which keys there are and what their values look like. Merging is the builder program's work.
{ errors }:
let
  inherit (builtins)
    all
    attrNames
    filter
    head
    isAttrs
    isInt
    isList
    isString
    match
    toJSON
    ;

  known = [
    "cpus"
    "mem"
    "partition"
    "sbatch_opts"
    "time"
  ];

  # Nothing at all is refused: Slurm takes it as everything.
  isMemory =
    value:
    isString value
    && match "[0-9]+(\\.[0-9]+)?[KMGTPkmgtp]?(i?[Bb])?" value != null
    && match "[0.]*[A-Za-z]*" value == null;

  isTime =
    value:
    isString value
    && match "[0-9]+-[0-9]+(:[0-9]+){0,2}|[0-9]+(:[0-9]+){0,2}" value != null
    && match "[0:-]*" value == null;

  rules = {
    mem = {
      accepts = isMemory;
      wants = ''a text such as "512M" or "16G"'';
    };
    cpus = {
      accepts = value: isInt value && value > 0;
      wants = "a whole number above zero";
    };
    time = {
      accepts = isTime;
      wants = ''a text such as "02:00:00", "30:00" or "1-12:00:00"'';
    };
    partition = {
      accepts = value: isString value && value != "";
      wants = "a partition's name";
    };
    sbatch_opts = {
      accepts = value: isList value && all isString value;
      wants = "a list of texts";
    };
  };

  shown = value: if isAttrs value || builtins.isFunction value then errors.kind value else toJSON value;
in
{
  # Passes valid hints on; `where` names the stage.
  check =
    where: hints:
    let
      wrong = filter (name: hints.${name} != null && !(rules.${name}.accepts hints.${name})) (attrNames hints);
      name = head wrong;
    in
    if hints == null then
      { }
    else if !isAttrs hints then
      throw "${where}: resources must be an attribute set, but it is ${errors.kind hints}"
    else
      errors.onlyKnown
        {
          where = "${where}: resources";
          inherit known;
          attributes = hints;
        }
        (
          if wrong == [ ] then
            hints
          else
            throw "${where}: resources.${name} must be ${rules.${name}.wants}, but it is ${shown hints.${name}}"
        );
}
