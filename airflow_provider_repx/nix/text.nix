# Exact text of numbers. Nix's own conversions keep six digits, which would make distinct sweep points look alike.
let
  inherit (builtins)
    concatStringsSep
    elemAt
    fromJSON
    genList
    head
    isFloat
    match
    stringLength
    substring
    toJSON
    ;

  stripZeros =
    digits:
    let
      parts = match "0*([0-9]*)" digits;
    in
    if elemAt parts 0 == "" then "0" else elemAt parts 0;

  # The decimal exponent of a positive number's first digit, read from Nix's rounded text.
  leadingExponent =
    rounded:
    let
      parts = match "([0-9]+)(\\.([0-9]+))?(e([+-]?)([0-9]+))?" rounded;
      whole = elemAt parts 0;
      fraction = if elemAt parts 2 == null then "" else elemAt parts 2;
      magnitude = if elemAt parts 5 == null then 0 else fromJSON (stripZeros (elemAt parts 5));
      exponent = if elemAt parts 4 == "-" then -magnitude else magnitude;
      zeros = stringLength (elemAt (match "(0*).*" fraction) 0);
    in
    exponent + (if whole == "0" then -(zeros + 1) else stringLength whole - 1);

  # `digits` with its first digit worth 10^exponent, in a form that every Nix reads.
  scaled =
    digits: exponent:
    let
      whole = substring 0 1 digits;
      fraction = substring 1 (stringLength digits) digits;
    in
    "${whole}${if fraction == "" then "" else ".${fraction}"}e${toString exponent}";

  repeated = count: text: concatStringsSep "" (genList (_: text) count);

  # The same as Python writes: plain from 0.0001 to 1e16, else with an exponent of at least two digits.
  written =
    { digits, exponent }:
    let
      count = stringLength digits;
      magnitude = toString (if exponent < 0 then -exponent else exponent);
      fraction = substring 1 count digits;
    in
    if exponent < -4 || exponent >= 16 then
      "${substring 0 1 digits}${if fraction == "" then "" else ".${fraction}"}e${if exponent < 0 then "-" else "+"}${
        if stringLength magnitude < 2 then "0" else ""
      }${magnitude}"
    else if exponent < 0 then
      "0.${repeated (-exponent - 1) "0"}${digits}"
    else if count <= exponent + 1 then
      "${digits}${repeated (exponent + 1 - count) "0"}.0"
    else
      "${substring 0 (exponent + 1) digits}.${substring (exponent + 1) count digits}";

  # The digits in Nix's own text of a positive number, without zeros around them.
  digitsOf =
    rounded:
    let
      parts = match "0*([0-9]*)\\.?([0-9]*)(e.*)?" rounded;
      whole = elemAt parts 0;
      all = if whole == "" then stripZeros (elemAt parts 1) else whole + elemAt parts 1;
    in
    head (match "([0-9]*[1-9])0*" all);

  # Without the zero in front that stands there where Nix rounds up to the next power of ten.
  normal =
    { digits, exponent }@found:
    if substring 0 1 digits == "0" then
      normal {
        digits = substring 1 (stringLength digits) digits;
        exponent = exponent - 1;
      }
    else
      found;

  # The shortest decimal digits that read back as the same positive number: they are found one at a time, from the left,
  # each the largest that does not exceed the number.
  shortest =
    number:
    let
      exponent = leadingExponent (toJSON number);
      # Nix refuses to read a number beyond the largest float, instead of taking it as infinite.
      isTooLarge = digits: exponent == 308 && digits > "17976931348623158";
      valueOf = digits: fromJSON (scaled digits exponent);
      isAtMostNumber = digits: !isTooLarge digits && valueOf digits <= number;
      isNumber = digits: !isTooLarge digits && valueOf digits == number;
      largestDigit =
        digits: candidate:
        if candidate == 0 || isAtMostNumber "${digits}${toString candidate}" then
          toString candidate
        else
          largestDigit digits (candidate - 1);
      # The last digit raised by one, carrying to the left.
      raised =
        digits:
        let
          kept = stringLength digits - 1;
          last = fromJSON (substring kept 1 digits);
          front = substring 0 kept digits;
        in
        if last < 9 then "${front}${toString (last + 1)}" else if front == "" then null else
          let
            carried = raised front;
          in
          if carried == null then null else "${carried}0";
      extend =
        digits:
        let
          up = raised digits;
        in
        if digits != "" && isNumber digits then
          normal { inherit digits exponent; }
        else if digits != "" && up != null && isNumber up then
          normal {
            digits = up;
            inherit exponent;
          }
        else if stringLength digits > 18 then
          throw "repx-lib: cannot write the number ${toJSON number} exactly"
        else
          extend "${digits}${largestDigit digits 9}";
    in
    extend "";

  # Nix's own text depends on its version: six digits in 2.8, all of them in later ones. It is taken where all agree, so
  # that the same lab has the same jobs everywhere.
  positive =
    number:
    let
      rounded = toJSON number;
    in
    if fromJSON rounded + 0.0 == number && stringLength (digitsOf rounded) <= 6 then
      written {
        digits = digitsOf rounded;
        exponent = leadingExponent rounded;
      }
    else
      written (shortest number);

  float =
    number:
    if number == 0.0 then
      "0.0"
    else if number < 0 then
      "-${positive (0.0 - number)}"
    else
      positive number;
in
{
  # A number's exact text; of a float always with a point or an exponent.
  number = value: if isFloat value then float value else toString value;

  # Whether `toString` prints a different number, as it does for 1.0e-7.
  losesDigits = value: isFloat value && fromJSON (toString value) + 0.0 != value;

  range = start: end: if start > end then [ ] else genList (index: start + index) (end - start + 1);
}
