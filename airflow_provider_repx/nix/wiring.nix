# Which output of which stage fills which input.
{ errors }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    foldl'
    genericClosure
    head
    length
    map
    toJSON
    ;

  caseLimit = 4096;

  distinct =
    lists:
    map (entry: entry.value) (genericClosure {
      startSet = map (value: {
        key = toJSON value;
        inherit value;
      }) lists;
      operator = _: [ ];
    });

  variants = varied: if varied ? shared then [ varied.shared ] else varied.each;

  product = foldl' (partial: options: concatMap (front: map (option: front ++ [ option ]) options) partial) [ [ ] ];

  indexes = list: builtins.genList (index: index) (length list);

  # What one dependency provides: mappings, or why it provides none.
  provide =
    {
      consumer,
      inputs,
      item,
      outputs,
    }:
    let
      producer = item.stage;
      output = head item.names;
      input = elemAt item.names (length item.names - 1);
      shared = filter (name: elem name inputs) outputs;
      mapping = source: target: {
        inherit source target;
        stage = producer;
        explicit = item.names != [ ];
      };
    in
    if item.names == [ ] then
      (
        if shared == [ ] then
          {
            error = "${consumer}: depends on stage '${producer}', but no output of '${producer}' (${errors.listed outputs}) has the name of an input here (${errors.listed inputs}); write [ ${producer} \"output\" \"input\" ]";
          }
        else
          { mappings = map (name: mapping name name) shared; }
      )
    else if !(elem output outputs) then
      {
        error = "${consumer}: stage '${producer}' has no output '${output}'${errors.suggestion output outputs} (it has ${errors.listed outputs})";
      }
    else if !(elem input inputs) then
      { error = "${consumer}: has no input '${input}'${errors.suggestion input inputs} (it has ${errors.listed inputs})"; }
    else
      { mappings = [ (mapping output input) ]; };

  # Explicit mappings replace implicit ones of the same input; otherwise an input has one source.
  combine =
    consumer: found:
    let
      failed = filter (result: result ? error) found;
      every = concatMap (result: result.mappings) found;
      explicit = filter (mapping: mapping.explicit) every;
      explicitTargets = map (mapping: mapping.target) explicit;
      kept = filter (mapping: mapping.explicit || !(elem mapping.target explicitTargets)) every;
      rivals = mapping: filter (other: other.target == mapping.target) kept;
      doubled = filter (mapping: length (rivals mapping) > 1) kept;
      target = (head doubled).target;
    in
    if failed != [ ] then
      head failed
    else if doubled != [ ] then
      {
        error = "${consumer}: input '${target}' is provided by ${
          errors.quoted (map (mapping: "${mapping.stage}.${mapping.source}") (rivals (head doubled)))
        }; write [ stage \"output\" \"${target}\" ] for the one that is meant";
      }
    else
      { mappings = map (mapping: removeAttrs mapping [ "explicit" ]) kept; };
in
{
  # All combinations of input and output names that may meet; the builder program picks the one of each job.
  cases =
    {
      consumer, # "run 'r', stage 's' (file)"
      shape, # of the consumer
      items, # its dependencies: [ { stage; names; } ]
      shapes, # of all stages, by name
    }:
    let
      inputSets = distinct (map (current: attrNames current.inputs) (variants shape));
      outputSets = map (item: distinct (map (current: attrNames current.outputs) (variants shapes.${item.stage}))) items;
      count = foldl' (total: options: total * length options) (length inputSets) outputSets;
      case =
        inputs: outputs:
        {
          inherit inputs outputs;
        }
        // combine consumer (
          map (
            index:
            provide {
              inherit consumer inputs;
              item = elemAt items index;
              outputs = elemAt outputs index;
            }
          ) (indexes items)
        );
      all = concatMap (inputs: map (case inputs) (product outputSets)) inputSets;
      sound = filter (current: !(current ? error)) all;
    in
    if count > caseLimit then
      throw "${consumer}: its inputs and the outputs that it depends on have ${toString count} different combinations of names, more than ${toString caseLimit}; give outputs the same names for all parameters"
    else if sound == [ ] then
      throw (head all).error
    else
      all;

  # Inputs that are provided in every sound case, so that nobody looks at their defaults.
  alwaysProvided =
    cases:
    let
      sound = filter (current: !(current ? error)) cases;
      targets = current: map (mapping: mapping.target) current.mappings;
    in
    filter (input: foldl' (ok: current: ok && elem input (targets current)) true sound) (targets (head sound));
}
