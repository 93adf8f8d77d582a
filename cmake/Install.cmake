# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: programs, systemd unit, schema, bash completion.
foreach(program vswitchd cli)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
  endif()
endforeach()

if(TARGET vswitchd)
  configure_file(${CMAKE_SOURCE_DIR}/vswitchd/vswitchd.service.in ${CMAKE_BINARY_DIR}/generated/vswitchd.service @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/generated/vswitchd.service DESTINATION lib/systemd/system)
  install(FILES ${CMAKE_SOURCE_DIR}/vswitchd/vswitch.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/heddle)
endif()
if(EXISTS ${CMAKE_SOURCE_DIR}/cli/vsctl.bash)
  install(FILES ${CMAKE_SOURCE_DIR}/cli/vsctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          RENAME vsctl)
endif()
