/* What does not depend on the instruction set: sums, random words, memory that is touched. */
#include "fastsgd.h"

double fs_sum(ptrdiff_t n, const double *values) {
    double sums[8] = {0};                                /* eight chains, so that an addition need not wait for the last */
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int c = 0; c < 8; c++)
            sums[c] += values[i + c];
    for (int c = 0; i < n; i++, c++)
        sums[c] += values[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void fs_touch(ptrdiff_t size, const void *memory) {
    const volatile char *bytes = memory;                 /* volatile, so that it is read although nobody uses it */
    for (ptrdiff_t at = 0; at < size; at += 4096)
        (void)bytes[at];
    (void)bytes[size - 1];
}

void fs_philox(uint64_t seed, uint64_t block, uint64_t layer, uint64_t step, int blocks, uint64_t *words) {
    __extension__ typedef unsigned __int128 wide;
    for (int i = 0; i < blocks; i++) {
        uint64_t c0 = block + (uint64_t)i + 1, c1 = layer, c2 = step, c3 = 0, k0 = seed, k1 = 0;
        for (int round = 0; round < 10; round++) {
            const wide p0 = (wide)0xD2E7470EE14C6C93u * c0, p1 = (wide)0xCA5A826395121157u * c2;
            c0 = (uint64_t)(p1 >> 64) ^ c1 ^ k0;
            c1 = (uint64_t)p1;
            c2 = (uint64_t)(p0 >> 64) ^ c3 ^ k1;
            c3 = (uint64_t)p0;
            k0 += 0x9E3779B97F4A7C15u;
            k1 += 0xBB67AE8584CAA73Bu;
        }
        words[4 * i] = c0;
        words[4 * i + 1] = c1;
        words[4 * i + 2] = c2;
        words[4 * i + 3] = c3;
    }
}
