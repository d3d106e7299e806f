# The CUDA machine. All of its sources are compiled as one file, since each would read the same headers again: by nvcc for cards
# (STEPSCOPE_CUDA), and by the C++ compiler for tests, where every thread of a kernel is a fiber (tests/support/host_simt).
find_path(CUDA_INCLUDE_DIR cuda_runtime.h HINTS $ENV{CUDA_HOME}/include PATHS /usr/local/cuda/include /opt/cuda/include)
find_library(CUBLASLT_LIBRARY cublasLt HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_library(CUDART_STATIC_LIBRARY cudart_static HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS $ENV{CUDA_HOME}/include PATHS /usr/local/cuda/include /opt/cuda/include)
if(NOT EXISTS "${CUDNN_FRONTEND_INCLUDE_DIR}/cudnn_frontend.h")
  unset(CUDNN_FRONTEND_INCLUDE_DIR CACHE)  # it may have been fetched since, or moved
endif()
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CMAKE_SOURCE_DIR}/build/cudnn_frontend/include $ENV{CUDA_HOME}/include)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS $ENV{CUDA_HOME}/lib64 PATHS /usr/local/cuda/lib64 /opt/cuda/lib64)
find_program(NVCC nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin /opt/cuda/bin)

# On by scripts/lib/build.sh where a card's driver is: nobody else waits for code that nothing runs.
option(STEPSCOPE_CUDA "Compile the CUDA machine with nvcc into the program" OFF)
set(STEPSCOPE_CUDA_ARCHITECTURES sm_90 CACHE STRING "What nvcc compiles for: sm_80, sm_90, and compute_90 for PTX")

# cuDNN's attention: one file knows cuDNN, which is loaded when asked for. Only programs with cards and tests use it, so nobody else compiles
# the frontend's headers.
if(((STEPSCOPE_TESTS AND STEPSCOPE_HOST_SIMT) OR STEPSCOPE_CUDA) AND CUDA_INCLUDE_DIR AND CUDNN_INCLUDE_DIR AND CUDNN_FRONTEND_INCLUDE_DIR)
  set(STEPSCOPE_CUDNN ON)
  set_source_files_properties(model/cuda/cudnn_attention.cpp PROPERTIES
    COMPILE_DEFINITIONS "STEPSCOPE_CUDNN;NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING;CUDNN_FRONTEND_SKIP_JSON_LIB"
    SKIP_PRECOMPILE_HEADERS ON COMPILE_OPTIONS "-O0;-isystem;${CUDNN_FRONTEND_INCLUDE_DIR};-isystem;${CUDNN_INCLUDE_DIR};-isystem;${CUDA_INCLUDE_DIR}")
  target_link_libraries(stepscope_lib PRIVATE ${CMAKE_DL_LIBS})
elseif((STEPSCOPE_TESTS AND STEPSCOPE_HOST_SIMT) OR STEPSCOPE_CUDA)
  message(STATUS "cuDNN's attention: left out, cudnn.h or cudnn_frontend.h (PyPI's nvidia-cudnn-frontend) was not found")
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

