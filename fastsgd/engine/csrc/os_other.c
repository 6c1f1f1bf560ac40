/* Cores, behind os.h, where a system has no affinity, or none that is used here: macOS, Windows and others. */
#if !defined(__linux__)
#include "os.h"

int fs_core(void) { return -1; }
int fs_cores_count(const fs_cores *cores) { return (void)cores, 0; }
int fs_cores_equal(const fs_cores *a, const fs_cores *b) { return (void)a, (void)b, 1; }
void fs_cores_remove(fs_cores *cores, int core) { (void)cores, (void)core; }
void fs_restrict_thread(fs_thread thread, const fs_cores *cores) { (void)thread, (void)cores; }
void fs_restrict_caller(const fs_cores *cores) { (void)cores; }

#if !defined(_WIN32)
#include <unistd.h>

int fs_allowed_cores(fs_cores *allowed) { return (void)allowed, (int)sysconf(_SC_NPROCESSORS_ONLN); }
#endif
#endif
