/* The operating system behind os.h, for Windows. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0601                   /* Windows 7 */
#include "os.h"

#include <stdio.h>
#include <string.h>
#include <windows.h>

_Static_assert(sizeof(fs_mutex) == sizeof(SRWLOCK) && sizeof(fs_condition) == sizeof(CONDITION_VARIABLE),
               "os.h is to have the sizes of Windows' locks");

/* ---- threads ---- */

int fs_thread_start(fs_thread *thread, fs_thread_main work, void *argument) {
    *thread = CreateThread(NULL, 0, work, argument, 0, NULL);
    if (!*thread)
        return 0;
    CloseHandle(*thread);
    return 1;
}

void fs_lock(fs_mutex *mutex) { AcquireSRWLockExclusive((SRWLOCK *)mutex); }
void fs_unlock(fs_mutex *mutex) { ReleaseSRWLockExclusive((SRWLOCK *)mutex); }
void fs_wait(fs_condition *changed, fs_mutex *mutex) {
    SleepConditionVariableSRW((CONDITION_VARIABLE *)changed, (SRWLOCK *)mutex, INFINITE, 0);
}
void fs_wake_all(fs_condition *changed) { WakeAllConditionVariable((CONDITION_VARIABLE *)changed); }

void fs_on_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {      /* there are no forks */
    (void)before, (void)in_parent, (void)in_child;
}

/* ---- cores ---- */

int fs_allowed_cores(fs_cores *allowed) {
    DWORD_PTR process, system;
    (void)allowed;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &system) || !process)
        return (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);     /* more than 64, in several groups */
    return __builtin_popcountll(process);
}

/* ---- the clock ---- */

double fs_seconds(void) {
    LARGE_INTEGER now, per_second;
    QueryPerformanceFrequency(&per_second);
    QueryPerformanceCounter(&now);
    return (double)now.QuadPart / (double)per_second.QuadPart;
}

/* ---- libraries ---- */

void *fs_library_open(const char *path, char *reason, size_t size) {
    wchar_t wide[32768];
    if (!MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, sizeof wide / sizeof *wide)) {
        snprintf(reason, size, "%s: not a path of Windows", path);
        return NULL;
    }
    HMODULE library = LoadLibraryExW(wide, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (!library)
        snprintf(reason, size, "%s: Windows' error %lu", path, GetLastError());
    return library;
}

void *fs_library_symbol(void *library, const char *name) {
    FARPROC found = GetProcAddress(library, name);
    void *symbol;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
}

void fs_library_close(void *library) { FreeLibrary(library); }
#endif
