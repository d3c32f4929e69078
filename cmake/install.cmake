# What `make install` puts where: headers, libraries, command, manual page, pkg-config file and CMake package.
if(CMAKE_CROSSCOMPILING OR TNN_SANITIZE)
  return()
endif()

set_target_properties(tnn_shared PROPERTIES EXPORT_NAME tnn)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tinynn)

install(TARGETS tnn_static tnn_shared EXPORT tinynn)
if(TARGET tnn)
  install(TARGETS tnn)
endif()
install(DIRECTORY include/tinynn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES docs/tnn.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

install(EXPORT tinynn NAMESPACE tinynn:: FILE tinynn-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/tinynn-config.cmake.in ${CMAKE_BINARY_DIR}/tinynn-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tinynn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tinynn-config.cmake ${CMAKE_BINARY_DIR}/tinynn-config-version.cmake
        DESTINATION ${package_dir})

# Relative to itself, so that an installed tree can be moved.
file(RELATIVE_PATH TNN_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tinynn.pc.in ${CMAKE_BINARY_DIR}/tinynn.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tinynn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
