# shellcheck shell=bash
# Configures and builds one folder, with ninja where it is there.
#     build build/release stepscope -DSTEPSCOPE_TESTS=OFF     # FOLDER TARGET CMAKE_OPTION...
# What the tools say goes to FOLDER.log; the errors in it are shown if the build fails.

build() {
  local folder=$1 target=$2 options=()
  shift 2
  if [ ! -e "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
  if command -v ccache >/dev/null; then options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  quietly "$folder.configure.log" cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=Release "${options[@]}" "$@" || return
  quietly "$folder.log" cmake --build "$folder" --target "$target" -j "$(nproc)"
}
