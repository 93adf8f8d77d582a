# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: programs, systemd unit, schema, bash completion, manual pages, documentation with the licences.
foreach(program vswitchd cli reflector)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
  endif()
endforeach()

if(TARGET vswitchd)
  configure_file(${CMAKE_SOURCE_DIR}/vswitchd/vswitchd.service.in ${CMAKE_BINARY_DIR}/generated/vswitchd.service @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/generated/vswitchd.service DESTINATION lib/systemd/system)
  install(FILES ${CMAKE_SOURCE_DIR}/vswitchd/vswitchd.logrotate DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/logrotate.d RENAME vswitchd)
  install(FILES ${CMAKE_SOURCE_DIR}/vswitchd/vswitch.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/heddle)
  foreach(unit heddle-evpn.service heddle-evpn.path)
    configure_file(${CMAKE_SOURCE_DIR}/overlay/evpn/${unit}.in ${CMAKE_BINARY_DIR}/generated/${unit} @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/generated/${unit} DESTINATION lib/systemd/system)
  endforeach()
  install(PROGRAMS ${CMAKE_SOURCE_DIR}/overlay/evpn/evpn-frr DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/heddle)
endif()
if(TARGET reflector)
  configure_file(${CMAKE_SOURCE_DIR}/reflector/reflectord.service.in ${CMAKE_BINARY_DIR}/generated/reflectord.service @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/generated/reflectord.service DESTINATION lib/systemd/system)
  install(FILES ${CMAKE_SOURCE_DIR}/overlay/overlay.ovsschema DESTINATION ${CMAKE_INSTALL_DATADIR}/heddle)
endif()
if(EXISTS ${CMAKE_SOURCE_DIR}/cli/vsctl.bash)
  install(FILES ${CMAKE_SOURCE_DIR}/cli/vsctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          RENAME vsctl)
endif()

install(FILES ${CMAKE_SOURCE_DIR}/docs/man/vswitchd.8 ${CMAKE_SOURCE_DIR}/docs/man/vsctl.8 ${CMAKE_SOURCE_DIR}/docs/man/reflectord.8
        DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
# As they lie in the source, so that their links to each other hold.
install(FILES LICENSE README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSES/GPL-2.0-only.txt DESTINATION ${CMAKE_INSTALL_DOCDIR}/LICENSES)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "man" EXCLUDE)
