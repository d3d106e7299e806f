# The CUDA machine. All of its sources are compiled as one file, since each would read the same headers again: by nvcc for cards
# (STEPSCOPE_CUDA), and by the C++ compiler for tests, where every thread of a kernel is a fiber (tests/support/host_simt).
find_path(CUDA_INCLUDE_DIR cuda_runtime.h HINTS $ENV{CUDA_HOME}/include PATHS /usr/local/cuda/include /opt/cuda/include)
find_library(CUBLASLT_LIBRARY cublasLt HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_program(NVCC nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin /opt/cuda/bin)

# Off until commands can choose a card: nobody then waits for code that nothing runs.
option(STEPSCOPE_CUDA "Compile the CUDA machine with nvcc: target stepscope_cuda" OFF)
set(STEPSCOPE_CUDA_ARCHITECTURES sm_90 CACHE STRING "What nvcc compiles for: sm_80, sm_90, and compute_90 for PTX")

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS model/*.cu)
list(SORT cuda_sources)

function(write_unity file)  # of the sources that follow
  set(text "")
  foreach(source ${ARGN})
    string(APPEND text "#include \"${source}\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
endfunction()

# One object for all architectures; ptxas tells registers and memory of each kernel in stepscope_cuda.ptxas, and a spill is an error.
function(add_cuda_machine)
  if(NOT NVCC OR NOT CUDA_INCLUDE_DIR)
    message(FATAL_ERROR "STEPSCOPE_CUDA needs nvcc and its headers: CUDA_HOME or NVCC says where")
  endif()
  set(targets "")
  foreach(architecture ${STEPSCOPE_CUDA_ARCHITECTURES})
    string(REGEX REPLACE "^(sm|compute)_" "compute_" virtual ${architecture})
    list(APPEND targets -gencode arch=${virtual},code=${architecture})
  endforeach()
  set(unity ${CMAKE_BINARY_DIR}/stepscope_cuda.cu)
  write_unity(${unity} ${cuda_sources})
  add_custom_command(
    OUTPUT stepscope_cuda.o
    COMMAND sh -c "\"$@\" 2> stepscope_cuda.ptxas || { cat stepscope_cuda.ptxas >&2; false; }" sh
      ${NVCC} -std=c++20 -O3 -lineinfo ${targets} --expt-relaxed-constexpr -Werror all-warnings
      -Xptxas -v,-warn-spills,-warn-lmem-usage,-Werror -Xcompiler=-Wall,-Wextra -I${CMAKE_SOURCE_DIR} -MD -MF stepscope_cuda.d
      -c ${unity} -o stepscope_cuda.o
    DEPENDS ${unity} DEPFILE ${CMAKE_BINARY_DIR}/stepscope_cuda.d VERBATIM)
  add_custom_target(stepscope_cuda ALL DEPENDS stepscope_cuda.o)
endfunction()

# Adds the CUDA machine and its tests to a test program, on fibers.
function(add_host_simt target)
  file(GLOB stand_in CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/host_simt/*.cpp)
  file(GLOB_RECURSE cuda_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cu)
  list(SORT cuda_tests)
  write_unity(${CMAKE_BINARY_DIR}/host_simt_kernels.cpp ${cuda_sources})
  write_unity(${CMAKE_BINARY_DIR}/host_simt_tests.cpp ${cuda_tests})
  add_library(host_simt OBJECT ${stand_in})  # never sanitized: it tells the sanitizers which fiber runs
  target_compile_options(host_simt PRIVATE -O2 -fno-strict-aliasing -fno-sanitize=all)
  # Device code reads memory through other types than it was written by.
  add_library(host_simt_kernels OBJECT ${CMAKE_BINARY_DIR}/host_simt_kernels.cpp ${CMAKE_BINARY_DIR}/host_simt_tests.cpp)
  target_compile_options(host_simt_kernels PRIVATE -fno-strict-aliasing)
  if(NOT STEPSCOPE_SANITIZE)
    target_compile_options(host_simt_kernels PRIVATE -O1)
  endif()
  foreach(library host_simt host_simt_kernels)
    target_include_directories(${library} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
    target_include_directories(${library} SYSTEM PRIVATE ${CUDA_INCLUDE_DIR})
    target_link_libraries(${library} PRIVATE stepscope_uses GTest::gtest)
  endforeach()
  target_link_libraries(${target} PRIVATE host_simt host_simt_kernels ${CUBLASLT_LIBRARY})
endfunction()
