/* Compiles operations.inc once per dtype and instruction set.
 *
 * A region per instruction set, not a file with its own compiler flags: the build stays one list of
 * sources, and no header is ever compiled with instructions that the CPU may lack. FS_FMA says whether a
 * fused multiply-add is one instruction here; operations.inc asks for each by name, so that AVX2, AVX-512
 * and NEON round alike and produce the same bits (the compiler contracts nothing by itself:
 * -ffp-contract=off).
 */
#include "fastsgd.h"
#include "blas.h"
#include "isa.h"

#include <math.h>
#include <string.h>
#if FS_X86
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define FS_JOIN_(a, b, c) a##_##b##_##c
#define FS_JOIN(a, b, c) FS_JOIN_(a, b, c)

#define FS_ISA baseline
#define FS_VECTOR_BYTES 16
#if defined(__aarch64__)
#define FS_FMA 1
#define FS_REGISTERS 32
#else
#define FS_FMA 0
#define FS_REGISTERS 16
#endif
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#undef FS_FMA
#undef FS_VECTOR_BYTES
#undef FS_REGISTERS

#if FS_X86
#define FS_FMA 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define FS_ISA avx2
#define FS_VECTOR_BYTES 32
#define FS_REGISTERS 16
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#undef FS_VECTOR_BYTES
#undef FS_REGISTERS
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define FS_ISA avx512
#define FS_VECTOR_BYTES 64
#define FS_REGISTERS 32
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#undef FS_VECTOR_BYTES
#undef FS_REGISTERS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

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
