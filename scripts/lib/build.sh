# shellcheck shell=bash
# Configures and builds one folder, with ninja where it is there.
#     build build/release stepscope -DSTEPSCOPE_TESTS=OFF     # FOLDER TARGET CMAKE_OPTION...
# What the tools say goes to FOLDER.log; the errors in it are shown if the build fails. cuda_options: what to add for the cards here.

cuda_folder=.cache/cuda-13.0 # what scripts/cuda_toolkit makes

# The toolkit that a build takes, of CUDA 12 or later: CUDA_HOME, the system's, or the one that was fetched. "": none.
cuda_home() {
  local nvcc home
  nvcc=$(command -v nvcc || true)
  for home in "${CUDA_HOME:-}" ${nvcc:+"$(dirname "$(dirname "$(readlink -f "$nvcc")")")"} /usr/local/cuda "$PWD/$cuda_folder"; do
    if [ -n "$home" ] && [ -x "$home/bin/nvcc" ] && [[ $("$home/bin/nvcc" --version) =~ release\ 1[2-9] ]]; then
      echo "$home" && return
    fi
  done
}

nvidia_driver_is_here() {
  [ -e /dev/nvidiactl ] || [ -e /proc/driver/nvidia/version ] || [[ $(PATH=$PATH:/sbin ldconfig -p 2>/dev/null) == *libcuda.so.1* ]]
}

# What kernels are compiled for: the cards here, else all that were tried. A newer card compiles the last one's code itself.
cuda_architectures() {
  local major found=''
  for major in $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | cut -d. -f1 | sort -u); do
    case $major in
      8 | 9) found+="sm_${major}0;" ;;
      1?) found+="compute_90;" ;;
    esac
  done
  echo "${found:-sm_80;sm_90;compute_90;}"
}

cuda_options() { # one a line; none where there is no card to build for
  if ! nvidia_driver_is_here || [ -z "$(cuda_home)" ]; then return; fi
  printf -- '%s\n' -DSTEPSCOPE_CUDA=ON "-DSTEPSCOPE_CUDA_ARCHITECTURES=$(cuda_architectures | sed 's/;$//')"
}

build() {
  local folder=$1 target=$2 options=()
  shift 2
  if [ ! -e "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
  if command -v ccache >/dev/null; then options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  CUDA_HOME=$(cuda_home) quietly "$folder.configure.log" cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=Release "${options[@]}" "$@" || return
  quietly "$folder.log" cmake --build "$folder" --target "$target" -j "$(nproc)"
}
