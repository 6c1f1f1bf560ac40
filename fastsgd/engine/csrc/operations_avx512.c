#include "isa.h"

#if FS_X86
#define FS_ISA avx512
#define FS_VECTOR_BYTES 64
#define FS_REGISTERS 32
#define FS_FMA 1
#if defined(__clang__)
#define FS_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#else
#define FS_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512"
#endif
#include "operations_isa.inc"
#endif
