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
#include "fastsgd.h"
#include "os.h"

#include <stdatomic.h>

enum { SPINS_IN_BARRIER = 40000, SPINS_WHEN_IDLE = 2000, SPINS_BEFORE_COUNTING = 2000 };

/* where threads sleep until a number changes */
typedef struct {
    fs_mutex mutex;
    fs_condition changed;
    atomic_int sleepers;
} gate;

#define GATE {FS_MUTEX, FS_CONDITION, 0}

struct fs_team {
    atomic_int size;                      /* threads that meet at barriers */
    int spins;
    fs_cores allowed;                     /* of the caller */
    atomic_int core[FS_MAX_TEAM];         /* where each rank runs, -1: not known */
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
    fs_thread thread;
    gate gate;
    struct worker *next;                  /* in the list of the idle */
} worker;

static worker workers[FS_MAX_TEAM];
static fs_mutex pool = FS_MUTEX;
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
    fs_lock(&at->mutex);
    atomic_fetch_add(&at->sleepers, 1);
    while ((int)(atomic_load(number) - awaited) < 0)
        fs_wait(&at->changed, &at->mutex);
    atomic_fetch_sub(&at->sleepers, 1);
    fs_unlock(&at->mutex);
}

static void announce(atomic_uint *number, unsigned value, gate *at) {
    /* Sequentially consistent, as is the count of sleepers: one sees the other. Not atomic_store: QEMU, which runs Arm
     * containers on x86-64, lets the load below overtake Arm's stlr, and then nobody is woken. */
    atomic_exchange(number, value);
    if (atomic_load(&at->sleepers)) {
        fs_lock(&at->mutex);
        fs_wake_all(&at->changed);
        fs_unlock(&at->mutex);
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
 * So a sleeper is kept off that core; when it runs, settle_on_a_core gives it all cores back. */
static void avoid_core(worker *its, const fs_team *team) {
    fs_cores others = team->allowed;
    if (!team->spins || team->core[0] < 0 || !atomic_load(&its->gate.sleepers))
        return;
    fs_cores_remove(&others, team->core[0]);
    if (fs_cores_count(&others))
        fs_restrict_thread(its->thread, &others);
}

/* A worker runs where its caller may, and not on a core that another rank has: who shares one is waited for in every
 * barrier. */
static void settle_on_a_core(fs_team *team, int rank) {
    fs_cores now, others = team->allowed;
    int core = fs_core(), crowded = 0;
    if (!team->spins || core < 0)
        return;
    fs_allowed_cores(&now);
    for (int r = 0; r < rank; r++) {
        int taken = atomic_load_explicit(&team->core[r], memory_order_relaxed);
        if (taken >= 0)
            fs_cores_remove(&others, taken);
        crowded |= taken == core;
    }
    if (crowded && fs_cores_count(&others))
        fs_restrict_caller(&others);
    if (crowded || !fs_cores_equal(&now, &team->allowed))
        fs_restrict_caller(&team->allowed);
    atomic_store_explicit(&team->core[rank], fs_core(), memory_order_relaxed);
}

static fs_thread_result FS_THREAD_CALL worker_main(void *argument) {
    worker *self = argument;
    for (unsigned job = 1;; job++) {
        await(&self->given, job, &self->gate, SPINS_WHEN_IDLE);
        fs_team *team = self->team;
        settle_on_a_core(team, self->rank);
        team->work(team->job, team, self->rank);
        fs_lock(&pool);
        self->next = idle;
        idle = self;
        fs_unlock(&pool);
        announce(&self->done, job, &self->gate);        /* from here on the team may be gone */
    }
    return 0;
}

/* ---- the pool ---- */

static void before_fork(void) { fs_lock(&pool); }
static void in_parent(void) { fs_unlock(&pool); }
static void in_child(void) {
    idle = NULL;
    made = 0;
    forks++;
    fs_unlock(&pool);
}

void fs_team_prepare(void) { fs_on_fork(before_fork, in_parent, in_child); }

/* an idle worker, or a new one; NULL where there can be no more */
static worker *acquire_worker(void) {
    fs_lock(&pool);
    worker *taken = idle;
    if (taken) {
        idle = taken->next;
    } else if (made < FS_MAX_TEAM) {
        taken = &workers[made];
        *taken = (worker){.gate = GATE};
        if (fs_thread_start(&taken->thread, worker_main, taken))
            made++;
        else
            taken = NULL;
    }
    fs_unlock(&pool);
    return taken;
}

/* The number of cores that the caller may use. */
static int find_cores(fs_team *team) {
    team->core[0] = fs_core();
    for (int rank = 1; rank < team->size; rank++)
        team->core[rank] = -1;
    return fs_allowed_cores(&team->allowed);
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
