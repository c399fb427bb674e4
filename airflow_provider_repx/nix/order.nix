# Things that need each other, in an order in which each comes after those that it needs.
{ errors }:
let
  inherit (builtins)
    all
    deepSeq
    elem
    filter
    foldl'
    head
    tail
    ;

  # The names of one circle, found by following what is needed; each of `left` needs one of `left`.
  circle =
    needs: left:
    let
      follow =
        passed: name:
        if elem name passed then
          behind name passed
        else
          follow (passed ++ [ name ]) (head (filter (need: elem need left) needs.${name}));
      behind = name: passed: if head passed == name then passed else behind name (tail passed);
      found = follow [ ] (head left);
    in
    filter (name: elem name found) left;

  message =
    { where, kind }:
    names:
    if tail names == [ ] then
      "${where}: the ${kind} ${errors.quoted names} depends on itself"
    else
      "${where}: the ${kind}s ${errors.quoted names} depend on each other in a circle";
in
{
  # Each item once, where it comes first.
  unique = foldl' (found: item: if elem item found then found else found ++ [ item ]) [ ];

  # `names` in order. `needs` are lists of names by name; `where` and `kind` (such as "stage") are for the message about
  # a circle.
  inOrder =
    { where, kind }@context:
    needs: names:
    let
      settle =
        done: left:
        let
          ready = filter (name: all (need: elem need done) needs.${name}) left;
        in
        if left == [ ] then
          done
        else if ready == [ ] then
          throw (message context (circle needs left))
        else
          settle (done ++ [ (head ready) ]) (filter (name: name != head ready) left);
    in
    deepSeq needs (settle [ ] names);
}
