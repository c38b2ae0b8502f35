/*  test_validate_release.c - test_validate.c as a release build sees it: no assertion, no stderr.

    Run by CTest (unit.validate_release).
*/
#define SX_VKALLOC_DEBUG 0
#include "test_validate.c"
