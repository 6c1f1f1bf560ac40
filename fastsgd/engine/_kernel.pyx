# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The fused mini-batch step.

A step has two phases and no gradient matrix:

1. rows: every thread takes its share of the batch forward through every layer, to its cost and output delta, and
   the deltas back down, all with the old weights. Rows do not depend on each other.
2. weights: every thread takes its share of each layer's weights; they collect their own part of the gradient and
   change in place. Each weight has one owner, so nothing is added up across threads.

Every thread of a team runs ``epoch`` below and meets the others at two barriers a step, or a few more where the
optimizer asks for what a whole gradient or a whole unit must be known for (``complete_step``). Each number is one chain of
additions in an order that depends on the shapes alone, so neither the number of threads nor the instruction set can
change a bit of the result (BLAS, where it is asked for, promises less). That is why a team may be made smaller on the
way, where that turns out to be faster.

Reading order: ``epoch``, ``rows_phase``, ``weights_phase``, ``complete_step``. ``_plan.pxi`` checks the arrays, makes
the Job and lays out the workspace; what forward, backward and weights compute is in ``csrc/products.inc``.
``reference.py`` tells the same story in NumPy.
"""
import os

import numpy

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
cimport numpy as c_numpy
from libc.math cimport INFINITY, isfinite, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastsgd.engine._csrc cimport *

c_numpy.import_array()

cdef enum Mode:             # each does all that those before it do
    PREDICT, COST, DELTAS, GRADIENT, TRAIN

cdef enum:
    SHARED_ROWS = 6         # of a weight matrix in one piece: the height of a register tile
    COPYING_STEPS = 16      # of a pass, for which copies of W whose rows begin at cache lines pay
    WIDE_ROW = 256          # bytes, from which on they do
    BLAS_WIDTH = 1024       # of both sides of W, from which on "auto" may mean BLAS

# The first layer skips zeros where less than this of its input is not zero; where it is narrow, less of it must be, and
# less still in small batches.
cdef double SKIP_DENSITY = 0.3, SKIP_DENSITY_PER_OUTPUT = 0.0125
cdef double poll_seconds = 0.1        # between two calls of a poll


include "_contention.pxi"


cdef struct Parameters:
    int depth
    fs_layer* layers
    ptrdiff_t parameters
    void* params
    void* slots[2]                    # the optimizer's memory, laid out like params
    void* gradient                    # laid out like params, where it has to outlive a tile; or NULL
    void* average                     # of the parameters, laid out like them; or NULL


cdef struct Data:
    fs_input input
    bint lists, skips, copies         # the input comes in lists; its zeros are skipped; its rows are converted
    ptrdiff_t all_rows, rows          # of X and the targets; of the epoch
    const int64_t* order              # which row comes when; NULL: as they lie
    fs_target target                  # labels or targets of all rows
    const double* sample_weight       # (all_rows,) or NULL
    bint smoothed                     # labels become targets, and a target t keep t + share
    double smooth_keep, smooth_share


cdef struct Step:
    ptrdiff_t batch, steps
    fs_rule rule
    double alpha                      # l2 of a batch of weight 1
    const double* learning_rates      # (steps,)
    const double* averaging_weights   # (steps,)
    double clip_norm, max_norm        # 0 for no limit
    bint weighted_steps               # a gradient is divided by the rows of its batch, not by their weights
    double cumulative_l1              # the sum of learning rates times l1 before the first step
    uint64_t seed                     # of dropout
    ptrdiff_t steps_before            # t - 1 at the first step
    ptrdiff_t block                   # rows gathered at once: a batch's, or those of a few
    ptrdiff_t flush_steps             # of the linear path (_linear.pxi), 0 for the general one
    bint average_is_weights           # the average equals the parameters


cdef struct Workspace:
    int32_t* labels                   # (chunk,) in the order of the epoch
    void* targets
    double* cost                      # (chunk,) of each row; (blocks,) in a forward pass
    double* score
    double* weight                    # (chunk,) of each row, or NULL
    double* squares                   # (pieces,) of the gradient, or NULL
    double* row_squares               # (chunk,) of each row, where its step depends on them; or NULL
    char* scratch                     # of each thread
    ptrdiff_t scratch_size
    void* out                         # (rows, outputs) predictions, or what write_activations_and_deltas writes
    fs_linear linear
    fs_row* line                      # (batch,) the rows of a step of the linear path
    bint lists_rows                   # whether they are lists
    int32_t* line_index               # (batch, inputs) their entries, where zeros are skipped
    void* line_value


cdef struct Result:                   # what rank 0 writes between the barriers
    double cost, score                # of all batches; and of the present one
    double batch_cost, batch_score
    ptrdiff_t steps
    bint invalid_row                  # a label, or a row of a CSR matrix, that cannot be


cdef struct Control:                  # of the team and by Python
    ptrdiff_t first_step              # of the pass that the present team makes
    ptrdiff_t next_block              # of a forward pass
    Trial trial
    Contention contention
    unsigned long floats              # what fs_floats_flush found
    bint poll_due, stop, pause        # Python is asked; ends the pass at once; ends it after the present step
    double last_poll
    void* poll_and_error              # a tuple: the poll, and a list for what it raises


cdef struct Job:                      # what the threads of a team share
    Mode mode
    const fs_ops* ops
    Parameters net
    Data data
    Step step
    Workspace work
    Result result
    Control control


cdef struct Chunk:                    # the rows that are in the workspace, a batch or a part of one
    ptrdiff_t first, rows             # in the order of the epoch
    ptrdiff_t step, done              # of the pass; and the rows of its batch that came before
    bint first_of_batch, last_of_batch
    double batch_weight               # what its gradient is divided by: its rows, or the sum of their weights


# ---- the story ----

cdef void epoch(Job* job, fs_team* team, int rank) noexcept nogil:
    cdef ptrdiff_t step, batch_rows
    cdef Chunk chunk
    cdef fs_rule rule
    cdef int size                     # of the team that makes the step; the others look on
    cdef bint tried = False
    cdef double cumulative_l1 = cumulative_l1_after(job, job.control.first_step)
    for step in range(job.control.first_step, job.step.steps):
        size = min(job.control.trial.size or FS_MAX_TEAM, fs_team_size(team))
        if job.control.trial.over and not tried:
            tried = True
            fs_team_barrier(team)         # nobody still reads what the others go on to write
            if rank >= size:
                return
            fs_team_shrink(team, size)
        chunk.first, chunk.done, chunk.step = step * job.step.batch, 0, step
        batch_rows = min(job.step.batch, job.data.rows - chunk.first)
        chunk.batch_weight = weight_of(job, chunk.first, batch_rows) if not job.step.weighted_steps else <double>batch_rows
        rule = rule_of_step(job, step, chunk.batch_weight)
        if job.mode == TRAIN:
            cumulative_l1 += job.step.learning_rates[step] * rule.l1 * rule.truncate
            rule.cumulative_l1 = cumulative_l1
        while chunk.done < batch_rows:
            chunk.rows = min(<ptrdiff_t>FS_CHUNK_ROWS, batch_rows - chunk.done)
            chunk.first_of_batch = chunk.done == 0
            chunk.last_of_batch = chunk.done + chunk.rows == batch_rows

            rows_phase(job, &chunk, rank, size)
            fs_team_barrier(team)
            if not accumulate_cost(job, team, &chunk, rank, size):
                return
            weights_phase(job, &chunk, &rule, rank, size)
            if job.mode == TRAIN and chunk.last_of_batch:
                complete_step(job, team, step, &rule, rank, size)
            fs_team_barrier(team)
            if job.control.poll_due:
                if rank == 0:
                    copy_padded(job, False)
                    call_poll(job, chunk.first + chunk.rows)
                    copy_padded(job, True)
                    if fs_team_handle_fork(team):
                        size = 1
                fs_team_barrier(team)
                if job.control.stop:
                    return

            chunk.done += chunk.rows
            chunk.first += chunk.rows
        if job.control.pause or job.control.contention.change_team:
            return


cdef void rows_phase(Job* job, const Chunk* chunk, int rank, int size) noexcept nogil:
    """Forward, cost, and deltas back down, for this thread's share of the rows."""
    cdef ptrdiff_t begin = share(chunk.rows, rank, size), end = share(chunk.rows, rank + 1, size), n
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef fs_layer* layers = job.net.layers
    cdef int l
    while begin < end:
        n = min(<ptrdiff_t>FS_BLOCK_ROWS, end - begin)
        gather(job, chunk.first + begin, begin, n)
        for l in range(job.net.depth):
            layers[l].ops.forward(&layers[l], begin, n)
            if layers[l].drop:
                job.ops.dropout(&layers[l], job.step.seed, job.step.steps_before + chunk.step, chunk.done + begin, begin, n)
        output_delta(job, begin, n, chunk.step, job.work.cost + begin, job.work.score + begin, scratch)
        if job.work.weight != NULL:
            apply_sample_weight(job, chunk.first + begin, n, begin)
        for l in range(job.net.depth - 1, 0, -1):
            layers[l].ops.backward(&layers[l], &layers[l - 1], begin, n, scratch)
        begin += n


