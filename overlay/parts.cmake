# SPDX-License-Identifier: Apache-2.0
# The reflector's schema is part of the program, as vswitchd's is.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/overlay/overlay.ovsschema)
file(READ ${CMAKE_SOURCE_DIR}/overlay/overlay.ovsschema OVERLAY_SCHEMA)
configure_file(${CMAKE_SOURCE_DIR}/overlay/schema.cc.in ${CMAKE_BINARY_DIR}/generated/overlay/schema.cc @ONLY)
target_sources(overlay PRIVATE ${CMAKE_BINARY_DIR}/generated/overlay/schema.cc)
