# Messages of errors: what is wrong, where, and what there is instead.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    head
    length
    sort
    stringLength
    substring
    tail
    ;

  characters = word: genList (index: substring index 1 word) (stringLength word);

  least = a: b: if a < b then a else b;

  # Levenshtein's distance, one row of the table at a time.
  distance =
    from: to:
    let
      target = characters to;
      width = length target;
      nextRow =
        row: letter:
        let
          cell =
            cells: index:
            let
              left = elemAt cells index;
              above = elemAt row (index + 1);
              diagonal = elemAt row index;
              substitution = if elemAt target index == letter then 0 else 1;
            in
            cells ++ [ (least (least (left + 1) (above + 1)) (diagonal + substitution)) ];
        in
        foldl' cell [ (head row + 1) ] (genList (index: index) width);
      lastRow = foldl' nextRow (genList (index: index) (width + 1)) (characters from);
    in
    elemAt lastRow width;

  quoted = names: concatStringsSep ", " (map (name: "'${name}'") names);

  listed = names: if names == [ ] then "none" else quoted names;

  # The known name nearest to a mistaken one, or null when nothing is near.
  nearest =
    name: known:
    let
      ranked = sort (a: b: a.distance < b.distance) (
        map (candidate: {
          inherit candidate;
          distance = distance name candidate;
        }) known
      );
      limit = if stringLength name <= 4 then 2 else stringLength name / 2;
    in
    if ranked == [ ] || (head ranked).distance > limit then null else (head ranked).candidate;

  suggestion =
    name: known:
    let
      candidate = nearest name known;
    in
    if candidate == null then "" else "; did you mean '${candidate}'?";
  kinds = {
    bool = "a boolean";
    float = "a number";
    int = "a number";
    lambda = "a function";
    list = "a list";
    null = "null";
    path = "a path";
    set = "an attribute set";
    string = "a text";
  };

  kind = value: kinds.${builtins.typeOf value};
in
{
  # What a value is, with its article.
  inherit kind;

  # A word out of a list that is not in it.
  notAmong =
    known: value:
    "${
      if builtins.isString value then "'${value}'${suggestion value known}" else kind value
    } (known: ${quoted known})";

  inherit
    listed
    nearest
    quoted
    suggestion
    ;

  # Passes `value` on unless `attributes` holds a name that is not among `known`.
  onlyKnown =
    {
      where,
      known,
      attributes,
    }:
    value:
    let
      unknown = filter (name: !(elem name known)) (attrNames attributes);
      name = head unknown;
    in
    if unknown == [ ] then
      value
    else
      throw "${where}: unknown attribute '${name}'${suggestion name known} (known: ${quoted known})${
        if tail unknown == [ ] then "" else "; also unknown: ${quoted (tail unknown)}"
      }";
}
