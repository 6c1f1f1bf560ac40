/* Teams of threads, made from a pool of sleeping workers.
 *
 * A call takes as many idle workers as it wants, makes those that are missing, and gives them back: any number of Python
 * threads may run teams at once, each with workers of its own. A worker that has nothing to do looks for work for some
 * thirty microseconds, which is what lies between two calls of a loop, and then sleeps; no core stays busy.
 *
 * The barrier counts arrivals and spins on a phase number, for a step is tens of microseconds long and a sleep would cost
 * more than the wait. Who has spun for long (a Python callback on rank 0, a preempted partner) sleeps too, and where a
 * team has more threads than the process has cores nobody spins.
 *
 * After a fork the child has an empty pool: its workers stayed with the parent. The pool is a static array, so that a
 * step never allocates.
 */
#define _GNU_SOURCE
#include "fastsgd.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { SPINS_IN_BARRIER = 40000, SPINS_WHEN_IDLE = 2000, SPINS_BEFORE_COUNTING = 2000 };

/* where threads sleep until a number changes */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    atomic_int sleepers;
} gate;

#define GATE {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

struct fs_team {
    atomic_int size;                      /* threads that meet at barriers */
    int spins;
#if defined(__linux__)
    cpu_set_t allowed;                    /* of the caller */
    atomic_int cpu[FS_MAX_TEAM];          /* where each rank runs, -1: not known */
#endif
    fs_work work;
    void *job;
    gate gate;
    atomic_llong waited;                  /* nanoseconds, of all ranks in long waits at barriers */
    int forks;                            /* that this process came out of when the team was made */
    _Alignas(128) atomic_int arrived;
    _Alignas(128) atomic_uint phase;
};

typedef struct worker {
    _Alignas(128) atomic_uint given;      /* jobs so far, and how many of them are done */
    atomic_uint done;
    fs_team *team;                        /* of the job given last */
    int rank;
    pthread_t thread;
    gate gate;
    struct worker *next;                  /* in the list of the idle */
} worker;

static worker workers[FS_MAX_TEAM];
static pthread_mutex_t pool = PTHREAD_MUTEX_INITIALIZER;
static worker *idle;
static int made, forks;
static atomic_int limit;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether the number came to be no longer behind "awaited" meanwhile; numbers only grow, and may wrap around. */
static int spin(atomic_uint *number, unsigned awaited, int spins) {
    for (; spins > 0; spins--) {
        if ((int)(atomic_load_explicit(number, memory_order_acquire) - awaited) >= 0)
            return 1;
        relax();
    }
    return 0;
}

/* Returns once the number is no longer behind "awaited". */
static void await(atomic_uint *number, unsigned awaited, gate *at, int spins) {
    if (spin(number, awaited, spins))
        return;
    pthread_mutex_lock(&at->mutex);
    atomic_fetch_add(&at->sleepers, 1);
    while ((int)(atomic_load(number) - awaited) < 0)
        pthread_cond_wait(&at->changed, &at->mutex);
    atomic_fetch_sub(&at->sleepers, 1);
    pthread_mutex_unlock(&at->mutex);
}

static void announce(atomic_uint *number, unsigned value, gate *at) {
    atomic_store(number, value);          /* sequentially consistent, as is the count of sleepers: one sees the other */
    if (atomic_load(&at->sleepers)) {
        pthread_mutex_lock(&at->mutex);
        pthread_cond_broadcast(&at->changed);
        pthread_mutex_unlock(&at->mutex);
    }
}

void fs_team_barrier(fs_team *team) {
    const int size = fs_team_size(team);  /* before arriving: once all have arrived it may shrink */
    if (size == 1)
        return;
    unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == size) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        announce(&team->phase, phase + 1, &team->gate);
    } else if (!spin(&team->phase, phase + 1, team->spins ? SPINS_BEFORE_COUNTING : 0)) {
        double begin = fs_seconds();
        await(&team->phase, phase + 1, &team->gate, team->spins);
        atomic_fetch_add_explicit(&team->waited, (long long)(1e9 * (fs_seconds() - begin)), memory_order_relaxed);
    }
}

double fs_team_waited(const fs_team *team) {
    return 1e-9 * (double)atomic_load_explicit(&team->waited, memory_order_relaxed);
}

void fs_team_shrink(fs_team *team, int size) { atomic_store_explicit(&team->size, size, memory_order_relaxed); }

int fs_team_handle_fork(fs_team *team) {
    if (team->forks == forks || fs_team_size(team) == 1)
        return 0;
    fs_team_shrink(team, 1);
    return 1;
}

/* The system often wakes a worker on its caller's core, where it then waits a millisecond for the other cores to notice.
 * So a sleeper is kept off that core; when it runs, restore_affinity gives it all cores back. */
