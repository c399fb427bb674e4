# What differs between the jobs of a stage: its own sweep points, and values that are functions of the parameters.
{ text, values }:
let
  inherit (builtins)
    all
    any
    attrValues
    concatMap
    elemAt
    filter
    foldl'
    genList
    head
    intersectAttrs
    isAttrs
    isList
    length
    listToAttrs
    mapAttrs
    replaceStrings
    seq
    trace
    tryEval
    ;

  # Forces what `value` consists of without walking through whole packages.
  force =
    value:
    if values.isDerivation value then
      seq value.outPath true
    else if isAttrs value then
      all force (attrValues value)
    else if isList value then
      all force value
    else
      seq value true;

  # `defaults` are a stage's parameters; `axes` those of the run.
  over =
    {
      axes,
      defaults,
      where,
    }:
    let
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

      # Swept numbers that `toString` prints as others, and the parameters that have any.
      isLossy = assignment: parameter: text.losesDigits (assignment.${parameter} or null);
      lossy = filter (parameter: any (assignment: isLossy assignment parameter) assignments) (
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
            number = (elemAt assignments (head affected)).${parameter};
          in
          if !(content ? each) || affected == [ ] then
            unchanged
          else
            trace "warning: ${where}: the script holds params.${parameter} = ${text.number number} as ${toString number}; write \${repx-lib.utils.str params.${parameter}} instead of toString" unchanged
        ) value lossy;
    in
    {
      inherit
        mapVaried
        vary
        varyOver
        warnAboutDigits
        ;
    };
in
{
  inherit over;
}
