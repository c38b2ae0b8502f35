# Our own executables: their warnings, and the variants in which every test is built and run.
#
#   plain   as the build type says, with assertions
#   asan    AddressSanitizer with leak detection, and UBSan; the first finding ends the test
#   tsan    ThreadSanitizer, for tests that talk to no real driver
#
# A unit test `bins` is the executable test_bins and the CTest entry unit.bins; its twin is
# test_bins_asan and unit.bins.asan.

set(SX_VKALLOC_TEST_VARIANTS plain CACHE STRING "Variants of each test: plain, asan, tsan")

include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
endif()

set(sxvk_warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Wcast-qual)
if(SX_VKALLOC_WERROR)
    list(APPEND sxvk_warnings -Werror)
endif()

set(sxvk_lines $<$<C_COMPILER_ID:GNU,Clang>:-g1>) # for backtraces; variables cost a quarter more time
# Each test compiles the header anew: with these checks -O1 takes 11 s for one, -O0 takes 4.
set(sxvk_asan_flags -O0 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
set(sxvk_tsan_flags -O1 -fsanitize=thread -fno-builtin-memcpy) # else memcpy is inlined, and not seen

# sxvk_target_name(<result> <name> <variant>): plain has the name itself, the others a suffix.
function(sxvk_target_name result name variant)
    if(variant STREQUAL "plain")
        set(${result} ${name} PARENT_SCOPE)
    else()
        set(${result} ${name}_${variant} PARENT_SCOPE)
    endif()
endfunction()

# sxvk_own_code(<target> <variant>): language standard, warnings, and the flags of the variant.
function(sxvk_own_code target variant)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
        CXX_STANDARD 11 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    # The strict standard hides POSIX (clocks, files), which tests and tools use beside it.
    target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
    if(NOT variant MATCHES "^(plain|asan|tsan)$")
        message(FATAL_ERROR "SX_VKALLOC_TEST_VARIANTS: unknown variant '${variant}'")
    elseif(variant STREQUAL "plain")
        target_compile_options(${target} PRIVATE ${sxvk_warnings} ${sxvk_lines})
    else()
        # Sanitizers mislead the optimiser's warnings, and the plain twin has shown them already.
        target_compile_options(${target} PRIVATE ${sxvk_${variant}_flags} ${sxvk_lines})
        target_link_options(${target} PRIVATE ${sxvk_${variant}_flags})
    endif()
endfunction()

# sxvk_test(<name> <label> <source> [REAL_DRIVER] [PREFIX <of the executable>] [TIMEOUT <seconds>]
#           [DEFINE ...] [LINK ...] [ENVIRONMENT ...])
# One executable and one CTest entry per variant that this build wants. A real driver is not
# instrumented: ThreadSanitizer has nothing to say there, and LeakSanitizer needs some help.
function(sxvk_test name label source)
    cmake_parse_arguments(PARSE_ARGV 3 test "REAL_DRIVER" "PREFIX;TIMEOUT" "DEFINE;LINK;ENVIRONMENT")
    set(asan_dir ${PROJECT_SOURCE_DIR}/tests/support/asan)
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT 120)
    endif()
    foreach(variant IN LISTS SX_VKALLOC_TEST_VARIANTS)
        if(test_REAL_DRIVER AND variant STREQUAL "tsan")
            continue()
        endif()
        sxvk_target_name(target ${test_PREFIX}${name} ${variant})
        add_executable(${target} ${source})
        if(test_REAL_DRIVER AND variant STREQUAL "asan")
            target_sources(${target} PRIVATE ${asan_dir}/dlclose.c)
            set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
        endif()
        sxvk_own_code(${target} ${variant})
        target_compile_options(${target} PRIVATE -UNDEBUG)
        if(label STREQUAL "unit" AND variant STREQUAL "plain")
            target_compile_options(${target} PRIVATE -O1) # half the time of -O2, which the others have
        endif()
        target_compile_definitions(${target} PRIVATE ${test_DEFINE})
        target_link_libraries(${target} PRIVATE sx_vkalloc::sx_vkalloc ${CMAKE_DL_LIBS} m)
        foreach(library IN LISTS test_LINK)
            if(library MATCHES "^sxvk_(support|gpu)$")
                sxvk_target_name(library ${library} ${variant})
            endif()
            target_link_libraries(${target} PRIVATE ${library})
        endforeach()

        set(entry ${label}.${name})
        if(NOT variant STREQUAL "plain")
            string(APPEND entry .${variant})
        endif()
        add_test(NAME ${entry} COMMAND ${target})
        set_tests_properties(${entry} PROPERTIES LABELS ${label} TIMEOUT ${test_TIMEOUT})
        set_property(TEST ${entry} PROPERTY ENVIRONMENT ${test_ENVIRONMENT}
            "LSAN_OPTIONS=suppressions=${asan_dir}/lsan.supp:print_suppressions=0"
            "UBSAN_OPTIONS=print_stacktrace=1"
            "TSAN_OPTIONS=halt_on_error=1")
    endforeach()
endfunction()

# sxvk_not_run(<entry> <label> <reason>): a test whose tools are missing stays in sight, as not run.
function(sxvk_not_run entry label reason)
    message(STATUS "${entry} will not run: ${reason}")
    add_test(NAME ${entry} COMMAND ${CMAKE_COMMAND} -E false)
    set_tests_properties(${entry} PROPERTIES LABELS ${label} DISABLED ON)
endfunction()

# --- what several of them share: the simulated device, the trace reader, the real device ---------

find_package(LibLZMA REQUIRED)
find_path(CJSON_INCLUDE_DIR cjson/cJSON.h)
find_library(CJSON_LIBRARY cjson)
mark_as_advanced(CJSON_INCLUDE_DIR CJSON_LIBRARY)

file(GLOB support_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.c)
if(CJSON_INCLUDE_DIR AND CJSON_LIBRARY)
    set(SXVK_HAVE_SIM ON)
elseif(SX_VKALLOC_BUILD_TESTS)
    message(FATAL_ERROR "The tests need cJSON (libcjson-dev, cjson-devel, cjson)")
else()
    # The demo does without the simulated device, which reads its profiles with cJSON.
    set(SXVK_HAVE_SIM OFF)
    list(FILTER support_sources EXCLUDE REGEX "/sim\\.c$")
endif()

set(support_variants plain ${SX_VKALLOC_TEST_VARIANTS})
list(REMOVE_DUPLICATES support_variants)
foreach(variant IN LISTS support_variants)
    sxvk_target_name(support sxvk_support ${variant})
    add_library(${support} STATIC EXCLUDE_FROM_ALL ${support_sources})
    sxvk_own_code(${support} ${variant})
    target_include_directories(${support} PUBLIC ${PROJECT_SOURCE_DIR}/tests/support)
    target_link_libraries(${support} PUBLIC
        sx_vkalloc::sx_vkalloc Vulkan::Vulkan LibLZMA::LibLZMA Threads::Threads m)
    if(SX_VKALLOC_BUILD_TESTS)
        target_compile_options(${support} PRIVATE -UNDEBUG)
    endif()
    if(SXVK_HAVE_SIM)
        target_include_directories(${support} SYSTEM PUBLIC ${CJSON_INCLUDE_DIR})
        target_link_libraries(${support} PUBLIC ${CJSON_LIBRARY})
    endif()
endforeach()