# One object for all architectures, from one file; ptxas tells registers and memory of each kernel in NAME.ptxas.
function(compile_with_nvcc name source)  # further options of nvcc follow
  if(NOT NVCC OR NOT CUDA_INCLUDE_DIR)
    message(FATAL_ERROR "STEPSCOPE_CUDA needs nvcc and its headers: CUDA_HOME or NVCC says where")
  endif()
  set(targets "")
  foreach(architecture ${STEPSCOPE_CUDA_ARCHITECTURES})
    string(REGEX REPLACE "^(sm|compute)_" "compute_" virtual ${architecture})
    list(APPEND targets -gencode arch=${virtual},code=${architecture})
  endforeach()
  add_custom_command(
    OUTPUT ${name}.o
    COMMAND sh -c "\"$@\" 2> ${name}.ptxas || { cat ${name}.ptxas >&2; false; }" sh
      ${NVCC} -std=c++20 ${targets} --expt-relaxed-constexpr -Werror all-warnings -Xptxas -v -Xcompiler=-Wall,-Wextra
      -I${CMAKE_SOURCE_DIR} ${ARGN} -MD -MF ${name}.d -c ${source} -o ${name}.o
    DEPENDS ${source} DEPFILE ${CMAKE_BINARY_DIR}/${name}.d VERBATIM)
  set_source_files_properties(${CMAKE_BINARY_DIR}/${name}.o PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
endfunction()

function(add_cuda_machine)  # a spill is an error
  set(unity ${CMAKE_BINARY_DIR}/stepscope_cuda.cu)
  write_unity(${unity} ${cuda_sources})
  compile_with_nvcc(stepscope_cuda ${unity} -O3 -lineinfo -Xptxas -warn-spills,-warn-lmem-usage,-Werror)
  add_custom_target(stepscope_cuda ALL DEPENDS stepscope_cuda.o)
endfunction()

# CUDA's runtime is linked in, cuBLASLt loaded when a card is asked for (model/cuda/cublaslt_loader.cu) and cuDNN when its attention is, so
# that the program starts where there is neither driver nor library. The run path is for the loading.
function(link_cuda_machine target)
  if(NOT CUDART_STATIC_LIBRARY)
    message(FATAL_ERROR "STEPSCOPE_CUDA needs libcudart_static.a: CUDA_HOME says where")
  endif()
  add_dependencies(${target} stepscope_cuda)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/stepscope_cuda.o)
  target_link_libraries(${target} PRIVATE ${CUDART_STATIC_LIBRARY} Threads::Threads ${CMAKE_DL_LIBS} rt)
  set(folders "")
  foreach(library ${CUBLASLT_LIBRARY} ${CUDNN_LIBRARY})
    if(library)
      get_filename_component(folder ${library} DIRECTORY)
      list(APPEND folders ${folder})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES folders)
  set_target_properties(${target} PROPERTIES BUILD_RPATH "${CMAKE_BUILD_RPATH};${folders}"
    INSTALL_RPATH "${CMAKE_INSTALL_RPATH};${folders}")
endfunction()

