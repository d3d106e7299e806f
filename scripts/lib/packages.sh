# shellcheck shell=bash
# The Debian and Ubuntu packages that stepscope uses, by purpose, and how a script gets them.
#     get_packages build report --wish text format     # one apt call for all that is missing
# What is needed and cannot be had ends the script with one line; what is wished for may be lacking in a release.
# Nothing missing: apt is not called. STEPSCOPE_PACKAGES=no: install nothing, go on with what is there.
# Names are the same in Debian 12 and 13 and in Ubuntu 24.04; versions differ, the build takes each (see README).

packages_for() {
  case $1 in
    build) echo g++ cmake ninja-build libfmt-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libdnnl-dev libpcre2-dev zlib1g-dev ;;
    report) echo python3 python3-matplotlib python3-jinja2 ;;
    text) echo bible-kjv ;;
    pip) echo python3-pip ;; # only for what no package of the release has: NVTX's headers, a text where bible-kjv is lacking
    tests) echo libgtest-dev libgmock-dev python3 ;;
    benchmarks) echo libbenchmark-dev ;;
    format) echo clang-format-14 shellcheck ;; # 14: another version formats differently
    *) fail 2 "no packages are listed for '$1'" ;;
  esac
}

missing_packages() { # missing_packages PURPOSE...: one name a line
  local purpose package installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
  for purpose in "$@"; do
    for package in $(packages_for "$purpose"); do
      grep -qxF -- "$package" <<<"$installed" || echo "$package"
    done
  done | sort -u
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@" # nobody is there to type a password
  fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
    apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -y --no-install-recommends "$@"
}

apt_knows() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]; }

apt_install() { # apt_install PACKAGE... [--wish PACKAGE...]: a wished one is left out if this release does not have it
  local packages=() wished=no word
  apt_get update || return
  for word in "$@"; do
    if [ "$word" = --wish ]; then
      wished=yes
    elif [ $wished = no ] || apt_knows "$word"; then
      packages+=("$word")
    fi
  done
  [ ${#packages[@]} -eq 0 ] || apt_get install "${packages[@]}"
}

# Only if there is something to gain: apt may never have been asked, or knows the package.
worth_asking() {
  local package
  compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || return 0
  for package in "$@"; do
    if apt_knows "$package"; then return 0; fi
  done
  return 1
}

get_packages() { # get_packages PURPOSE... [--wish PURPOSE...]
  local needed=() wished=() word missing missing_wished
  for word in "$@"; do
    if [ "$word" = --wish ]; then wished=(--wish); elif [ ${#wished[@]} -gt 0 ]; then wished+=("$word"); else needed+=("$word"); fi
  done
  wished=("${wished[@]:1}")
  [ "${STEPSCOPE_PACKAGES:-}" != no ] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "   no apt here; needed: $(for word in "${needed[@]}"; do packages_for "$word"; done | xargs) (Debian's names)"
    return 0
  fi
  missing=$(missing_packages "${needed[@]}" | xargs)
  missing_wished=$(missing_packages "${wished[@]}" | xargs)
  # shellcheck disable=SC2086
  if [ -z "$missing" ] && ! { [ -n "$missing_wished" ] && can_be_root && worth_asking $missing_wished; }; then return 0; fi
  can_be_root || fail 3 "not root and no sudo; run as root: apt-get update && apt-get install -y $missing" \
    "(or set STEPSCOPE_PACKAGES=no to go on with what is there)"
  echo "   installing $(xargs <<<"$missing $missing_wished")"
  # shellcheck disable=SC2086
  if ! quietly build/packages.log apt_install $missing --wish $missing_wished && [ -n "$missing" ]; then
    fail 3 "apt-get failed; build/packages.log holds all of it"
  fi
  missing=$(missing_packages "${needed[@]}" | xargs) # apt can end with status 0 and have installed nothing
  [ -z "$missing" ] || fail 3 "apt-get did not install $missing; build/packages.log holds what it said"
}

# NVTX's headers (148 kB, Apache-2.0 with LLVM exception) into build/nvtx, where cmake looks for them: no Debian or Ubuntu
# package of their own archives has them. A CUDA toolkit has its own. Without them the build leaves the ranges out and says so.
get_nvtx() {
  local folder status=0
  [ "${STEPSCOPE_PACKAGES:-}" != no ] || return 0
  if [ -e build/nvtx/nvtx3/nvToolsExtPayload.h ] || [ -e /usr/local/cuda/include/nvtx3/nvToolsExtPayload.h ]; then return 0; fi
  mkdir -p build
  folder=$(mktemp -d build/nvtx.XXXXXX)
  {
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --retries 1 --timeout 10 --dest "$folder" nvidia-nvtx==13.0.85 &&
      python3 -m zipfile -e "$folder"/nvidia_nvtx-*.whl "$folder/wheel" &&
      rm -rf build/nvtx && mv "$folder"/wheel/nvidia/*/include build/nvtx
  } >build/nvtx.log 2>&1 || status=$?
  rm -rf "$folder"
  [ $status -eq 0 ] || echo "   NVTX's headers could not be had from PyPI (build/nvtx.log): built without ranges for Nsight Systems"
}

# Headers of cuDNN's C++ frontend (Apache-2.0) into build/cudnn_frontend/include, whose name they rely on: with them cuDNN's attention is
# compiled, without it is left out and its tests are skipped.
get_cudnn_frontend() {
  local folder status=0
  if [ "${STEPSCOPE_PACKAGES:-}" = no ] || [ -e build/cudnn_frontend/include/cudnn_frontend.h ]; then return 0; fi
  mkdir -p build
  folder=$(mktemp -d build/cudnn_frontend.XXXXXX)
  {
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --retries 1 --timeout 10 \
      --target "$folder" nvidia-cudnn-frontend==1.32.0 &&
      rm -rf build/cudnn_frontend && mkdir build/cudnn_frontend && mv "$folder"/include build/cudnn_frontend/
  } >build/cudnn_frontend.log 2>&1 || status=$?
  rm -rf "$folder"
  [ $status -eq 0 ] || echo "   cuDNN's frontend could not be had from PyPI (build/cudnn_frontend.log): built without its attention"
}
