/* On which cores threads run, and may run: behind os.h, for Linux. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(fs_cores) == sizeof(cpu_set_t), "fs_cores is to have the size of cpu_set_t");

static cpu_set_t as_set(const fs_cores *cores) {
    cpu_set_t set;
    memcpy(&set, cores, sizeof set);
    return set;
}

int fs_core(void) { return sched_getcpu(); }

int fs_allowed_cores(fs_cores *allowed) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) {       /* a machine of more cores than the set has room for */
        memset(allowed, 0xFF, sizeof *allowed);
        return (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    memcpy(allowed, &set, sizeof set);
    return CPU_COUNT(&set);
}

int fs_cores_count(const fs_cores *cores) {
    const cpu_set_t set = as_set(cores);
    return CPU_COUNT(&set);
}

int fs_cores_equal(const fs_cores *a, const fs_cores *b) { return !memcmp(a, b, sizeof *a); }

void fs_cores_remove(fs_cores *cores, int core) {
    cpu_set_t set = as_set(cores);
    CPU_CLR(core, &set);
    memcpy(cores, &set, sizeof set);
}

void fs_restrict_thread(fs_thread thread, const fs_cores *cores) {
    const cpu_set_t set = as_set(cores);
    pthread_setaffinity_np(thread, sizeof set, &set);
}

void fs_restrict_caller(const fs_cores *cores) {
    const cpu_set_t set = as_set(cores);
    sched_setaffinity(0, sizeof set, &set);
}
#endif
