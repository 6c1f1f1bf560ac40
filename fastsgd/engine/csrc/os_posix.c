/* The operating system behind os.h, for Linux, macOS and others with POSIX threads. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#include "os.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* ---- threads ---- */

int fs_thread_start(fs_thread *thread, fs_thread_main work, void *argument) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = !pthread_create(thread, NULL, work, argument);
    if (started)
        pthread_detach(*thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void fs_lock(fs_mutex *mutex) { pthread_mutex_lock(mutex); }
void fs_unlock(fs_mutex *mutex) { pthread_mutex_unlock(mutex); }
void fs_wait(fs_condition *changed, fs_mutex *mutex) { pthread_cond_wait(changed, mutex); }
void fs_wake_all(fs_condition *changed) { pthread_cond_broadcast(changed); }

void fs_on_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    pthread_atfork(before, in_parent, in_child);
}

/* ---- the clock ---- */

double fs_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- libraries ---- */

void *fs_library_open(const char *path, char *reason, size_t size) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *said = dlerror();
        snprintf(reason, size, "%s", said ? said : "dlopen failed without a reason");
    }
    return library;
}

void *fs_library_symbol(void *library, const char *name) { return dlsym(library, name); }
void fs_library_close(void *library) { dlclose(library); }
#endif
