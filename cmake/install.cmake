# `cmake --install`: the header, find_package(sx_vkalloc), and sx_vkalloc.pc.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sx_vkalloc)

configure_package_config_file(cmake/sx_vkalloc-config.cmake.in sx_vkalloc-config.cmake
    INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break the API.
write_basic_package_version_file(sx_vkalloc-config-version.cmake
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
# From the file back to the prefix: ../.. for lib/pkgconfig, ../../.. for lib/x86_64-linux-gnu/pkgconfig.
file(RELATIVE_PATH pc_up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
configure_file(cmake/sx_vkalloc.pc.in sx_vkalloc.pc @ONLY)

install(TARGETS sx_vkalloc EXPORT sx_vkalloc INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT sx_vkalloc NAMESPACE sx_vkalloc:: FILE sx_vkalloc-targets.cmake DESTINATION ${package_dir})
install(FILES sx_vkalloc.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/sx_vkalloc-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/sx_vkalloc-config-version.cmake
    DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sx_vkalloc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
