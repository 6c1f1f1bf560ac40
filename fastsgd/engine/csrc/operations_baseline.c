/* What every CPU of its kind has: SSE2, NEON, or what the compiler makes of plain C. */
#define FS_ISA baseline
#define FS_VECTOR_BYTES 16
#if defined(__aarch64__)
#define FS_REGISTERS 32
#define FS_FMA 1
#else
#define FS_REGISTERS 16
#define FS_FMA 0
#endif
#include "operations_isa.inc"
