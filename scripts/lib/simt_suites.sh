# shellcheck shell=bash
# The test suites of .cu files, as a filter of GoogleTest's: what runs on host SIMT. Found in the sources, so none can be forgotten.

simt_suites() {
  grep -rhoP '^TEST(_P|_F)?\(\K\w+' --include='*.cu' tests | sort -u | sed 's/.*/*&.*/' | paste -sd:
}
