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

#define FS_JOIN_(a, b, c) a##_##b##_##c
#define FS_JOIN(a, b, c) FS_JOIN_(a, b, c)

#define FS_ISA baseline
#if defined(__aarch64__)
#define FS_FMA 1
#else
#define FS_FMA 0
#endif
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#undef FS_FMA

#if FS_X86
#define FS_FMA 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define FS_ISA avx2
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define FS_ISA avx512
#define FS_DOUBLE 0
#include "operations.inc"
#define FS_DOUBLE 1
#include "operations.inc"
#undef FS_ISA
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
