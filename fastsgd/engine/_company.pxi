# How many threads a pass keeps. Included by _kernel.pyx.
#
# No bit of a result depends on it, so it may follow the machine. In the first steps of a long pass smaller teams are tried:
# on hyperthreads, or cores that are far apart, more threads may mean less speed. And at any time a team may be in the
# company of other processes that need the cores. Then one thread is taken off its core for some milliseconds, and all
# others wait for it; where they wait for more than half of the time, the team goes on with half as many threads for a while.

cdef enum:
    WARM_UP_STEPS = 30      # before smaller teams are tried, with so many
    TRIAL_STEPS = 6         # of each size,
    TRIED_STEPS = 200       # in a pass of at least so many

cdef double WINDOW_SECONDS = 0.02                   # in which waits are looked at together,
cdef double LATE_SECONDS = 0.003                    # and what is less than this is no matter
cdef double SHORT_REST = 0.05, LONG_REST = 1.0      # seconds; each doubles the one before that did not help for long
cdef double TRUST_SECONDS = 1.0                     # after a rest in which the steps took longer


cdef struct Trial:                    # of smaller teams, in the first steps
    bint wanted, over
    int size, fastest                 # that makes the next step, 0: the whole team; and the fastest so far
    int steps                         # that this size has made
    double last_step, quickest, to_beat         # seconds


cdef struct Company:                  # of a pass
    int whole                         # the threads that it would have
    bint resting                      # with fewer
    bint leaves                       # the team after the present step, to go on with another
    bint stale                        # the present window: they waited for something else
    double since, waited              # when the present window began, and the waits by then
    ptrdiff_t first                   # its first step
    double pace                       # seconds of a step before the rest, 0: not known
    double done                       # when rank 0 had passed by


cdef void run_in_company(Job* job, int whole) noexcept nogil:
    """The pass, by one team after another."""
    cdef Company* company = &job.company
    cdef fs_company known
    cdef double now
    cdef int size
    company.whole = whole
    while True:
        size, company.resting, company.leaves = company.whole, False, False
        if size > 1:
            known, now = fs_company_now(), fs_seconds()
            company.resting = now < known.rest_ends and known.rest_threads < size
            if company.resting:
                size = known.rest_threads
            begin_window(company, now, 0, job.first_step)
        fs_team_run(size, run, job)
        if job.mode <= DELTAS and size > 1:
            now = fs_seconds()
            if now - company.done > max(LATE_SECONDS, (now - company.since) / 2):
                rest(size, now)
        if not company.leaves or job.stop or job.pause or job.first_step == job.steps:
            return
        if job.trial.over:
            company.whole = min(company.whole, job.trial.fastest)
        else:
            begin_trial(&job.trial)


cdef void mind_company(Job* job, fs_team* team, ptrdiff_t step, int size) noexcept nogil:
    """Whether the next step should be another team's. Once a step, by rank 0."""
    cdef Company* company = &job.company
    cdef double waited, now, elapsed
    if job.trial.wanted and not (job.trial.over or company.resting):
        try_team(&job.trial, size)
        if job.trial.size:                           # the others wait while they look on
            company.stale = True
            return
    waited = fs_team_waited(team) - company.waited
    if job.watch or company.stale:                   # job.watch: they waited for Python
        begin_window(company, fs_seconds(), company.waited + waited, step + 1)
        return
    if not waited and not company.resting:
        return
    now = fs_seconds()
    elapsed = now - company.since
    if size > 1 and waited > max(LATE_SECONDS, elapsed / 2) * (size - 1) and now > fs_company_now().trust_ends:
        company.pace = elapsed / (step + 1 - company.first)
        company.leaves = True
        rest(size, now)
    elif company.resting and now >= fs_company_now().rest_ends:
        if company.pace and elapsed > company.pace * (step + 1 - company.first):
            trust(now)
        company.leaves = True
    elif elapsed > WINDOW_SECONDS and not company.resting:
        begin_window(company, now, company.waited + waited, step + 1)
    if company.leaves:
        job.first_step = step + 1


cdef void begin_window(Company* company, double now, double waited, ptrdiff_t first) noexcept nogil:
    company.since, company.waited, company.first, company.stale = now, waited, first, False


cdef void rest(int size, double now) noexcept nogil:
    cdef fs_company known = fs_company_now()
    cdef bint soon = now < known.rest_ends + 2 * WINDOW_SECONDS
    known.rest_lasts = min(2 * known.rest_lasts, LONG_REST) if soon and known.rest_lasts else SHORT_REST
    known.rest_threads = size // 2
    known.rest_ends = now + known.rest_lasts
    fs_company_is(known)


cdef void trust(double now) noexcept nogil:
    cdef fs_company known = fs_company_now()
    known.trust_ends = now + TRUST_SECONDS
    fs_company_is(known)


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
