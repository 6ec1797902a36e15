# Makes the Python environment from a lock file with hashes. Sourced by spark-submit.sh and test.sh:
#   headrace_setup requirements.lock     leaves the interpreter in $python
# Safe to be killed, and to be run by two at a time.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${HEADRACE_VENV:-$root/.venv}"
[[ "$venv" == /* ]] || venv="$PWD/$venv"
python="$venv/bin/python"
build_tools='editables|hatchling|setuptools|wheel|packaging|pathspec|pluggy|trove-classifiers'

say() { echo "headrace: $*" >&2; }

# The stamp of a finished set-up: it is written last and names the lock, so neither a killed set-up nor
# a changed lock goes unnoticed. A folder that was moved counts as changed: scripts hold absolute paths.
stamp_of() { echo "$root $(cksum <"$root/$1")"; }
ready() { [[ -x "$python" && "$(cat "$venv/.ready-$1" 2>/dev/null)" == "$(stamp_of "$1")" ]]; }

# The other clone whose code an environment runs, where that clone is still there.
other_clone() {
  local stamp of
  for stamp in "$venv"/.ready-*; do
    [[ -f "$stamp" ]] || continue
    of="$(sed -E 's/ [0-9]+ [0-9]+$//' "$stamp")"
    if [[ -e "$of/setup.sh" && ! "$of" -ef "$root" ]]; then
      echo "$of"
      return
    fi
  done
  return 1
}

find_python() {
  local candidate
  for candidate in python3.12 python3.11 python3.13 python3 python; do
    if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "found no Python 3.11, 3.12 or 3.13 with its venv module on the PATH; install one" \
    "(for instance the packages python3.12 and python3.12-venv) and run this again"
  return 2
}

# One line a step, with its seconds; what it prints goes to a log, of which the end is shown on failure.
step() {
  local text="$1" started=$SECONDS job
  shift
  "$@" >>"$log" 2>&1 </dev/null &
  job=$!
  trap 'kill "$job" 2>/dev/null; exit 130' INT TERM # a background job does not hear Ctrl-C by itself
  if [[ -t 2 ]]; then
    while kill -0 "$job" 2>/dev/null; do
      printf '\rheadrace: %s ... %d s ' "$text" $((SECONDS - started)) >&2
      sleep 1
    done
    printf '\r\033[K' >&2
  else
    say "$text ..."
  fi
  local ended=0
  wait "$job" || ended=$?
  trap - INT TERM
  if ((ended == 0)); then
    say "$text: $((SECONDS - started)) s"
  else
    tail -n 15 "$log" >&2
    say "$text: failed; see above, or all of it in $log. If the package index was out of reach, run this again:" \
      "what was fetched is kept. A mirror is named by PIP_INDEX_URL."
    return 1
  fi
}

pip_install() { "$python" -m pip install --disable-pip-version-check --no-input "$@"; }

build_tools_of() { # the same versions and hashes as in the lock; some packages are built from source with them
  awk -v names="^($build_tools)==" '/^[A-Za-z0-9]/ {keep = $1 ~ names} keep' "$root/$1" >"$venv/build-tools.lock"
  pip_install --no-deps --require-hashes -r "$venv/build-tools.lock"
}

make_venv() {
  local base log="$venv/setup.log" other
  if other="$(other_clone)"; then # it would run this clone's code from then on, and nobody there would know
    say "$venv is the environment of the clone $other, which is still there;" \
      "give this one its own: remove the link $root/.venv, or set HEADRACE_VENV to a new folder"
    return 2
  fi
  if [[ -e "$venv/.unfinished" ]]; then
    say "an earlier set-up was not finished; starting anew in $venv"
    rm -rf "$venv"
  elif [[ -d "$venv" && ! -e "$venv/pyvenv.cfg" && -n "$(ls -A "$venv")" ]]; then
    say "$venv is a folder with something else in it; set HEADRACE_VENV to an empty or a new folder"
    return 2
  fi
  if [[ -e "$venv/pyvenv.cfg" && ! -x "$python" ]]; then
    say "the Python of $venv is gone; starting anew"
    rm -rf "$venv"
  fi
  base="$(find_python)" || return
  mkdir -p "$venv"
  : >"$venv/.unfinished"
  install_all "$1"
  local ended=$?
  rm -f "$venv/.unfinished" # pip's own failures leave whole packages; only a killed set-up is started anew
  return "$ended"
}

install_all() {
  local lock="$1"
  if ! "$python" -m pip --version >/dev/null 2>&1; then
    step "making $venv with $("$base" -V 2>&1)" "$base" -m venv "$venv" || return 1
  fi
  step "installing the build tools" build_tools_of "$lock" || return 1
  step "installing the packages of $lock (some minutes the first time)" \
    pip_install --no-build-isolation --require-hashes -r "$root/$lock" || return 1
  step "installing headrace itself" pip_install --no-deps --no-build-isolation -e "$root" || return 1
  say "$venv is ready: $(du -sm "$venv/" | cut -f1) MB"
  # The lock for development holds all that the one for running holds, in the same versions.
  stamp_of requirements.lock >"$venv/.ready-requirements.lock"
  stamp_of "$lock" >"$venv/.ready-$lock"
}

headrace_setup() {
  local lock="$1"
  ready "$lock" && return
  mkdir -p "$(dirname "$venv")"
  exec 9<"$(dirname "$venv")"
  if command -v flock >/dev/null && ! flock -n 9; then
    say "waiting for another set-up of $venv"
    flock 9
  fi
  if ! ready "$lock"; then make_venv "$lock" || return; fi
  exec 9<&-
}
