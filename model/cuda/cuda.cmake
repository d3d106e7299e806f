# The CUDA machine. All of its sources are compiled as one file, since each would read the same headers again: by nvcc for cards
# (STEPSCOPE_CUDA), and by the C++ compiler for tests, where every thread of a kernel is a fiber (tests/support/host_simt).
find_path(CUDA_INCLUDE_DIR cuda_runtime.h HINTS $ENV{CUDA_HOME}/include PATHS /usr/local/cuda/include /opt/cuda/include)
find_library(CUBLASLT_LIBRARY cublasLt HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_library(CUDART_STATIC_LIBRARY cudart_static HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS $ENV{CUDA_HOME}/include PATHS /usr/local/cuda/include /opt/cuda/include)
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CMAKE_SOURCE_DIR}/build/cudnn_frontend $ENV{CUDA_HOME}/include)
find_program(NVCC nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin /opt/cuda/bin)

# On by scripts/lib/build.sh where a card's driver is: nobody else waits for code that nothing runs.
option(STEPSCOPE_CUDA "Compile the CUDA machine with nvcc into the program" OFF)
set(STEPSCOPE_CUDA_ARCHITECTURES sm_90 CACHE STRING "What nvcc compiles for: sm_80, sm_90, and compute_90 for PTX")

# Plans of cuDNN's attention: one file knows cuDNN, and loads it. Only tests use it, so nobody else compiles the frontend's headers.
if(STEPSCOPE_TESTS AND CUDA_INCLUDE_DIR AND CUDNN_INCLUDE_DIR AND CUDNN_FRONTEND_INCLUDE_DIR)
  set_source_files_properties(model/cuda/cudnn_attention.cpp PROPERTIES
    COMPILE_DEFINITIONS "STEPSCOPE_CUDNN;NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING;CUDNN_FRONTEND_SKIP_JSON_LIB"
    COMPILE_OPTIONS "-O0;-isystem;${CUDNN_FRONTEND_INCLUDE_DIR};-isystem;${CUDNN_INCLUDE_DIR};-isystem;${CUDA_INCLUDE_DIR}")
  target_link_libraries(stepscope_lib PRIVATE ${CMAKE_DL_LIBS})
else()
  message(STATUS "cuDNN's attention is not planned: it takes the tests, cudnn.h and cudnn_frontend.h (PyPI's nvidia-cudnn-frontend)")
endif()

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

# CUDA's runtime is linked in and cuBLASLt loaded when a card is asked for (model/cuda/cublaslt_loader.cu), so that the program starts where
# there is neither driver nor library. The run path is for the loading.
function(link_cuda_machine target)
  if(NOT CUDART_STATIC_LIBRARY)
    message(FATAL_ERROR "STEPSCOPE_CUDA needs libcudart_static.a: CUDA_HOME says where")
  endif()
  add_dependencies(${target} stepscope_cuda)
  set_source_files_properties(${CMAKE_BINARY_DIR}/stepscope_cuda.o PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/stepscope_cuda.o)
  target_link_libraries(${target} PRIVATE ${CUDART_STATIC_LIBRARY} Threads::Threads ${CMAKE_DL_LIBS} rt)
  if(CUBLASLT_LIBRARY)
    get_filename_component(folder ${CUBLASLT_LIBRARY} DIRECTORY)
    set_target_properties(${target} PROPERTIES BUILD_RPATH ${folder} INSTALL_RPATH ${folder})
  endif()
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
  if(NOT STEPSCOPE_SANITIZE AND NOT STEPSCOPE_TESTS_OF)
    add_sanitized_simt(${target} simt_address address,undefined)
    add_sanitized_simt(${target} simt_thread thread)
  endif()
endfunction()

# The test program with kernels, what issues them and their tests sanitized, and all else as it is: built by scripts/simt_sanitizers alone.
function(add_sanitized_simt tests name sanitizers)
  add_library(${name}_kernels OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/host_simt_kernels.cpp ${CMAKE_BINARY_DIR}/host_simt_tests.cpp)
  set(options -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(${name}_kernels PRIVATE -fno-strict-aliasing -O1 ${options} -Wno-maybe-uninitialized)
  target_compile_definitions(${name}_kernels PRIVATE STEPSCOPE_SANITIZED)
  target_include_directories(${name}_kernels PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
  target_include_directories(${name}_kernels SYSTEM PRIVATE ${CUDA_INCLUDE_DIR})
  target_link_libraries(${name}_kernels PRIVATE stepscope_uses GTest::gtest)
  # Sanitized objects come first: of a function that several have, the linker takes the first.
  add_executable(${name} EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${name}_kernels> $<TARGET_OBJECTS:host_simt>
    $<FILTER:$<TARGET_OBJECTS:${tests}>,EXCLUDE,allocation_test>)  # replaces operator new, as sanitizers do
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_options(${name} PRIVATE -fsanitize=${sanitizers})
  target_link_libraries(${name} PRIVATE stepscope_lib GTest::gtest GTest::gmock GTest::gtest_main ${CUBLASLT_LIBRARY})
endfunction()
