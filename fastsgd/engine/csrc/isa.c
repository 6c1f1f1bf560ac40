/* Which of the compiled instruction sets runs: the best this CPU has, or the one a user pins. */
#include "fastsgd.h"
#include "isa.h"

#include <stdio.h>
#include <string.h>

#if FS_X86
#include <cpuid.h>
#include <immintrin.h>
enum { FLUSH = 0x8040 };                /* FTZ and DAZ */

unsigned long fs_floats_flush(void) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH);
    return before;
}
void fs_floats_restore(unsigned long before) { _mm_setcsr((unsigned)before); }
#elif defined(__aarch64__)
unsigned long fs_floats_flush(void) {
    unsigned long before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    fs_floats_restore(before | 1ul << 24);              /* FZ */
    return before;
}
void fs_floats_restore(unsigned long before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
unsigned long fs_floats_flush(void) { return 0; }
void fs_floats_restore(unsigned long before) { (void)before; }
#endif

#if FS_X86
/* By the CPU itself: __builtin_cpu_supports needs a compiler's run-time library, whose stub in Zig's always says no. */
enum {
    FMA = 1u << 12, OSXSAVE = 1u << 27, AVX = 1u << 28,                                             /* leaf 1, ecx */
    AVX2 = 1u << 5, AVX512F = 1u << 16, AVX512DQ = 1u << 17, AVX512BW = 1u << 30                    /* leaf 7, ebx */
};
static const unsigned AVX512VL = 1u << 31;
static const unsigned SAVES_256_BITS = 0x06, SAVES_512_BITS = 0xE6;         /* of registers at switches, XCR0 */

static int cpu_has(unsigned leaf_1_ecx, unsigned leaf_7_ebx, unsigned saved) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (OSXSAVE | leaf_1_ecx)) != (OSXSAVE | leaf_1_ecx))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & saved) == saved && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf_7_ebx) == leaf_7_ebx;
}

static int has_avx2(void) { return cpu_has(AVX | FMA, AVX2, SAVES_256_BITS); }
static int has_avx512(void) {
    return cpu_has(AVX | FMA, AVX2 | AVX512F | AVX512DQ | AVX512BW | AVX512VL, SAVES_512_BITS);
}
#endif
static int always(void) { return 1; }

static const struct {
    const char *name;
    int (*supported)(void);
    const fs_ops *f32, *f64;
} sets[] = {
#if FS_X86
    {"avx512", has_avx512, &fs_ops_f32_avx512, &fs_ops_f64_avx512},
    {"avx2", has_avx2, &fs_ops_f32_avx2, &fs_ops_f64_avx2},
#endif
    {FS_BASELINE_NAME, always, &fs_ops_f32_baseline, &fs_ops_f64_baseline},
};
enum { SETS = sizeof sets / sizeof *sets };

static int selected = SETS - 1;
static char message[160];

const char *fs_isa_select(const char *name) {
    fs_isa_available();                  /* by one thread, that which imports: others may ask for it at once later */
    for (int i = 0; i < SETS; i++) {
        if (name && *name && strcmp(name, sets[i].name))
            continue;
        if (sets[i].supported()) {
            selected = i;
            return NULL;
        }
        if (name && *name) {
            snprintf(message, sizeof message, "this CPU has no %s; it has: %s", name, fs_isa_available());
            return message;
        }
    }
    snprintf(message, sizeof message, "not an instruction set of this build; this CPU has: %s", fs_isa_available());
    return message;
}

const char *fs_isa_available(void) {
    static char names[64];
    char *end = names;
    if (*names)
        return names;
    for (int i = 0; i < SETS; i++)
        if (sets[i].supported())
            end += snprintf(end, (size_t)(names + sizeof names - end), "%s%s", end == names ? "" : " ", sets[i].name);
    return names;
}

const char *fs_isa_name(void) { return sets[selected].name; }
const fs_ops *fs_operations(int is_double) { return is_double ? sets[selected].f64 : sets[selected].f32; }