static void avoid_core(worker *its, const fs_team *team) {
#if defined(__linux__)
    cpu_set_t others = team->allowed;
    if (!team->spins || team->cpu[0] < 0 || !atomic_load(&its->gate.sleepers))
        return;
    CPU_CLR(team->cpu[0], &others);
    if (CPU_COUNT(&others))
        pthread_setaffinity_np(its->thread, sizeof others, &others);
#else
    (void)its, (void)team;
#endif
}

/* A worker runs where its caller may, and not on a core that another rank has: who shares one is waited for in every
 * barrier. */
static void restore_affinity(fs_team *team, int rank) {
#if defined(__linux__)
    cpu_set_t now, others = team->allowed;
    int cpu = sched_getcpu(), crowded = 0;
    if (!team->spins || cpu < 0 || sched_getaffinity(0, sizeof now, &now))
        return;
    for (int r = 0; r < rank; r++) {
        int taken = atomic_load_explicit(&team->cpu[r], memory_order_relaxed);
        if (taken >= 0)
            CPU_CLR(taken, &others);
        crowded |= taken == cpu;
    }
    if (crowded && CPU_COUNT(&others))
        sched_setaffinity(0, sizeof others, &others);
    if (crowded || !CPU_EQUAL(&now, &team->allowed))
        sched_setaffinity(0, sizeof team->allowed, &team->allowed);
    atomic_store_explicit(&team->cpu[rank], sched_getcpu(), memory_order_relaxed);
#else
    (void)team, (void)rank;
#endif
}

static void *worker_main(void *argument) {
    worker *self = argument;
    for (unsigned job = 1;; job++) {
        await(&self->given, job, &self->gate, SPINS_WHEN_IDLE);
        fs_team *team = self->team;
        restore_affinity(team, self->rank);
        team->work(team->job, team, self->rank);
        pthread_mutex_lock(&pool);
        self->next = idle;
        idle = self;
        pthread_mutex_unlock(&pool);
        announce(&self->done, job, &self->gate);        /* from here on the team may be gone */
    }
    return NULL;
}

/* ---- the pool ---- */

static void before_fork(void) { pthread_mutex_lock(&pool); }
static void in_parent(void) { pthread_mutex_unlock(&pool); }
static void in_child(void) {
    idle = NULL;
    made = 0;
    forks++;
    pthread_mutex_unlock(&pool);
}
static void prepare(void) { pthread_atfork(before_fork, in_parent, in_child); }

/* an idle worker, or a new one; NULL where there can be no more */
static worker *acquire_worker(void) {
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;
    pthread_once(&prepared, prepare);
    pthread_mutex_lock(&pool);
    worker *taken = idle;
    if (taken) {
        idle = taken->next;
    } else if (made < FS_MAX_TEAM) {
        taken = &workers[made];
        *taken = (worker){.gate = GATE};
        sigset_t all, before;             /* signals belong to Python's main thread */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker_main, taken)) {
            taken = NULL;
        } else {
            taken->thread = thread;
            pthread_detach(thread);
            made++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_mutex_unlock(&pool);
    return taken;
}

/* The cores that the caller may use. */
static int find_cores(fs_team *team) {
#if defined(__linux__)
    team->cpu[0] = sched_getcpu();
    for (int rank = 1; rank < team->size; rank++)
        team->cpu[rank] = -1;
    if (!sched_getaffinity(0, sizeof team->allowed, &team->allowed))
        return CPU_COUNT(&team->allowed);
#else
    (void)team;
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

void fs_team_run(int size, fs_work work, void *job) {
    fs_team team;
    team.size = 1;
    team.waited = 0;
    team.forks = forks;
    if (size <= 1) {
        work(job, &team, 0);
        return;
    }
    team = (fs_team){.work = work, .job = job, .gate = GATE, .forks = forks};
    worker *taken[FS_MAX_TEAM];
    unsigned jobs[FS_MAX_TEAM];
    int members = 1;
    if (size > FS_MAX_TEAM)
        size = FS_MAX_TEAM;
    while (members < size && (taken[members] = acquire_worker()))
        members++;
    team.size = members;
    team.spins = members <= find_cores(&team) ? SPINS_IN_BARRIER : 0;
    for (int rank = 1; rank < members; rank++) {
        worker *its = taken[rank];
        its->team = &team;
        its->rank = rank;
        jobs[rank] = atomic_load_explicit(&its->given, memory_order_relaxed) + 1;
        avoid_core(its, &team);
        announce(&its->given, jobs[rank], &its->gate);
    }
    work(job, &team, 0);
    for (int rank = 1; rank < members && team.forks == forks; rank++)
        await(&taken[rank]->done, jobs[rank], &taken[rank]->gate, team.spins);
}

int fs_team_size(const fs_team *team) { return atomic_load_explicit(&team->size, memory_order_relaxed); }

int fastsgd_get_num_threads(void) { return atomic_load(&limit); }
void fastsgd_set_num_threads(int threads) { atomic_store(&limit, threads); }

double fs_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