cdef void weights_phase(Job* job, const Chunk* chunk, const fs_rule* rule, int rank, int size) noexcept nogil:
    """The gradient and the update of this thread's share of the weights."""
    cdef double scale = 1.0 / chunk.batch_weight if chunk.batch_weight > 0 else 0
    cdef bint changes = job.mode == TRAIN and chunk.last_of_batch and not job.step.clip_norm
    cdef const fs_rule* final_rule = rule if changes else NULL
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef fs_layer* layer
    cdef Part part
    cdef int l, t
    for l in range(job.net.depth):
        layer = &job.net.layers[l]
        for t in range(layer.tensors):
            part = part_of(&layer.tensor[t], l, rank, size)
            if part.rows:
                layer.ops.gradient(layer, t, final_rule, part.first, part.rows, chunk.rows, scale, not chunk.first_of_batch,
                                   scratch)


cdef void complete_step(Job* job, fs_team* team, ptrdiff_t step, fs_rule* rule, int rank, int size) noexcept nogil:
    """What must wait for the whole gradient, or for all weights of a unit, where the optimizer asks for it."""
    cdef double norm
    cdef ptrdiff_t first, end
    cdef fs_tensor* tensor
    cdef Part part
    cdef int l, t
    if job.step.clip_norm:
        square_gradient(job, rank, size)
        fs_team_barrier(team)
        norm = sqrt(fs_sum(pieces_of(job), job.work.squares))
        rule.clip_factor = 1 if norm <= job.step.clip_norm else job.step.clip_norm / norm
        for l in range(job.net.depth):
            for t in range(job.net.layers[l].tensors):
                tensor = &job.net.layers[l].tensor[t]
                part = part_of(tensor, l, rank, size)
                if part.rows:
                    job.ops.apply_gradient(tensor, rule, part.first, part.rows)
    if job.step.max_norm:
        fs_team_barrier(team)
        for l in range(job.net.depth - 1):
            for t in range(job.net.layers[l].tensors):
                tensor = &job.net.layers[l].tensor[t]
                first, end = share(tensor.cols, rank, size), share(tensor.cols, rank + 1, size)
                if tensor.role == FS_WEIGHT:
                    job.ops.constrain(tensor, first, end - first, job.step.max_norm)
    if job.net.average != NULL:
        fs_team_barrier(team)
        first, end = share(job.net.parameters, rank, size), share(job.net.parameters, rank + 1, size)
        job.ops.average(end - first, job.step.averaging_weights[step], <char*>job.net.params + first * job.ops.item,
                        <char*>job.net.average + first * job.ops.item)


