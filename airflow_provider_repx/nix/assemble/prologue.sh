set -euo pipefail
export PATH=@PATH@"${PATH:+:$PATH}"
out=$1 inputs_json=${2-} parameters_json=${3-}
export out inputs_json parameters_json
declare -A inputs=(@DEFAULTS@) parameters=()

repx_fail() {
  printf 'repx: %s\n' "$1" >&2
  exit 1
}

# repx_unescape TEXT: the value of a JSON string, without its quotes, in REPLY.
repx_unescape() {
  local rest=$1 code low utf8
  REPLY=
  while [[ $rest == *\\* ]]; do
    REPLY+=${rest%%\\*}
    rest=${rest#*\\}
    case $rest in
      b*) REPLY+=$'\b' ;;
      f*) REPLY+=$'\f' ;;
      n*) REPLY+=$'\n' ;;
      r*) REPLY+=$'\r' ;;
      t*) REPLY+=$'\t' ;;
      u*)
        code=$((16#${rest:1:4}))
        rest=${rest:4}
        if ((code >= 0xD800 && code < 0xDC00)) && [[ $rest =~ ^.\\u([dD][c-fC-F][0-9a-fA-F]{2}) ]]; then
          low=$((16#${BASH_REMATCH[1]}))
          code=$((0x10000 + ((code - 0xD800) << 10) + low - 0xDC00))
          rest=${rest:6}
        fi
        ((code > 0 && (code < 0xD800 || code > 0xDFFF))) || return 1
        if ((code < 0x80)); then
          printf -v utf8 '\\x%x' "$code"
        elif ((code < 0x800)); then
          printf -v utf8 '\\x%x' $((0xC0 | code >> 6)) $((0x80 | code & 63))
        elif ((code < 0x10000)); then
          printf -v utf8 '\\x%x' $((0xE0 | code >> 12)) $((0x80 | code >> 6 & 63)) $((0x80 | code & 63))
        else
          printf -v utf8 '\\x%x' $((0xF0 | code >> 18)) $((0x80 | code >> 12 & 63)) $((0x80 | code >> 6 & 63)) \
            $((0x80 | code & 63))
        fi
        printf -v utf8 '%b' "$utf8"
        REPLY+=$utf8
        ;;
      *) REPLY+=${rest:0:1} ;;
    esac
    rest=${rest:1}
  done
  REPLY+=$rest
}

# repx_load FILE ARRAY: a flat JSON object of scalars into an associative array; a missing file is an empty object.
repx_load() {
  [[ -n $1 && -e $1 ]] || return 0
  local -n repx_map=$2
  local LC_ALL=C text='' key value separator=,
  local space=$'[ \t\n\r]*' plain=$'[^"\\\x01-\x1f]' escape='\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}'
  local scalar='-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null'
  local simple="^\"($plain*)\"$space:$space(\"$plain*\"|$scalar)$space([,}])$space"
  local escaped="^\"(($plain|$escape)*)\"$space:$space(\"($plain|$escape)*\"|$scalar)$space([,}])$space"
  local nested="^\"(${plain}*)\"${space}:${space}[[{]"
  IFS= read -r -d '' text <"$1" && repx_fail "$1: a NUL byte is no JSON"
  [[ $text =~ ^$space"{"$space ]] || repx_fail "$1: not a JSON object"
  text=${text:${#BASH_REMATCH[0]}}
  if [[ $text =~ ^"}"$space ]]; then
    text=${text:${#BASH_REMATCH[0]}}
    separator="}"
  fi
  while [[ $separator == , ]]; do
    if [[ $text =~ $simple ]]; then
      key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]} separator=${BASH_REMATCH[-1]}
      text=${text:${#BASH_REMATCH[0]}}
      [[ $value != \"* ]] || value=${value:1:-1}
    elif [[ $text =~ $escaped ]]; then
      key=${BASH_REMATCH[1]} value=${BASH_REMATCH[3]} separator=${BASH_REMATCH[-1]}
      text=${text:${#BASH_REMATCH[0]}}
      repx_unescape "$key" || repx_fail "$1: a name holds a character that bash cannot hold"
      key=$REPLY
      if [[ $value == \"* ]]; then
        repx_unescape "${value:1:-1}" || repx_fail "$1: '$key' holds a character that bash cannot hold"
        value=$REPLY
      fi
    elif [[ $text =~ $nested ]]; then
      repx_fail "$1: '${BASH_REMATCH[1]}' is a list or an object; only text, numbers, booleans and null are possible"
    else
      repx_fail "$1: malformed JSON near: ${text:0:60}"
    fi
    [[ -n $key ]] || repx_fail "$1: a name is empty"
    repx_map[$key]=$value
  done
  [[ -z $text ]] || repx_fail "$1: malformed JSON after the object: ${text:0:60}"
}

# Shared file systems may show a finished job's files late.
repx_wait_for_inputs() {
  local name path deadline=$((SECONDS + 30))
  for name in "${!inputs[@]}"; do
    path=${inputs[$name]}
    until [[ -r $path && (-f $path || -d $path) ]]; do
      ((SECONDS < deadline)) || repx_fail "input '$name' is not readable after 30 seconds: $path"
      sleep 2
    done
  done
}

repx_clear_out() {
  local entries
  [[ -d $out ]] || mkdir -p -- "$out"
  shopt -s nullglob dotglob
  entries=("$out"/*)
  shopt -u nullglob dotglob
  ((${#entries[@]})) || return 0
  chmod -R u+rwX -- "$out" 2>/dev/null || true
  find "$out" -mindepth 1 -maxdepth 1 ! -name 'slurm-*.out' -exec rm -rf -- {} +
}

repx_load "$inputs_json" inputs
repx_load "$parameters_json" parameters
repx_wait_for_inputs
repx_clear_out
cd -- "$out"
unset -f repx_fail repx_unescape repx_load repx_wait_for_inputs repx_clear_out
set -x
