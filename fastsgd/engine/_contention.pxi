# Adaptive thread count. Included by _kernel.pyx.
#
# No bit of a result depends on the number of threads, so it may follow the machine. A pass is in one of four states:
#
#   state        threads                            leaves for
#   trial        all, then half of them and so on   full, with the fastest size found, after a few steps of each
#                (first steps of a long pass)
#   full         the fastest size                   backing off, where more than half of a window of 20 ms was waiting at
#                                                   barriers: another process has taken a core (CPU contention)
#   backing off  half of them                       full, after 0.05 to 1 s: each back-off that did not help for long lasts
#                                                   twice as long as the one before
#   suppressed   the fastest size                   full, after 1 s: a back-off that made steps slower is not repeated
#                                                   before
#
# Back-offs and suppressions are kept from one pass to the next, in team.c.

cdef enum:
    WARM_UP_STEPS = 30      # before smaller teams are tried, with so many
    TRIAL_STEPS = 6         # of each size,
    TRIED_STEPS = 200       # in a pass of at least so many

cdef double WINDOW_SECONDS = 0.02                   # in which waits are looked at together,
cdef double LATE_SECONDS = 0.003                    # and what is less than this is no matter
cdef double SHORT_BACK_OFF = 0.05, LONG_BACK_OFF = 1.0      # seconds
cdef double SUPPRESSED_SECONDS = 1.0


cdef struct Trial:                    # of smaller teams, in the first steps
    bint wanted, over
    int size, fastest                 # that makes the next step, 0: the whole team; and the fastest so far
    int steps                         # that this size has made
    double last_step, quickest, to_beat         # seconds


cdef struct Contention:               # of a pass
    int whole                         # the threads that it would have
    bint backing_off                  # with fewer
    bint change_team                  # after the present step another team continues
    bint stale                        # the present window: they waited for something else
    double since, waited              # when the present window began, and the waits by then
    ptrdiff_t first                   # its first step
    double pace                       # seconds of a step before the back-off, 0: not known
    double done                       # when rank 0 had finished


cdef void run_adaptively(Job* job, int whole) noexcept nogil:
    """The pass, by one team after another."""
    cdef Contention* contention = &job.control.contention
    cdef fs_contention known
    cdef double now
    cdef int size
    contention.whole = whole
    while True:
        size, contention.backing_off, contention.change_team = contention.whole, False, False
        if size > 1:
            known, now = fs_contention_get(), fs_seconds()
            contention.backing_off = now < known.back_off_ends and known.back_off_threads < size
            if contention.backing_off:
                size = known.back_off_threads
            begin_window(contention, now, 0, job.control.first_step)
        fs_team_run(size, run, job)
        if job.mode <= DELTAS and size > 1:
            now = fs_seconds()
            if now - contention.done > max(LATE_SECONDS, (now - contention.since) / 2):
                back_off(size, now)
        if not contention.change_team or job.control.stop or job.control.pause or job.control.first_step == job.step.steps:
            return
        if job.control.trial.over:
            contention.whole = min(contention.whole, job.control.trial.fastest)
        else:
            begin_trial(&job.control.trial)


cdef void check_contention(Job* job, fs_team* team, ptrdiff_t step, int size) noexcept nogil:
    """Whether the next step should be another team's. Once a step, by rank 0."""
    cdef Contention* contention = &job.control.contention
    cdef double waited, now, elapsed
    if job.control.trial.wanted and not (job.control.trial.over or contention.backing_off):
        try_team(&job.control.trial, size)
        if job.control.trial.size:                           # the others wait while they look on
            contention.stale = True
            return
    waited = fs_team_waited(team) - contention.waited
    if job.control.poll_due or contention.stale:             # job.control.poll_due: they waited for Python
        begin_window(contention, fs_seconds(), contention.waited + waited, step + 1)
        return
    if not waited and not contention.backing_off:
        return
    now = fs_seconds()
    elapsed = now - contention.since
    if size > 1 and waited > max(LATE_SECONDS, elapsed / 2) * (size - 1) and now > fs_contention_get().suppressed_until:
        contention.pace = elapsed / (step + 1 - contention.first)
        contention.change_team = True
        back_off(size, now)
    elif contention.backing_off and now >= fs_contention_get().back_off_ends:
        if contention.pace and elapsed > contention.pace * (step + 1 - contention.first):
            suppress_back_off(now)
        contention.change_team = True
    elif elapsed > WINDOW_SECONDS and not contention.backing_off:
        begin_window(contention, now, contention.waited + waited, step + 1)
    if contention.change_team:
        job.control.first_step = step + 1


cdef void begin_window(Contention* contention, double now, double waited, ptrdiff_t first) noexcept nogil:
    contention.since, contention.waited, contention.first, contention.stale = now, waited, first, False


cdef void back_off(int size, double now) noexcept nogil:
    cdef fs_contention known = fs_contention_get()
    cdef bint soon = now < known.back_off_ends + 2 * WINDOW_SECONDS
    known.back_off_seconds = (min(2 * known.back_off_seconds, LONG_BACK_OFF) if soon and known.back_off_seconds
                              else SHORT_BACK_OFF)
    known.back_off_threads = size // 2
    known.back_off_ends = now + known.back_off_seconds
    fs_contention_set(known)


cdef void suppress_back_off(double now) noexcept nogil:
    cdef fs_contention known = fs_contention_get()
    known.suppressed_until = now + SUPPRESSED_SECONDS
    fs_contention_set(known)


cdef void begin_trial(Trial* trial) noexcept nogil:
    trial.quickest = trial.to_beat = INFINITY
    trial.steps, trial.size = -WARM_UP_STEPS, 0


cdef void try_team(Trial* trial, int size) noexcept nogil:
    """Halves the team as long as that makes steps quicker. Once a step, by rank 0.

    Who looks on still comes to the barriers, so a smaller team is a little faster than it appears here.
    """
    cdef double now = fs_seconds()
    cdef bint faster
    trial.steps += 1
    if trial.steps > 2:                                 # two to get used to the size
        trial.quickest = min(trial.quickest, now - trial.last_step)
    trial.last_step = now
    if trial.steps < TRIAL_STEPS:
        return
    faster = trial.quickest < 0.97 * trial.to_beat
    trial.over = size == 1 or not faster
    if faster:
        trial.fastest = size
        trial.to_beat = trial.quickest
    trial.size = trial.fastest if trial.over else size // 2
    trial.steps, trial.quickest = 0, INFINITY
