# Networks without a hidden layer in small batches: steps on one thread that cost the entries of their rows. Included by
# _kernel.pyx.
#
# The general path touches every weight in every step. Here what a step does to all weights (L2, weight decay, the running
# average, cumulative L1) is kept in a few numbers, fs_linear, and applied to the weights that a row uses; csrc/linear.inc has
# a worked example. All of it is flushed into the parameters, the optimizer's memory and the average at the end of a pass and
# after every flush_interval steps, counted from the beginning of the run. A pass may pause only there, so that a run that
# was interrupted resumes to the same bits as one that was not.
#
# The steps are those of reference.py up to rounding, but for cumulative L1 together with L2 (csrc/linear.inc).

cdef enum:
    LINEAR_BLOCK = 16       # rows, or those of one step, that are gathered at once, and how far ahead others are fetched
    LINEAR_ROWS_ONE = 16    # of a step on dense rows, more of which are quicker by the general path: with one output,
    LINEAR_ROWS_MANY = 2    # and with several
    WORK_OF_A_ROW = 64      # beside its terms, in terms
    WORK_BETWEEN_FLUSHES = 1 << 24
    WEIGHTS_FLUSHED = 4     # whose flush takes as long as one term

cdef double SMALLEST_SCALE = 1e-9, MAX_AVERAGE = 1e20
cdef double MAX_CANCELLED = 16    # a v / b over W: where it is larger, the average is a small difference of large numbers


def flush_interval(architecture, X, config):
    """Between two steps after which a pass may pause; 0 where the linear path is not taken, which pauses anywhere.

    That is decided by what stays the same in a run that is interrupted and goes on, and by nothing else.
    """
    optimizer = config.optimizer
    truncates = getattr(optimizer, "truncate", False)
    if (len(architecture.layers) > 1 or optimizer.groups or optimizer.kind not in ("sgd", "passive_aggressive")
            or getattr(optimizer, "momentum", 0) or optimizer.clip_norm or optimizer.clip_value
            or config.backend == "blas" or (optimizer.l1 and not truncates)
            or (truncates and optimizer.average is not None)):
        return 0
    inputs, outputs = architecture.sizes
    rows = config.batch_size                # not fewer where X is what is left of an epoch
    sparse = hasattr(X, "indptr")
    terms = int(X.indptr[len(X)]) / len(X) if sparse else inputs
    max_rows = LINEAR_ROWS_ONE if outputs == 1 else LINEAR_ROWS_MANY
    if rows > FS_CHUNK_ROWS or (rows * terms > inputs if sparse else rows > max_rows):
        return 0
    work = rows * (terms * outputs + WORK_OF_A_ROW)
    flushes = max(1, int((WORK_BETWEEN_FLUSHES + WEIGHTS_FLUSHED * inputs * outputs) / work))
    return 1 << (flushes.bit_length() - 1)


# ---- the story ----

cdef void linear_epoch(Job* job) noexcept nogil:
    cdef ptrdiff_t first = 0, step = 0, at, n, rows
    job.work.linear.scale = job.work.linear.average_b = 1
    job.work.linear.cumulative_l1 = job.step.cumulative_l1
    while first < job.data.rows:
        rows = min(job.step.block, job.data.rows - first)
        gather(job, first, 0, rows)
        at = 0
        while at < rows:
            n = min(job.step.batch, rows - at)
            if not linear_step(job, step, first + at, at, n):
                flush(job)
                return
            at += n
            step += 1
            if (job.step.steps_before + step) % job.step.flush_steps == 0:
                flush(job)
                if poll_if_due(job, first + at):
                    return
        first += rows
    flush(job)


cdef bint linear_step(Job* job, ptrdiff_t step, ptrdiff_t first, ptrdiff_t at, ptrdiff_t n) noexcept nogil:
    """The step on rows first .. first + n of the epoch, which are rows at .. at + n of the workspace; or False."""
    cdef fs_linear* linear = &job.work.linear
    cdef fs_layer* layer = &job.net.layers[0]
    cdef ptrdiff_t outputs = layer.outputs, i
    cdef char* delta = <char*>layer.delta + at * outputs * job.ops.item
    cdef double cost, divisor, rate = job.step.learning_rates[step], shrink
    cdef double bias_rate = rate * layer.tensor[FS_B].rate_factor, weight = job.step.averaging_weights[step] if job.net.average != NULL else 0

    for i in range(n):
        fetch_ahead(job, first + i + job.step.block)
        point_at_row(job, at + i, i)
    if linear.l1_applied != NULL and job.work.lists_rows:
        for i in range(n):
            job.ops.sync_l1_row(linear, &job.work.line[i])
    for i in range(n):
        job.ops.linear_forward(linear, &job.work.line[i], delta + i * outputs * job.ops.item)
    output_delta(job, at, n, step, job.work.cost + at, job.work.score + at, job.work.scratch)
    if job.work.weight != NULL:
        apply_sample_weight(job, first, n, at)
    cost = job.work.cost[at] if n == 1 else fs_sum(n, job.work.cost + at)
    job.result.cost += cost
    job.result.score += job.work.score[at] if n == 1 else fs_sum(n, job.work.score + at)
    if not isfinite(cost) or job.result.invalid_row:
        return False
    job.result.steps += 1

    divisor = <double>n if job.step.weighted_steps or job.work.weight == NULL else weight_of(job, first, n)
    divisor = 1 / divisor if divisor > 0 else 0
    shrink = rate * (job.step.rule.l2 + job.step.alpha * divisor + job.step.rule.weight_decay)
    if job.step.rule.kind == FS_PASSIVE_AGGRESSIVE:          # whose deltas are steps already
        rate = 1
    shrink_and_average(job, shrink, weight)
    for i in range(n):
        job.ops.linear_update(linear, &job.work.line[i], -rate * divisor / linear.scale, delta + i * outputs * job.ops.item,
                              job.work.scratch)
    job.ops.linear_biases(linear, n, rate * layer.tensor[FS_B].rate_factor * divisor,
                          max(0.0, 1 - bias_rate * job.step.rule.weight_decay), weight, delta)
    if job.net.average != NULL and not job.step.average_is_weights:
        linear.average_b /= 1 - weight
        linear.average_a += weight * linear.average_b * linear.scale
    if linear.l1_applied != NULL:
        linear.cumulative_l1 += job.step.learning_rates[step] * job.step.rule.l1
        linear.l1_pending += job.step.learning_rates[step] * job.step.rule.l1 / linear.scale
        for i in range(n):
            job.ops.truncate_row(linear, &job.work.line[i])
    if linear.average_b > MAX_AVERAGE or linear.average_a > MAX_CANCELLED * linear.average_b * linear.scale:
        flush(job)
    return True


