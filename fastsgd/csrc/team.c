/* A team of threads that lives as long as one call.
 *
 * Threads are made when an epoch begins and joined when it ends: some tens of microseconds for an epoch
 * of milliseconds, and in exchange there is no pool to guard across fork, none to share between Python
 * threads, and no core left busy afterwards.
 *
 * The barrier counts arrivals and spins on a phase number. Steps are tens of microseconds long, so a
 * sleep would cost more than the wait; a thread that has spun for long (a preempted partner, a Python
 * callback on rank 0) yields its core instead.
 */
#define _POSIX_C_SOURCE 200809L
#include "fastsgd.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define SPINS 4000

struct fs_team {
    int size;
    fs_work work;
    void *job;
    _Alignas(128) atomic_int arrived;
    _Alignas(128) atomic_uint phase;
    _Alignas(128) atomic_int open;        /* set once the size is final */
};

typedef struct {
    fs_team *team;
    int rank;
} member;

static inline void pause_or_yield(int *spins) {
    if (++*spins > SPINS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void fs_team_barrier(fs_team *team) {
    if (team->size == 1)
        return;
    unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == team->size) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->phase, phase + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&team->phase, memory_order_acquire) == phase;)
        pause_or_yield(&spins);
}

static void *join_in(void *argument) {
    member *self = argument;
    for (int spins = 0; !atomic_load_explicit(&self->team->open, memory_order_acquire);)
        pause_or_yield(&spins);
    self->team->work(self->team->job, self->team, self->rank);
    return NULL;
}

void fs_team_run(int size, fs_work work, void *job) {
    fs_team team = {.size = 1, .work = work, .job = job};
    pthread_t threads[FS_MAX_TEAM];
    member members[FS_MAX_TEAM];
    if (size > FS_MAX_TEAM)
        size = FS_MAX_TEAM;
    if (size > 1) {
        sigset_t all, before;             /* signals belong to Python's main thread */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        for (; team.size < size; team.size++) {
            members[team.size] = (member){&team, team.size};
            if (pthread_create(&threads[team.size], NULL, join_in, &members[team.size]))
                break;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        atomic_store_explicit(&team.open, 1, memory_order_release);
    }
    work(job, &team, 0);
    for (int rank = 1; rank < team.size; rank++)
        pthread_join(threads[rank], NULL);
}

int fs_team_size(const fs_team *team) { return team->size; }

double fs_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