cdef void forward_pass(Job* job, fs_team* team, int rank) noexcept nogil:
    """Predictions, costs, or deltas: no thread waits for another. Each has its own block of the workspace."""
    cdef ptrdiff_t blocks = blocks_of(job), begin = rank * FS_BLOCK_ROWS, block = fs_next(&job.control.next_block), first, n
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef double[FS_BLOCK_ROWS] cost
    cdef double[FS_BLOCK_ROWS] score
    cdef int l
    cdef fs_layer output = job.net.layers[job.net.depth - 1]
    cdef ptrdiff_t out_row = output.outputs * job.ops.item
    while block < blocks:
        first = block * FS_BLOCK_ROWS
        if rank == 0 and poll_is_due(job):
            call_poll(job, first)
            if job.control.stop:
                fs_continue_from(&job.control.next_block, blocks)
                break
            if fs_team_handle_fork(team):              # so are the others' blocks: all over again
                fs_continue_from(&job.control.next_block, 0)
                block = fs_next(&job.control.next_block)
                continue
        block = fs_next(&job.control.next_block)
        n = min(<ptrdiff_t>FS_BLOCK_ROWS, job.data.rows - first)
        gather(job, first, begin, n)
        for l in range(job.net.depth - 1):
            job.net.layers[l].ops.forward(&job.net.layers[l], begin, n)
        if job.mode == PREDICT:
            output.a = <char*>job.work.out + (first - begin) * out_row
        output.ops.forward(&output, begin, n)
        if job.mode == PREDICT:
            continue
        output_delta(job, begin, n, 0, cost, score, scratch)
        if job.data.sample_weight != NULL:
            weight_costs(job, first, n, cost, score)
        job.work.cost[first // FS_BLOCK_ROWS] = fs_sum(n, cost)
        job.work.score[first // FS_BLOCK_ROWS] = fs_sum(n, score)
        if job.mode == DELTAS:
            for l in range(job.net.depth - 1, 0, -1):
                job.net.layers[l].ops.backward(&job.net.layers[l], &job.net.layers[l - 1], begin, n, scratch)
            write_activations_and_deltas(job, first, begin, n)
    if rank == 0:
        job.control.contention.done = fs_seconds()


cdef void write_activations_and_deltas(Job* job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """Hidden activations, then the deltas of all layers, side by side in each row of the output."""
    cdef ptrdiff_t item = job.ops.item, row
    cdef char* out = <char*>job.work.out + first * delta_row_width(job) * item
    cdef fs_layer* layer
    cdef int l
    for row in range(begin, begin + n):
        for l in range(job.net.depth - 1):
            layer = &job.net.layers[l]
            memcpy(out, <char*>layer.a + row * layer.ld * item, layer.outputs * item)
            out += layer.outputs * item
        for l in range(job.net.depth):
            layer = &job.net.layers[l]
            memcpy(out, <char*>layer.delta + row * layer.ld * item, layer.outputs * item)
            out += layer.outputs * item


# ---- its parts ----

cdef ptrdiff_t delta_row_width(Job* job) noexcept nogil:
    """What write_activations_and_deltas writes of each."""
    cdef ptrdiff_t numbers = -job.net.layers[job.net.depth - 1].outputs
    cdef int l
    for l in range(job.net.depth):
        numbers += 2 * job.net.layers[l].outputs
    return numbers


cdef ptrdiff_t share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size) noexcept nogil:
    """Where a thread's share of so many things begins; it is empty from rank "size" on."""
    return things * min(rank, size) // size


cdef struct Part:                     # of the rows of a tensor, that one thread changes
    ptrdiff_t first, rows


cdef Part part_of(const fs_tensor* tensor, int l, int rank, int size) noexcept nogil:
    """Whole pieces of a matrix; of layer l, as the odd one goes to another thread in each."""
    cdef Part part
    cdef ptrdiff_t turn = (rank + l) % size, pieces = pieces_in(tensor.rows)
    part.first = part.rows = 0
    if rank >= size:
        return part
    if tensor.rows == 1:
        part.rows = turn == 0
        return part
    part.first = min(tensor.rows, SHARED_ROWS * share(pieces, turn, size))
    part.rows = min(tensor.rows, SHARED_ROWS * share(pieces, turn + 1, size)) - part.first
    return part


cdef ptrdiff_t pieces_in(ptrdiff_t rows) noexcept nogil:
    return (rows + SHARED_ROWS - 1) // SHARED_ROWS


cdef void gather(Job* job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """Rows first .. first + n of the epoch become rows begin .. begin + n of the workspace, with their targets."""
    cdef const int64_t* order = job.data.order + first if job.data.order != NULL else NULL
    cdef ptrdiff_t outputs = job.net.layers[job.net.depth - 1].outputs, i
    cdef const int64_t* next = order + job.step.batch if order != NULL and first + job.step.batch + n <= job.data.rows else NULL
    cdef void* targets = <char*>job.work.targets + begin * outputs * job.ops.item
    cdef int32_t label
    if not job.ops.gather(&job.data.input, order, next, first, &job.net.layers[0], begin, n):
        job.result.invalid_row = True
    if job.data.target.labels != NULL:
        for i in range(n):
            label = job.data.target.labels[order[i] if order != NULL else first + i]
            if not 0 <= label < outputs:
                job.result.invalid_row, label = True, 0
            job.work.labels[begin + i] = label
    elif job.data.target.targets != NULL:
        job.ops.gather_rows(job.data.target.targets, outputs, order, first, n, targets)
    if job.data.smoothed:
        job.ops.smooth(n, outputs, job.work.labels + begin if job.data.target.labels != NULL else NULL, job.data.smooth_keep,
                       job.data.smooth_share, targets)


cdef void output_delta(Job* job, ptrdiff_t begin, ptrdiff_t n, ptrdiff_t step, double* cost, double* score,
                       char* scratch) noexcept nogil:
    """Cost, score and delta of the output layer for rows begin .. begin + n of the workspace."""
    cdef fs_layer* output = &job.net.layers[job.net.depth - 1]
    cdef fs_target target = job.data.target
    target.labels = job.work.labels + begin if target.labels != NULL else NULL
    if job.data.smoothed or target.labels == NULL:
        target.targets = <char*>job.work.targets + begin * output.outputs * job.ops.item
        if target.loss == FS_CROSS_ENTROPY:
            target.labels = NULL
    if target.aggressive:
        job.ops.square_rows(&job.net.layers[0], begin, n, job.work.row_squares + begin)
        target.squares, target.rate = job.work.row_squares + begin, job.step.learning_rates[step]
    job.ops.cost_and_delta(&target, output, begin, n, cost, score, scratch)


cdef double cumulative_l1_after(const Job* job, ptrdiff_t steps) noexcept nogil:
    """The sum of learning rates times l1 after so many steps of the pass, added up as they do."""
    cdef double cumulative_l1 = job.step.cumulative_l1
    cdef ptrdiff_t step
    if job.mode == TRAIN:
        for step in range(steps):
            cumulative_l1 += job.step.learning_rates[step] * job.step.rule.l1 * job.step.rule.truncate
    return cumulative_l1


cdef fs_rule rule_of_step(Job* job, ptrdiff_t step, double batch_weight) noexcept nogil:
    cdef fs_rule rule = job.step.rule
    cdef double t = <double>(job.step.steps_before + step + 1)
    if job.mode == TRAIN:
        rule.learning_rate = job.step.learning_rates[step]
        rule.correction_1 = 1 - pow(rule.beta_1, t)
        rule.correction_2 = sqrt(1 - pow(rule.beta_2, t))
        rule.clip_factor = 1
        if batch_weight > 0:
            rule.l2 += job.step.alpha / batch_weight
        if rule.kind == FS_PASSIVE_AGGRESSIVE:          # the deltas are steps already; the rate is left to the penalties
            rule.l1 *= rule.learning_rate
            rule.l2 *= rule.learning_rate
            rule.weight_decay *= rule.learning_rate
            rule.learning_rate = 1
    return rule


cdef bint accumulate_cost(Job* job, fs_team* team, const Chunk* chunk, int rank, int size) noexcept nogil:
    """Whether the step may be made; rank 0 keeps the account and says whether it is time to let Python look in."""
    cdef double cost = fs_sum(chunk.rows, job.work.cost)
    cdef bint ok = isfinite(cost) and not job.result.invalid_row
    if rank != 0:
        return ok
    if chunk.first_of_batch:
        job.result.batch_cost = job.result.batch_score = 0
    job.result.batch_cost += cost
    job.result.batch_score += fs_sum(chunk.rows, job.work.score)
    if chunk.last_of_batch or not ok:
        job.result.cost += job.result.batch_cost
        job.result.score += job.result.batch_score
        job.result.steps += ok
        if ok and job.control.contention.whole > 1:
            check_contention(job, team, chunk.step, size)
    job.control.poll_due = poll_is_due(job)
    return ok


cdef bint poll_is_due(const Job* job) noexcept nogil:
    return job.control.poll_and_error != NULL and fs_seconds() - job.control.last_poll >= poll_seconds


cdef void call_poll(Job* job, ptrdiff_t rows_done) noexcept with gil:
    poll, raised = <tuple>job.control.poll_and_error
    fs_floats_restore(job.control.floats)
    try:
        job.control.pause = bool(poll(rows_done))
    except BaseException as error:
        job.control.stop = True
        raised[0] = error                # takes no memory, which may be what is missing
    fs_floats_flush()
    job.control.last_poll = fs_seconds()        # what Python did may have taken longer


cdef void run(void* argument, fs_team* team, int rank) noexcept nogil:
    cdef Job* job = <Job*>argument
    cdef unsigned long floats = fs_floats_flush()
    if rank == 0:
        job.control.floats = floats
    if job.mode <= DELTAS:
        forward_pass(job, team, rank)
    elif job.step.flush_steps:
        linear_epoch(job)
    else:
        epoch(job, team, rank)
    fs_floats_restore(floats)


include "_plan.pxi"


# ---- from Python ----

def check_signals(rows_done):
    """The poll of whoever has none: Ctrl-C ends a long call, too."""
    PyErr_CheckSignals()
    return False


ACTIVATIONS = {
    "identity": FS_IDENTITY, "logistic": FS_LOGISTIC, "tanh": FS_TANH, "relu": FS_RELU, "leaky_relu": FS_LEAKY_RELU,
    "elu": FS_ELU, "gelu": FS_GELU, "silu": FS_SILU, "softplus": FS_SOFTPLUS, "softmax": FS_SOFTMAX, "exp": FS_EXP,
}
LOSSES = {
    "cross_entropy": FS_CROSS_ENTROPY, "binary_cross_entropy": FS_BINARY_CROSS_ENTROPY,
    "squared_error": FS_SQUARED_ERROR, "absolute_error": FS_ABSOLUTE_ERROR, "huber": FS_HUBER,
    "quantile": FS_QUANTILE, "poisson": FS_POISSON, "hinge": FS_HINGE, "perceptron": FS_HINGE,
    "squared_hinge": FS_SQUARED_HINGE, "modified_huber": FS_MODIFIED_HUBER,
    "epsilon_insensitive": FS_EPSILON_INSENSITIVE, "squared_epsilon_insensitive": FS_SQUARED_EPSILON_INSENSITIVE,
}
KINDS = {"dense": FS_DENSE, "scale": FS_SCALE}
ROLES = {"weight": FS_WEIGHT, "bias": FS_BIAS, "scale": FS_SCALE_FACTOR}
MAX_THREADS = FS_MAX_TEAM
POLL_SECONDS = poll_seconds
OPTIMIZERS = {
    "sgd": FS_SGD, "adam": FS_ADAM, "adamw": FS_ADAMW, "rmsprop": FS_RMSPROP, "adagrad": FS_ADAGRAD,
    "passive_aggressive": FS_PASSIVE_AGGRESSIVE,
}
BACKENDS = ("auto", "native", "blas")


def train_epoch(architecture, params, X, target, order, config, state, learning_rates, sample_weight=None, threads=1,
                poll=None, adapts=False):
    """One pass over the rows in ``order`` in mini-batches, changing ``params`` and ``state`` in place.

    Returns the number of steps; ``state`` gains the cost and the score of the rows seen, each times its weight. A cost
    that is not finite ends the pass before the step that met it changes anything, and stands in ``state``.
    Where the number of threads ``adapts``, the team is made smaller in the first steps if that is faster.
    ``poll(rows_done)`` is called about ten times a second; where it returns something true the pass ends after the
    step, and what it raises ends the pass at once and is raised here.
    """
    cdef Pass this = Pass()
    cdef Job* job = this.bind(TRAIN, architecture, params, X, config.backend, config)
    this.bind_targets(architecture, target, sample_weight)
    this.choose(order)
    bind_step(job, config, state, params, learning_rates, this.kept)
    this.run(threads, poll, adapts)
    state.steps += job.result.steps
    state.cumulative_l1 = cumulative_l1_after(job, job.result.steps)
    state.cost, state.score = job.result.cost, job.result.score
    this.raise_errors()
    return job.result.steps


def gradient(architecture, params, X, target, out, sample_weight=None, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    cdef Pass this = Pass()
    cdef Job* job = this.bind(GRADIENT, architecture, params, X, backend)
    this.bind_targets(architecture, target, sample_weight)
    job.net.gradient = floats(out, job, job.net.parameters, "out", this.kept, True)
    this.run(threads)
    this.raise_errors()
    if not isfinite(job.result.cost):
        out[:] = numpy.nan
    return job.result.cost / (len(X) if sample_weight is None else sample_weight.sum())


def cost(architecture, params, X, target, rows=None, sample_weight=None, threads=1, backend="auto"):
    """``(cost, score)`` summed over all rows, or over those of the numbers in ``rows``, each times its weight."""
    cdef Pass this = Pass()
    this.bind(COST, architecture, params, X, backend)
    this.bind_targets(architecture, target, sample_weight)
    this.choose(rows)
    this.run(threads)
    this.raise_errors()
    return this.job.result.cost, this.job.result.score


def cost_on_plane(architecture, params, Z, along, factors, activation, target, threads=1, backend="auto"):
    """The cost summed over all rows of what a network computes of f(Z + p Z_1 + q Z_2), f being an activation.

    ``along`` holds Z_1 and Z_2, of Z's shape, and ``factors`` p and q.
    """
    cdef Pass this = Pass()
    cdef Job* job = this.bind(COST, architecture, params, Z, backend)
    bind_plane(job, along, factors, activation, this.kept)
    this.bind_targets(architecture, target)
    this.run(threads)
    this.raise_errors()
    return job.result.cost


def deltas(architecture, params, X, target, out, threads=1, backend="auto"):
    """What each row's gradient is made of into ``out``: hidden activations a_1 .. a_{L-1}, then dC/dz_1 .. dC/dz_L.

    Side by side, a row of ``out`` for each of X. Returns the cost summed over the rows.
    """
    cdef Pass this = Pass()
    cdef Job* job = this.bind(DELTAS, architecture, params, X, backend)
    this.bind_targets(architecture, target)
    job.work.out = floats(out, job, job.data.rows * delta_row_width(job), "out", this.kept, True)
    this.run(threads)
    this.raise_errors()
    return job.result.cost


def predict(architecture, params, X, out, rows=None, threads=1, backend="auto"):
    """The output layer's activations of every row, or of those numbered in ``rows``, into ``out`` (rows, outputs)."""
    cdef Pass this = Pass()
    cdef Job* job = this.bind(PREDICT, architecture, params, X, backend)
    this.choose(rows)
    job.work.out = floats(out, job, job.data.rows * job.net.layers[job.net.depth - 1].outputs, "out", this.kept, True)
    this.run(threads)
    this.raise_errors()


include "_extras.pxi"
include "_linear.pxi"
include "_few_rows.pxi"
include "_predictor.pxi"
include "_machine.pxi"