# ---- its parts ----

cdef void shrink_and_average(Job* job, double shrink, double weight) noexcept nogil:
    """What the step does to all weights before its rows change some; the average makes ready for its weight."""
    cdef fs_linear* linear = &job.work.linear
    cdef ptrdiff_t size = linear.inputs * linear.outputs * job.ops.item
    if job.net.average != NULL:
        if weight == 1:
            job.step.average_is_weights = True
            linear.average_a, linear.average_b = 0, 1
        elif job.step.average_is_weights:
            job.step.average_is_weights = False
            linear.average_a, linear.average_b = linear.scale, 1
            memset(linear.average, 0, size)
    if shrink == 0:
        return
    if shrink >= 1 or linear.scale * (1 - shrink) < SMALLEST_SCALE:
        flush(job)
    if shrink >= 1:
        memset(linear.w, 0, size)
    else:
        linear.scale *= 1 - shrink


cdef void flush(Job* job) noexcept nogil:
    cdef fs_linear* linear = &job.work.linear
    job.ops.linear_flush(linear, job.step.average_is_weights)
    linear.scale = linear.average_b = 1
    linear.average_a = linear.l1_pending = 0


cdef void point_at_row(Job* job, ptrdiff_t at, ptrdiff_t i) noexcept nogil:
    """Row "at" of the workspace as the i-th of the step, in a list where that is shorter."""
    cdef fs_layer* layer = &job.net.layers[0]
    cdef fs_row* row = &job.work.line[i]
    if job.data.skips:
        job.ops.list_row(layer, at, job.work.line_index + i * layer.inputs,
                         <char*>job.work.line_value + i * layer.inputs * job.ops.item, row)
        return
    row.value = layer.x[at]
    row.index = layer.x_index[at] if job.data.lists else NULL
    row.count = layer.x_count[at] if job.data.lists else layer.inputs


cdef void fetch_ahead(Job* job, ptrdiff_t place) noexcept nogil:
    """Asks for the row at this place of the epoch, which is gathered soon, and for what tells of a later one."""
    cdef ptrdiff_t row, item = job.ops.item
    if place < job.data.rows:
        job.ops.fetch(&job.data.input, job.data.order[place] if job.data.order != NULL else place, job.net.layers[0].inputs)
    place += job.step.block
    if job.data.order == NULL or place >= job.data.rows:
        return
    row = job.data.order[place]
    if job.data.input.indptr != NULL:
        fs_fetch(job.data.input.indptr + row)
    if job.data.target.labels != NULL:
        fs_fetch(job.data.target.labels + row)
    elif job.data.target.targets != NULL:
        fs_fetch(<char*>job.data.target.targets + row * job.net.layers[0].outputs * item)
    if job.data.sample_weight != NULL:
        fs_fetch(job.data.sample_weight + row)


cdef bint poll_if_due(Job* job, ptrdiff_t rows_done) noexcept nogil:
    if not poll_is_due(job):
        return False
    call_poll(job, rows_done)
    return job.control.stop or job.control.pause


# ---- its part of the plan ----

cdef void bind_linear(Job* job, char* base, ptrdiff_t* used) noexcept:
    cdef fs_layer* layer = &job.net.layers[0]
    cdef fs_linear* linear = &job.work.linear
    cdef ptrdiff_t item = job.ops.item, weights = layer.inputs * layer.outputs
    job.work.line = <fs_row*>arena_alloc(base, used, job.step.batch * sizeof(fs_row))
    if job.data.skips:
        job.work.line_index = <int32_t*>arena_alloc(base, used, job.step.batch * layer.inputs * sizeof(int32_t))
        job.work.line_value = arena_alloc(base, used, job.step.batch * layer.inputs * item)
    job.work.lists_rows = job.data.lists or job.data.skips
    linear.inputs, linear.outputs = layer.inputs, layer.outputs
    linear.w, linear.b = layer.tensor[FS_W].value, layer.tensor[FS_B].value
    linear.average = job.net.average
    linear.average_biases = within(job.net.average, weights * item)
    if job.step.rule.truncate and job.step.rule.l1 > 0:
        linear.l1_applied = layer.tensor[FS_W].slots[0]
        if job.step.rule.l2 + job.step.alpha + job.step.rule.weight_decay > 0:
            linear.l1_synced_at = arena_alloc(base, used, weights * item)
            if base != NULL:
                memset(linear.l1_synced_at, 0, weights * item)
