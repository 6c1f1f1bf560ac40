/* Adaptive thread count.
 *
 * No bit of a result depends on the number of threads, so it may follow the machine. A pass is in one of four states:
 *
 *   state        threads                            leaves for
 *   trial        all, then half of them and so on   full, with the fastest size found, after a few steps of each
 *                (first steps of a long pass)
 *   full         the fastest size                   backing off, where more than half of a window of 20 ms was waiting at
 *                                                   barriers: another process has taken a core (CPU contention)
 *   backing off  half of them                       full, after 0.05 to 1 s: each back-off that did not help for long lasts
 *                                                   twice as long as the one before
 *   suppressed   the fastest size                   full, after 1 s: a back-off that made steps slower is not repeated before
 *
 * The end of a back-off or a suppression is remembered from one pass to the next. Products of a BLAS depend on the number
 * of threads, so there a number that was asked for is fixed.
 */
#include "fastsgd.h"
#include "os.h"

#include <math.h>

enum {
    WARM_UP_STEPS = 30,      /* before smaller teams are tried, with so many */
    TRIAL_STEPS = 6,         /* of each size, */
    TRIED_STEPS = 200        /* in a pass of at least so many */
};

static const double WINDOW = 0.02;                          /* seconds in which waits are looked at together, */
static const double LATE = 0.003;                           /* and what is less than this does not matter */
static const double SHORT_BACK_OFF = 0.05, LONG_BACK_OFF = 1.0, SUPPRESSED = 1.0;

static _Atomic double back_off_ends, suppressed_until, back_off_seconds;
static _Atomic int back_off_threads;                        /* of a team meanwhile */

static double smaller(double a, double b) { return a < b ? a : b; }
static double larger(double a, double b) { return a > b ? a : b; }

static void back_off(int size, double now) {
    const double last = back_off_seconds;
    const int soon = now < back_off_ends + 2 * WINDOW;
    back_off_seconds = soon && last > 0 ? smaller(2 * last, LONG_BACK_OFF) : SHORT_BACK_OFF;
    back_off_threads = size / 2;
    back_off_ends = now + back_off_seconds;
}

static void begin_window(fs_thread_count *pass, double now, double waited, ptrdiff_t first) {
    pass->since = now;
    pass->waited = waited;
    pass->window_step = first;
    pass->stale = 0;
}

static void begin_trial(fs_thread_count *pass) {
    pass->quickest = pass->to_beat = INFINITY;
    pass->tried_steps = -WARM_UP_STEPS;
    pass->trial_size = 0;
}

/* Halves the team as long as that makes steps quicker. Once a step, by rank 0. Who looks on still comes to the barriers, so a
 * smaller team is a little faster than it appears here. */
static void try_team(fs_thread_count *pass, int size) {
    const double now = fs_seconds();
    if (++pass->tried_steps > 2)                            /* two to get used to the size */
        pass->quickest = smaller(pass->quickest, now - pass->last_step);
    pass->last_step = now;
    if (pass->tried_steps < TRIAL_STEPS)
        return;
    const int faster = pass->quickest < 0.97 * pass->to_beat;
    pass->trial_over = size == 1 || !faster;
    if (faster) {
        pass->fastest = size;
        pass->to_beat = pass->quickest;
    }
    pass->trial_size = pass->trial_over ? pass->fastest : size / 2;
    pass->tried_steps = 0;
    pass->quickest = INFINITY;
}

void fs_run_adaptively(fs_thread_count *pass, int size, int adapts, fs_work work, void *job) {
    pass->whole = size;
    pass->trial_wanted = adapts && size > 1 && pass->steps >= TRIED_STEPS;
    begin_trial(pass);
    for (;;) {
        size = pass->whole;
        pass->backing_off = pass->change_team = 0;
        if (size > 1 && !pass->fixed) {
            const double now = fs_seconds();
            pass->backing_off = now < back_off_ends && back_off_threads < size;
            if (pass->backing_off)
                size = back_off_threads;
            begin_window(pass, now, 0, pass->first_step);
        }
        fs_team_run(size, work, job);
        if (pass->forward_only && size > 1 && !pass->fixed) {
            const double now = fs_seconds();
            if (now - pass->done > larger(LATE, (now - pass->since) / 2))
                back_off(size, now);
        }
        if (!pass->change_team || pass->stop || pass->pause || pass->first_step == pass->steps)
            return;
        if (!pass->trial_over)
            begin_trial(pass);
        else if (pass->fastest < pass->whole)
            pass->whole = pass->fastest;
    }
}

void fs_check_contention(fs_thread_count *pass, fs_team *team, ptrdiff_t step, int size) {
    if (pass->fixed)
        return;
    if (pass->trial_wanted && !pass->trial_over && !pass->backing_off) {
        try_team(pass, size);
        if (pass->trial_size) {                             /* the others wait while they look on */
            pass->stale = 1;
            return;
        }
    }
    const double waited = fs_team_waited(team) - pass->waited;
    if (pass->poll_due || pass->stale) {                    /* they waited for Python, or for a trial */
        begin_window(pass, fs_seconds(), pass->waited + waited, step + 1);
        return;
    }
    if (waited == 0 && !pass->backing_off)
        return;
    const double now = fs_seconds(), elapsed = now - pass->since;
    if (size > 1 && waited > larger(LATE, elapsed / 2) * (size - 1) && now > suppressed_until) {
        pass->pace = elapsed / (double)(step + 1 - pass->window_step);
        pass->change_team = 1;
        back_off(size, now);
    } else if (pass->backing_off && now >= back_off_ends) {
        if (pass->pace > 0 && elapsed > pass->pace * (double)(step + 1 - pass->window_step))
            suppressed_until = now + SUPPRESSED;
        pass->change_team = 1;
    } else if (elapsed > WINDOW && !pass->backing_off) {
        begin_window(pass, now, pass->waited + waited, step + 1);
    }
    if (pass->change_team)
        pass->first_step = step + 1;
}
