#!/usr/bin/env bash
# What is done with files on a target, for many jobs by one command. Needs bash 4.4, coreutils and tar.
#
#   target COMMAND BASE UMASK [ARGUMENTS]
#
#   ship FOLDER              unpack stdin (tar) into BASE/FOLDER unless that is there; answers with the user's name, the
#                            boot of this machine, and whether it is time for `tidy`
#   look                     how jobs stand
#   claim ARRAY              claim the jobs of an array
#   submit ARRAY SPEC [PATTERN...]   write what they need, and hand them to sbatch
#   settle                   write down how jobs ended whose runner could not
#   tails                    the last words of jobs
#   reclaim                  remove claims of this machine's processes that have ended
#   tidy DAYS                remove this user's array folders that are older, and that nobody can need any more
#
# Lists come in on stdin and go out on stdout as fields that each end with a NUL byte. Every file appears complete, by
# a link or by a rename. Nothing is ever taken from a list but paths and texts.
set -u
shopt -s nullglob

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

(( $# >= 3 )) || die "needs a command, a base path and a umask, got $# arguments"
readonly command=$1 base=$2
[[ -z $3 ]] || umask "$3" || die "umask '$3' is not octal"
shift 3

answer() { printf '%s\0' "$@"; }

# The content of a small file, in `text`; empty without one.
read_text() {
  text=''
  { IFS= read -r -d '' text <"$1"; } 2>/dev/null
  [[ -n $text ]]
}

# A claim is followed by its successor's, `claim.after-<token>`. The last one counts; the chain only ever grows, so that
# one link(2) decides who is next. Sets `claim`, `token` and `over`.
last_claim() {
  local path=$1/claim
  claim='' token='' over=''
  while read_text "$path" && [[ $text =~ \"token\":\"([0-9a-f]+)\" ]]; do
    place=$path claim=$text token=${BASH_REMATCH[1]}
    path=$1/claim.after-$token
  done
  [[ -n $token && -e $1/claim.over-$token ]] && over=over
}

# Who owns what is in the way, for the message about a folder that cannot be written.
owner_of() {
  local path=$1
  while [[ ! -e $path && $path == */* ]]; do path=${path%/*}; done
  REPLY="$path belongs to $(stat -c '%U:%G (mode %a)' -- "${path:-/}" 2>/dev/null)"
}

# Ends with what was tried to be written, what the last command said, and whose the place is.
refuse() {
  owner_of "$1"
  die "cannot write to $1${2:+: $2}; $REPLY"
}

# Appends lines to the completion log. Its first records are preceded by one for every settled job: from then on RepX
# would not look at the markers any more.
complete() {
  local log=$base/outputs/completions.jsonl lines='' marker job
  (( $# )) || return 0
  mkdir -p -- "$base/repx/temp" "$base/outputs" || return
  {
    if command -v flock >/dev/null; then flock 8; fi
    if [[ ! -s $log ]]; then
      for marker in "$base"/outputs/*/repx/SUCCESS "$base"/outputs/*/repx/FAIL; do
        job=${marker%/repx/*}
        job=${job##*/} job=${job//\\/\\\\} job=${job//\"/\\\"}
        case $marker in
          */SUCCESS) lines+="{\"id\":\"$job\",\"s\":\"ok\"}"$'\n' ;;
          *) [[ -e ${marker%FAIL}SUCCESS ]] || lines+="{\"id\":\"$job\",\"s\":\"fail\"}"$'\n' ;;
        esac
      done
    elif [[ -n $(tail -c 1 -- "$log") ]]; then
      lines=$'\n'
    fi
    printf -v lines '%s%s' "$lines" "$(printf '%s\n' "$@")"
    printf '%s\n' "$lines" >>"$log"
  } 8>>"$base/repx/temp/completions.lock"
}

ship() {
  local folder=$base/$1 temporary
  if [[ ! -d $folder ]]; then
    temporary=$base/repx/temp/.ship-$$-$RANDOM
    mkdir -p -- "$temporary" "${folder%/*}" || refuse "${folder%/*}"
    if ! tar -x -f - -C "$temporary" --no-same-owner --no-same-permissions; then
      rm -rf -- "$temporary"
      die "cannot write to $temporary"
    fi
    mv -T -- "$temporary" "$folder" 2>/dev/null || rm -rf -- "$temporary"
    [[ -d $folder ]] || die "cannot create $folder"
  fi
  command -v sbatch >/dev/null || die "no sbatch"
  read_text /proc/sys/kernel/random/boot_id
  answer "$(id -un 2>/dev/null || id -u)" "${text%$'\n'}" "$(tidy_is_due)"
}

# Says `due` when this user's folders were not tidied for a day.
tidy_is_due() {
  local now stamp=$base/repx/slurm/.tidied-$EUID
  local -a arrays=("$base"/repx/slurm/repx-*)
  (( ${#arrays[@]} )) || return 0
  printf -v now '%(%s)T' -1
  if (( now - $(stat -c %Y -- "$stamp" 2>/dev/null || echo 0) >= 86400 )); then echo due; fi
}

# Whether a unit is at rest: the last one of its claims has ended, so that nobody is about to take it over.
at_rest() {
  last_claim "$1/repx"
  [[ -z $claim || -n $over ]] || { read_text "$1/repx/attempt.json" && [[ $text == *"\"token\":\"$token\""* ]]; }
}

# Whether nobody needs an array's folder: no unit of it is being worked at. Without an index nothing of it can start.
is_spent() {
  local -a fields=()
  local number
  [[ -e $1/index ]] || return 0
  mapfile -d '' fields <"$1/index" || return 1
  for (( number = 1; number < ${#fields[@]}; number += 8 )); do
    at_rest "${fields[number]}" || return 1
  done
}

# An element in the queue needs its folder, however long it has been there. One that turns up later all the same finds
# no folder, and runs nothing. So folders go by one rename: none is ever there in part.
tidy() {
  local days=$1 slurm=$base/repx/slurm reference grave folder part queue count=0
  local -a old=()
  { mkdir -p -- "$base/repx/temp" "$slurm" && : >"$slurm/.tidied-$EUID"; } || die "cannot write to $base/repx"
  reference=$base/repx/temp/.tidy-$EUID-$$-$RANDOM
  touch -d "$days days ago" -- "$reference" || die "cannot write $reference"
  for folder in "$slurm"/repx-*; do
    [[ -d $folder && ! -L $folder && -O $folder ]] || continue
    for part in "$folder" "$folder"/*; do
      [[ $part -ot $reference ]] || continue 2
    done
    old+=("$folder")
  done
  rm -f -- "$reference"
  if (( ${#old[@]} )); then
    # Asked behind the look at the folders; where it does not answer, all stay.
    queue=$(env -i PATH="$PATH" ${SLURM_CONF:+SLURM_CONF="$SLURM_CONF"} squeue -h -a -o %j) || die "no queue"
    for folder in "${old[@]}"; do
      if [[ $'\n'$queue$'\n' != *$'\n'"${folder##*/}"$'\n'* ]] && is_spent "$folder"; then
        grave=$reference-$count
        if mv -T -- "$folder" "$grave" 2>/dev/null; then
          count=$(( count + 1 ))
          rm -rf -- "$grave"
        fi
      fi
    done
  fi
  answer "$count"
}

# In: folder, inputs, started, number of needs, needs..., number of sources, sources...
# Out: marker, whether its sources changed, record, last claim, whether that is over, first missing need, started
look() {
  local root inputs started count need source marker stale missing record
  while IFS= read -r -d '' root; do
    IFS= read -r -d '' inputs
    IFS= read -r -d '' started
    missing='' stale='' marker=''
    IFS= read -r -d '' count
    for (( ; count > 0; count-- )); do
      IFS= read -r -d '' need
      [[ -n $missing || -e $need/repx/SUCCESS ]] || missing=$need
    done
    IFS= read -r -d '' count
    for (( ; count > 0; count-- )); do
      IFS= read -r -d '' source
      [[ -e $inputs && $source -nt $inputs ]] && stale=stale
    done
    last_claim "$root/repx"
    read_text "$root/repx/attempt.json"
    record=$text
    if [[ -e $root/repx/SUCCESS ]]; then marker=SUCCESS; elif [[ -e $root/repx/FAIL ]]; then marker=FAIL; fi
    text=''
    [[ -z $started ]] || read_text "$started"
    answer "$marker" "$stale" "$record" "$claim" "$over" "$missing" "$text"
  done
}

# Stdin: tar with `units` (fields: path below the base, claim's name, token, whether a success may be taken) and `tree`,
# the new claims where they belong. Out, for each: won, done, lost or an error's text.
claim() {
  local folder=$base/repx/slurm/$1 path name own usable there problem
  mkdir -p -- "$folder" || refuse "$folder"
  if ! problem=$(tar -x -m -f - -C "$folder" --no-same-owner --no-same-permissions 2>&1); then
    rm -rf -- "$folder"
    die "cannot write to $folder: $problem"
  fi
  # Links all claims at once; one that is there already stays.
  problem=$(cp -rlnT -- "$folder/tree" "$base" 2>&1)
  while IFS= read -r -d '' path; do
    IFS= read -r -d '' name
    IFS= read -r -d '' own
    IFS= read -r -d '' usable
    there=$base/$path/repx/$name
    if [[ $there -ef $folder/tree/$path/repx/$name ]]; then
      if [[ -n $usable && -e $base/$path/repx/SUCCESS ]]; then
        : >"$base/$path/repx/claim.over-$own"
        answer 'done'
      else
        answer won
      fi
    elif [[ -e $there ]]; then
      answer lost
    else
      owner_of "$there"
      answer "cannot claim $base/$path: $problem; $REPLY"
    fi
  done <"$folder/units"
  rm -rf -- "$folder/tree" "$folder/units"
}

# Stdin, with `first`: tar with `files` (what jobs read, where it belongs), `outdated` (fields: folder, line for the
# completion log), `index` and `batch`. Out: ok and the job's number, or refused, the exit code and what sbatch said.
submit() {
  local folder=$base/repx/slurm/$1 spec=$2 first=$3 fresh problem root line entry pattern number
  local -a lines=() markers=() kept=()
  shift 3
  if [[ -n $first ]]; then
    fresh=$folder/fresh-$$-$RANDOM
    mkdir -p -- "$fresh" "$folder/started" || refuse "$folder"
    problem=$(tar -x -m -f - -C "$fresh" --no-same-owner --no-same-permissions 2>&1) ||
      die "cannot write to $folder: $problem"
    [[ ! -d $fresh/files ]] || problem=$(cp -rlfT -- "$fresh/files" "$base" 2>&1) ||
      die "cannot write what jobs read: $problem"
    while IFS= read -r -d '' root && IFS= read -r -d '' line; do
      [[ -z $line || ! -e $root/repx/SUCCESS ]] || lines+=("$line")
      markers+=("$root"/repx/SUCCES[S] "$root"/repx/FAI[L])
    done <"$fresh/outdated"
    complete "${lines[@]}" || die "cannot write to $base/outputs/completions.jsonl"
    if (( ${#markers[@]} )); then rm -f -- "${markers[@]}" || die "cannot remove markers that are out of date"; fi
    mv -f -- "$fresh/index" "$fresh/batch" "$folder/" || die "cannot write to $folder"
    rm -rf -- "$fresh"
  fi
  # A job sees what is listed here, and nothing else.
  while IFS= read -r -d '' entry; do
    for pattern; do
      # shellcheck disable=SC2053 # these are patterns
      if [[ ${entry%%=*} == $pattern ]]; then
        kept+=("$entry")
        break
      fi
    done
  done < <(env -0)
  cd / || die "cannot enter /"
  if number=$(env -i "${kept[@]}" sbatch --parsable --array="$spec" -- "$folder/batch" 2>"$folder/sbatch.log"); then
    number=${number%%;*}
    printf '%s %s\n' "$number" "$spec" >>"$folder/jobs"
    answer ok "$number"
  else
    answer refused "$?" "$(cat -- "$folder/sbatch.log")"
  fi
}

# In: folder, token, record or nothing, marker or nothing, line for the completion log or nothing, number of folders
# that fail with it, folders...
settle() {
  local root own record marker line count failing temporary
  local -a lines=()
  while IFS= read -r -d '' root; do
    IFS= read -r -d '' own
    IFS= read -r -d '' record
    IFS= read -r -d '' marker
    IFS= read -r -d '' line
    IFS= read -r -d '' count
    last_claim "$root/repx"
    if [[ -n $record && $token == "$own" ]]; then
      temporary=$root/repx/.attempt-$own.json
      printf '%s\n' "$record" >"$temporary" && mv -fT -- "$temporary" "$root/repx/attempt.json"
    fi
    if [[ -n $marker && $token == "$own" ]]; then : >"$root/repx/$marker"; fi
    : >"$root/repx/claim.over-$own"
    [[ -z $line ]] || lines+=("$line")
    for (( ; count > 0; count-- )); do
      IFS= read -r -d '' failing
      mkdir -p -- "$failing/repx" && : >"$failing/repx/FAIL"
    done
  done
  complete "${lines[@]}"
}

# In: file, where to begin (bytes). Out: at most its last 8192 bytes.
tails() {
  local file offset
  while IFS= read -r -d '' file && IFS= read -r -d '' offset; do
    answer "$(tail -c "+$(( offset + 1 ))" -- "$file" 2>/dev/null | tail -c 8192)"
  done
}

# In: folder of records. The lock of a claim that a process of this machine has made is free when that process and its
# job are gone.
reclaim() {
  local folder boot
  read_text /proc/sys/kernel/random/boot_id
  boot=${text%$'\n'}
  while IFS= read -r -d '' folder; do
    last_claim "$folder"
    if [[ $claim != *'"authority":"local"'* || $claim != *"\"boot_id\":\"$boot\""* ]]; then
      answer held
    elif command -v flock >/dev/null && { exec 7<"$place"; } 2>/dev/null; then
      if flock -n 7 && [[ /dev/fd/7 -ef $place ]]; then
        rm -f -- "$place"
        answer removed
      else
        answer held
      fi
      exec 7<&-
    else
      answer held
    fi
  done
}

case $command in
  ship | look | claim | submit | settle | tails | reclaim | tidy) "$command" "$@" ;;
  *) die "no command '$command'" ;;
esac
