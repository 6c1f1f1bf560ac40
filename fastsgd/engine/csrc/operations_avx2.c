#include "isa.h"

#if FS_X86
#define FS_ISA avx2
#define FS_VECTOR_BYTES 32
#define FS_REGISTERS 16
#define FS_FMA 1
#define FS_TARGET "avx2,fma"
#include "operations_isa.inc"
#endif
