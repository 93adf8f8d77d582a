# SPDX-License-Identifier: Apache-2.0
# heddle_library(dir LINKS ... PRIVATE ...): one library per directory, every .cc below it.
# heddle_program(dir [OUTPUT name] LINKS ...): the same, as a library plus main.cc, so that tests can link the parts.

add_library(heddle_flags INTERFACE)
target_compile_options(heddle_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)
target_include_directories(heddle_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(heddle_flags INTERFACE HEDDLE_VERSION="${PROJECT_VERSION}")
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # clang 16 and older report an old __cpp_concepts, and libstdc++ 12 then hides std::expected.
  target_compile_options(heddle_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-D__cpp_concepts=202002L>
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-builtin-macro-redefined> $<$<COMPILE_LANGUAGE:CXX>:-Wno-macro-redefined>)
endif()
if(HEDDLE_FUZZ)
  # The libraries must report the branches they take, or the fuzzer gropes in the dark.
  target_compile_options(heddle_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HEDDLE_SANITIZE)
  target_compile_options(heddle_flags INTERFACE -fsanitize=${HEDDLE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(heddle_flags INTERFACE -fsanitize=${HEDDLE_SANITIZE})
  if(HEDDLE_SANITIZE MATCHES "undefined")
    target_compile_options(heddle_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
  if(HEDDLE_SANITIZE MATCHES "thread")
    target_compile_options(heddle_flags INTERFACE -Wno-tsan)
  endif()
endif()

function(_heddle_sources dir out)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.cc)
  list(FILTER found EXCLUDE REGEX "/main\\.cc$")
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

function(heddle_library dir)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE" ${ARGN})
  _heddle_sources(${dir} sources)
  if(sources)
    add_library(${dir} STATIC ${sources})
    target_link_libraries(${dir} PUBLIC ${ARG_LINKS} heddle_flags PRIVATE ${ARG_PRIVATE})
  else()
    add_library(${dir} INTERFACE)
    target_link_libraries(${dir} INTERFACE ${ARG_LINKS} heddle_flags)
  endif()
  if(EXISTS ${CMAKE_SOURCE_DIR}/${dir}/parts.cmake)
    include(${CMAKE_SOURCE_DIR}/${dir}/parts.cmake)
  endif()
endfunction()

function(heddle_program dir)
  cmake_parse_arguments(ARG "" "OUTPUT" "LINKS;PRIVATE" ${ARGN})
  if(NOT ARG_OUTPUT)
    set(ARG_OUTPUT ${dir})
  endif()
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${dir}/main.cc)
    return()
  endif()
  _heddle_sources(${dir} sources)
  if(sources)
    add_library(${dir}_lib STATIC ${sources})
    target_link_libraries(${dir}_lib PUBLIC ${ARG_LINKS} heddle_flags)
  else()
    add_library(${dir}_lib INTERFACE)
    target_link_libraries(${dir}_lib INTERFACE ${ARG_LINKS} heddle_flags)
  endif()
  if(EXISTS ${CMAKE_SOURCE_DIR}/${dir}/parts.cmake)
    include(${CMAKE_SOURCE_DIR}/${dir}/parts.cmake)
  endif()
  add_executable(${dir} ${CMAKE_SOURCE_DIR}/${dir}/main.cc)
  target_link_libraries(${dir} PRIVATE ${dir}_lib)
  set_target_properties(${dir} PROPERTIES OUTPUT_NAME ${ARG_OUTPUT} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# heddle_bpf_skeleton(target name): compiles <dir>/bpf/<name>.bpf.c and makes "<name>.skel.h" includable by `target`.
function(heddle_bpf_skeleton target source)
  get_filename_component(name ${source} NAME_WE)
  set(out ${CMAKE_BINARY_DIR}/skel/${target})
  file(MAKE_DIRECTORY ${out})
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/datapath/*/bpf/*.h ${CMAKE_SOURCE_DIR}/base/drop_list.h)
  add_custom_command(
    OUTPUT ${out}/${name}.skel.h
    COMMAND ${CLANG_PROGRAM} -O2 -g -target bpf -mcpu=v3 -Wall -Werror
            -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -I${CMAKE_SOURCE_DIR}
            -c ${CMAKE_SOURCE_DIR}/${source} -o ${out}/${name}.bpf.o
    COMMAND ${BPFTOOL_PROGRAM} gen skeleton ${out}/${name}.bpf.o name ${name} > ${out}/${name}.skel.h
    DEPENDS ${CMAKE_SOURCE_DIR}/${source} ${headers}
    VERBATIM)
  add_custom_target(${target}_${name}_skel DEPENDS ${out}/${name}.skel.h)
  add_dependencies(${target} ${target}_${name}_skel)
  target_include_directories(${target} SYSTEM PRIVATE ${out})
endfunction()
