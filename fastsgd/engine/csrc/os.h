/* What fastsgd asks of the operating system: threads, sleeping and waking, cores, the clock, forks and libraries.
 *
 * os_posix.c and os_windows.c answer, os_linux.c what of Linux alone is used: on which core a thread runs and may run.
 * os_other.c answers that elsewhere, by not knowing. No other file asks which system this is.
 */
#ifndef FASTSGD_OS_H
#define FASTSGD_OS_H

#include <stddef.h>

#if defined(_WIN32)
typedef struct { void *opaque; } fs_mutex, fs_condition;      /* SRWLOCK, CONDITION_VARIABLE */
typedef void *fs_thread;
typedef unsigned long fs_thread_result;
#define FS_MUTEX {NULL}
#define FS_CONDITION {NULL}
#define FS_THREAD_CALL __stdcall
#else
#include <pthread.h>
typedef pthread_mutex_t fs_mutex;
typedef pthread_cond_t fs_condition;
typedef pthread_t fs_thread;
typedef void *fs_thread_result;
#define FS_MUTEX PTHREAD_MUTEX_INITIALIZER
#define FS_CONDITION PTHREAD_COND_INITIALIZER
#define FS_THREAD_CALL
#endif

/* ---- threads ---- */

typedef fs_thread_result (FS_THREAD_CALL *fs_thread_main)(void *);

/* A thread that nobody joins and that takes no signals, which are for Python's main thread; 0 where there can be none. */
int fs_thread_start(fs_thread *thread, fs_thread_main work, void *argument);

void fs_lock(fs_mutex *mutex);
void fs_unlock(fs_mutex *mutex);
/* Waits, without the mutex meanwhile, until woken, or for no reason. */
void fs_wait(fs_condition *changed, fs_mutex *mutex);
void fs_wake_all(fs_condition *changed);

/* Has these called around every fork of the process from now on; once. */
void fs_on_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* ---- cores ---- */

typedef struct { unsigned long bits[1024 / (8 * sizeof(unsigned long))]; } fs_cores;

int fs_core(void);                            /* where the calling thread runs, -1 where nobody knows */
int fs_allowed_cores(fs_cores *allowed);      /* how many the calling thread may run on; which, where fs_core knows */
int fs_cores_count(const fs_cores *cores);
int fs_cores_equal(const fs_cores *a, const fs_cores *b);
void fs_cores_remove(fs_cores *cores, int core);
void fs_restrict_thread(fs_thread thread, const fs_cores *cores);
void fs_restrict_caller(const fs_cores *cores);

/* ---- the clock ---- */

double fs_seconds(void);                      /* never goes back */

/* ---- libraries ---- */

#if defined(_WIN32)
#define FS_EXPORT __declspec(dllexport)
#else
#define FS_EXPORT __attribute__((visibility("default")))
#endif

/* One at an absolute path (UTF-8), whose names nobody else sees; NULL where it cannot be opened, with the reason. */
void *fs_library_open(const char *path, char *reason, size_t size);
void *fs_library_symbol(void *library, const char *name);
void fs_library_close(void *library);

#endif
