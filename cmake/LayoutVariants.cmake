# SPDX-License-Identifier: Apache-2.0
# Daemons with other pinned maps than vswitchd's, for the upgrade test alone (tests/conformance/test_upgrade.py):
#   vswitchd_additive      the same layout with one map more
#   vswitchd_other_layout  another layout
# Two source files and the TC programs depend on that; the rest is the daemon's own library.
function(heddle_layout_variant name definition)
  set(out ${CMAKE_BINARY_DIR}/skel/${name})
  file(MAKE_DIRECTORY ${out})
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/datapath/kernel/bpf/*.h ${CMAKE_SOURCE_DIR}/base/drop_list.h)
  add_custom_command(
    OUTPUT ${out}/tc_switch.skel.h
    COMMAND ${CLANG_PROGRAM} -O2 -g -target bpf -mcpu=v3 -Wall -Werror -D${definition}
            -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -I${CMAKE_SOURCE_DIR}
            -c ${CMAKE_SOURCE_DIR}/datapath/kernel/bpf/tc_switch.bpf.c -o ${out}/tc_switch.bpf.o
    COMMAND ${BPFTOOL_PROGRAM} gen skeleton ${out}/tc_switch.bpf.o name tc_switch > ${out}/tc_switch.skel.h
    DEPENDS ${CMAKE_SOURCE_DIR}/datapath/kernel/bpf/tc_switch.bpf.c ${headers}
    VERBATIM)
  # Their object files come first, so the linker does not take those of the library.
  add_executable(${name} ${CMAKE_SOURCE_DIR}/vswitchd/main.cc ${CMAKE_SOURCE_DIR}/datapath/kernel/programs.cc
                         ${CMAKE_SOURCE_DIR}/datapath/kernel/kernel_datapath.cc ${out}/tc_switch.skel.h)
  target_compile_definitions(${name} PRIVATE ${definition})
  target_include_directories(${name} SYSTEM BEFORE PRIVATE ${out})
  target_link_libraries(${name} PRIVATE vswitchd_lib deps::bpf)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

heddle_layout_variant(vswitchd_additive HEDDLE_TEST_ADDITIVE_LAYOUT)
heddle_layout_variant(vswitchd_other_layout HEDDLE_TEST_OTHER_LAYOUT)
