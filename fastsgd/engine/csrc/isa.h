/* The operation tables, one per dtype and instruction set (operations_isa.inc). */
#ifndef FASTSGD_ISA_H
#define FASTSGD_ISA_H

#include "fastsgd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define FS_X86 1
#else
#define FS_X86 0
#endif

#if defined(__aarch64__)
#define FS_BASELINE_NAME "neon"
#elif defined(__x86_64__)
#define FS_BASELINE_NAME "sse2"
#else
#define FS_BASELINE_NAME "generic"
#endif

extern const fs_ops fs_ops_f32_baseline, fs_ops_f64_baseline;
#if FS_X86
extern const fs_ops fs_ops_f32_avx2, fs_ops_f64_avx2, fs_ops_f32_avx512, fs_ops_f64_avx512;
#endif

#endif
