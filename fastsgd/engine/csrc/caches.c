/* The sizes of the data caches, which plans (plan.c) go by. */
#include "fastsgd.h"
#include "isa.h"

#if FS_X86
#include <cpuid.h>
#endif

static fs_cache_sizes sizes = {32 << 10, 512 << 10, 0};     /* where nobody says: small, as plans for those cost little */

const fs_cache_sizes *fs_caches(void) { return &sizes; }

void fs_caches_set(ptrdiff_t l1d, ptrdiff_t l2, ptrdiff_t l3) { sizes = (fs_cache_sizes){l1d, l2, l3}; }

#if FS_X86
/* Intel's leaf 4 and AMD's 0x8000001D list one cache after the other, in the same form. */
static int find(unsigned leaf) {
    enum { DATA = 1, UNIFIED = 3 };
    ptrdiff_t found[4] = {0};
    unsigned a, b, c, d;
    for (unsigned i = 0; i < 16 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) && (a & 31); i++) {
        const unsigned kind = a & 31, level = a >> 5 & 7;
        const ptrdiff_t ways = (b >> 22) + 1, partitions = (b >> 12 & 1023) + 1, line = (b & 4095) + 1;
        if (level <= 3 && (kind == DATA || kind == UNIFIED))
            found[level] = ways * partitions * line * ((ptrdiff_t)c + 1);
    }
    if (!found[1] || !found[2])
        return 0;
    fs_caches_set(found[1], found[2], found[3]);
    return 1;
}

int fs_caches_find(void) {
    unsigned a, b, c, d;
    const int amd = __get_cpuid(0x80000001, &a, &b, &c, &d) && (c >> 22 & 1);      /* topology extensions */
    return (amd && find(0x8000001D)) || find(4);
}
#else
int fs_caches_find(void) { return 0; }
#endif
