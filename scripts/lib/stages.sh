# shellcheck shell=bash
# Stages of a script: one line when a stage begins, its duration when it ends, and what a tool wrote only if it failed.
#     stage "building" ; quietly build/demo.log cmake ... ; stage_done

stage_start=0

now() { printf '%s' "${EPOCHREALTIME//,/.}"; }

seconds_since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf (b - a < 10 ? "%.1f s" : "%.0f s"), b - a }'; }

stage() {
  stage_start=$(now)
  printf -- '-- %s\n' "$1"
}

stage_done() {
  printf '   %s: %s\n' "${1:-done}" "$(seconds_since "$stage_start")"
}

fail() { # fail STATUS LINE...: ends the script
  local status=$1
  shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$status"
}

# quietly LOG COMMAND...: what the command prints goes to LOG; the end of it is shown if the command fails.
quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    {
      grep -nE '(error|Error|FAILED|^E: )' "$log" | head -n 12 || true
      echo "   ... the last lines of $log:"
      tail -n 25 "$log"
    } >&2
  fi
  return "$status"
}
