# SPDX-License-Identifier: Apache-2.0
# The schema is part of the binary: schema.cc is made from the JSON file, and made anew when that changes.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/vswitchd/vswitch.schema.json)
file(READ ${CMAKE_SOURCE_DIR}/vswitchd/vswitch.schema.json VSWITCH_SCHEMA)
configure_file(${CMAKE_SOURCE_DIR}/vswitchd/schema.cc.in ${CMAKE_BINARY_DIR}/generated/vswitchd/schema.cc @ONLY)
target_sources(vswitchd_lib PRIVATE ${CMAKE_BINARY_DIR}/generated/vswitchd/schema.cc)
