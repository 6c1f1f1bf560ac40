/* What Python.h asks about Windows on x86-64, for an extension of the limited API that is compiled on another system.
 *
 * CPython's own for Windows comes with Python for Windows alone. Sizes are those of the 64-bit Windows ABI, in which
 * long has 32 bits.
 */
#ifndef FASTSGD_PYCONFIG_H
#define FASTSGD_PYCONFIG_H

#define MS_WINDOWS
#define MS_WIN32
#define MS_WIN64
#define NT_THREADS
#define WITH_THREAD
#define WITH_DOC_STRINGS 1
#define HAVE_DECLSPEC_DLL
#define Py_ENABLE_SHARED
#define COMPILER "[GCC]"
#define PLATFORM "win32"

#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_PID_T 4
#define SIZEOF_WCHAR_T 2
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define SIZEOF_TIME_T 8
#define SIZEOF_OFF_T 4
#define SIZEOF_HKEY 8
#define ALIGNOF_LONG 4
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_MAX_ALIGN_T 16

#define DOUBLE_IS_LITTLE_ENDIAN_IEEE754
#define HAVE_LONG_LONG 1
#define HAVE_STDARG_PROTOTYPES
#define HAVE_ERRNO_H
#define HAVE_STDDEF_H 1
#define HAVE_STDINT_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_WCHAR_H 1
#define STDC_HEADERS 1

#endif