# Adds the CUDA machine and its tests to a test program, on fibers; and makes stepscope_simulated, the whole program with the stand-in in
# CUDA's place and of the same objects, for --device simulated:CARD. It is never installed.
function(add_host_simt target)
  file(GLOB stand_in CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/host_simt/*.cpp)
  file(GLOB_RECURSE cuda_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cu)
  list(SORT cuda_tests)
  write_unity(${CMAKE_BINARY_DIR}/host_simt_kernels.cpp ${cuda_sources})
  write_unity(${CMAKE_BINARY_DIR}/host_simt_tests.cpp ${cuda_tests})
  add_library(host_simt OBJECT ${stand_in})  # never sanitized: it tells the sanitizers which fiber runs
  target_compile_options(host_simt PRIVATE -O2 -fno-strict-aliasing -fno-sanitize=all)
  # Device code reads memory through other types than it was written by.
  add_library(host_simt_kernels OBJECT ${CMAKE_BINARY_DIR}/host_simt_kernels.cpp)
  add_library(host_simt_tests OBJECT ${CMAKE_BINARY_DIR}/host_simt_tests.cpp)
  foreach(library host_simt_kernels host_simt_tests)
    target_compile_options(${library} PRIVATE -fno-strict-aliasing)
    if(NOT STEPSCOPE_SANITIZE)
      target_compile_options(${library} PRIVATE -O1)
    endif()
  endforeach()
  foreach(library host_simt host_simt_kernels host_simt_tests)
    target_include_directories(${library} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support)
    target_include_directories(${library} SYSTEM PRIVATE ${CUDA_INCLUDE_DIR})
    target_link_libraries(${library} PRIVATE stepscope_uses GTest::gtest)
  endforeach()
  target_link_libraries(${target} PRIVATE host_simt host_simt_kernels host_simt_tests ${CUBLASLT_LIBRARY} ${CMAKE_DL_LIBS})
  add_executable(stepscope_simulated $<TARGET_OBJECTS:stepscope_main>
    ${CMAKE_SOURCE_DIR}/tests/support/host_simt/program/only_simulated.cpp)
  target_link_libraries(stepscope_simulated PRIVATE host_simt host_simt_kernels stepscope_lib ${CUBLASLT_LIBRARY})
  add_dependencies(${target} stepscope_simulated)  # end-to-end tests run it
  if(STEPSCOPE_CUDNN)
    file(GLOB cudnn_stand_in CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/cudnn_stand_in/*.cpp)
    add_library(cudnn_stand_in MODULE ${cudnn_stand_in})  # loaded in the real library's place
    target_compile_options(cudnn_stand_in PRIVATE -O2 -fno-sanitize=all)
    target_include_directories(cudnn_stand_in PRIVATE ${CMAKE_SOURCE_DIR})
    target_include_directories(cudnn_stand_in SYSTEM PRIVATE ${CUDA_INCLUDE_DIR} ${CUDNN_INCLUDE_DIR})
    target_link_libraries(cudnn_stand_in PRIVATE ${CMAKE_DL_LIBS})
    add_dependencies(${target} cudnn_stand_in)
  endif()
  if(NOT STEPSCOPE_SANITIZE AND NOT STEPSCOPE_TESTS_OF)
    add_sanitized_simt(${target} simt_address address,undefined)
    add_sanitized_simt(${target} simt_thread thread)
  endif()
endfunction()

# The tests of the CUDA machine on a card itself, with CUDA's own runtime in place of the stand-in: stepscope_card_tests.
function(add_card_tests)
  file(GLOB_RECURSE card_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*.cu)
  list(FILTER card_tests EXCLUDE REGEX "tests/support/host_simt/")
  list(SORT card_tests)
  file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/*.cpp ${CMAKE_SOURCE_DIR}/tests/support/naive/*.cpp)
  set(unity ${CMAKE_BINARY_DIR}/stepscope_card_tests.cu)
  write_unity(${unity} ${card_tests})
  get_target_property(folders GTest::gtest INTERFACE_INCLUDE_DIRECTORIES)
  list(REMOVE_ITEM folders ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})  # where g++ looks by itself, and in its order
  list(TRANSFORM folders PREPEND -I)
  compile_with_nvcc(stepscope_card_tests ${unity} -O1 ${folders})
  add_custom_target(card_tests_object DEPENDS stepscope_card_tests.o)  # waits for nothing else
  add_library(card_test_support STATIC EXCLUDE_FROM_ALL ${support})
  target_compile_options(card_test_support PRIVATE -O0)
  target_compile_definitions(card_test_support PRIVATE STEPSCOPE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(card_test_support PUBLIC stepscope_lib GTest::gtest GTest::gmock)
  add_executable(stepscope_card_tests EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/stepscope_card_tests.o)
  set_target_properties(stepscope_card_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(stepscope_card_tests PRIVATE card_test_support GTest::gtest_main)
  add_dependencies(stepscope_card_tests card_tests_object)
  link_cuda_machine(stepscope_card_tests)
endfunction()

# The test program with kernels, what issues them and their tests sanitized, and all else as it is: built by scripts/simt_sanitizers alone.
function(add_sanitized_simt tests name sanitizers)
  add_library(${name}_kernels OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/host_simt_kernels.cpp
    ${CMAKE_BINARY_DIR}/host_simt_tests.cpp)
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
  target_link_libraries(${name} PRIVATE stepscope_lib GTest::gtest GTest::gmock GTest::gtest_main ${CUBLASLT_LIBRARY}
    ${CMAKE_DL_LIBS})
endfunction()
