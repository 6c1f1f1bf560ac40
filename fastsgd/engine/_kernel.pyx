# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The fused mini-batch step.

A step has two phases and no gradient matrix:

1. rows: every thread takes its share of the batch forward through every layer, to its cost and output delta, and
   the deltas back down, all with the old weights. Rows do not depend on each other.
2. weights: every thread takes its share of each layer's weights; they collect their own part of the gradient and
   change in place. Each weight has one owner, so nothing is added up across threads.

Every thread of a team runs ``epoch`` below and meets the others at two barriers a step, or a few more where the
optimizer asks for what a whole gradient or a whole unit must be known for (``complete_step``), or where a batch norm
makes rows depend on each other (``rows_phase``). Each number is one chain of
additions in an order that depends on the shapes alone, so neither the number of threads nor the instruction set can
change a bit of the result (BLAS, where it is asked for, promises less). That is why a team may be made smaller on the
way, where that turns out to be faster.

Reading order: ``epoch``, ``rows_phase``, ``weights_phase``, ``complete_step``; ``csrc/job.h`` says what a job holds.
``_plan.pxi`` binds it to Python's arrays, ``csrc/plan.c`` decides how it is made, ``csrc/workspace.c`` lays out its memory; what a layer computes forward, backward
and for its tensors is in ``csrc/products.inc``. ``reference.py`` tells the same story in NumPy.
"""
import os
from typing import NamedTuple

import numpy

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
cimport numpy as c_numpy
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastsgd.data.checks import check_codes
from fastsgd.engine._csrc cimport *

c_numpy.import_array()
fs_team_prepare()


# ---- the story ----

cdef void epoch(fs_job* job, fs_team* team, int rank) noexcept nogil:
    cdef ptrdiff_t step, batch_rows
    cdef fs_chunk chunk
    cdef fs_rule rule
    cdef int size                     # of the team that makes the step; the others look on
    cdef bint tried = False
    rule.carried = job.result.carried
    for step in range(job.control.team.first_step, job.step.steps):
        size = min(job.control.team.trial_size or FS_MAX_TEAM, fs_team_size(team))
        if job.control.team.trial_over and not tried:
            tried = True
            fs_team_barrier(team)         # nobody still reads what the others go on to write
            if rank >= size:
                return
            fs_team_shrink(team, size)
        chunk.first, chunk.done, chunk.step = step * job.step.batch, 0, step
        batch_rows = min(job.step.batch, job.data.rows - chunk.first)
        chunk.batch_weight = fs_weight_of(job, chunk.first, batch_rows) if not job.step.weighted_steps else <double>batch_rows
        rule = fs_rule_of_step(job, step, chunk.batch_weight, rule.carried)
        while chunk.done < batch_rows:
            chunk.rows = min(job.step.chunk_rows, batch_rows - chunk.done)
            chunk.first_of_batch = chunk.done == 0
            chunk.last_of_batch = chunk.done + chunk.rows == batch_rows

            rows_phase(job, team, &chunk, rank, size)
            fs_team_barrier(team)
            if not fs_accumulate_cost(job, team, &chunk, rank, size):
                return
            weights_phase(job, &chunk, &rule, rank, size)
            if job.mode == FS_TRAIN and chunk.last_of_batch:
                if job.net.meetings:
                    fs_measure_all(job, FS_TO_RUNNING, chunk.rows, rank, size)
                complete_step(job, team, step, &rule, rank, size)
            fs_team_barrier(team)
            if job.control.team.poll_due:
                if rank == 0:
                    fs_copy_padded(job, False)
                    call_poll(job, chunk.first + chunk.rows)
                    fs_copy_padded(job, True)
                    if fs_team_handle_fork(team):
                        size = 1
                fs_team_barrier(team)
                if job.control.team.stop:
                    return

            chunk.done += chunk.rows
            chunk.first += chunk.rows
        if job.control.team.pause or job.control.team.change_team:
            return


cdef void rows_phase(fs_job* job, fs_team* team, const fs_chunk* chunk, int rank, int size) noexcept nogil:
    """Forward, cost, and deltas back down, for this thread's share of the rows: at once, or in stages between which all
    threads meet before and behind a layer whose rows depend on each other."""
    cdef fs_stage stage
    cdef int number
    rows_stage(job, chunk, job.net.first_stage, rank, size)
    for number in range(1, 2 * job.net.meetings + 1):
        stage = fs_stage_of(job, number)
        fs_team_barrier(team)
        if stage.of == FS_OF_DELTAS or job.mode == FS_TRAIN:
            fs_measure(job, stage.met, stage.of, chunk.rows, rank, size)
        fs_team_barrier(team)
        rows_stage(job, chunk, stage, rank, size)


cdef void rows_stage(fs_job* job, const fs_chunk* chunk, fs_stage stage, int rank, int size) noexcept nogil:
    """What this thread's rows go through between two meetings, a block of them after the other."""
    cdef ptrdiff_t begin = fs_share(chunk.rows, rank, size), end = fs_share(chunk.rows, rank + 1, size), n
    cdef ptrdiff_t copies = fs_members(job)
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef fs_layer* layers = job.net.layers
    cdef int l
    while begin < end:
        n = min(job.step.block_rows, end - begin)
        if stage.gathers:
            fs_gather(job, chunk.first + begin, begin, n)
        for l in range(stage.first, stage.end):
            copies = layers[l].copies
            layers[l].ops.forward(&layers[l], begin * copies, n * copies)
            if layers[l].drops != NULL:
                job.ops.dropout(&layers[l], layers[l].drops[chunk.step], job.step.seed, job.step.steps_before + chunk.step,
                                (chunk.done + begin) * copies, begin * copies, n * copies)
        if stage.turns:
            fs_output_delta(job, begin * copies, n * copies, chunk.step, job.work.cost + begin * copies,
                            job.work.score + begin * copies, scratch)
            if job.work.weight != NULL:
                fs_apply_sample_weight(job, chunk.first + begin, n, begin)
        for l in range(stage.top, stage.bottom, -1):
            copies = layers[l].copies
            layers[l].ops.backward(&layers[l], &layers[l - 1], begin * copies, n * copies, scratch)
        if stage.ends and layers[0].ops.inward != NULL:
            layers[0].ops.inward(&layers[0], begin, n)
        begin += n


cdef void weights_phase(fs_job* job, const fs_chunk* chunk, const fs_rule* rule, int rank, int size) noexcept nogil:
    """The gradient and the update of this thread's share of the weights."""
    cdef double scale = 1.0 / (chunk.batch_weight * fs_members(job)) if chunk.batch_weight > 0 else 0
    cdef bint changes = job.mode == FS_TRAIN and chunk.last_of_batch and not job.step.clip_norm
    cdef const fs_rule* final_rule = rule if changes else NULL
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef fs_layer* layer
    cdef fs_part part
    cdef int l, t
    for l in range(job.net.depth):
        layer = &job.net.layers[l]
        for t in range(layer.tensors):
            part = fs_part_of(&layer.tensor[t], l, rank, size)
            if part.rows:
                layer.ops.gradient(layer, t, final_rule, part.first, part.rows, chunk.rows * layer.copies,
                                   scale * layer.tensor[t].unit,
                                   not chunk.first_of_batch, scratch)


cdef void complete_step(fs_job* job, fs_team* team, ptrdiff_t step, fs_rule* rule, int rank, int size) noexcept nogil:
    """What must wait for the whole gradient, or for all weights of a unit, where the optimizer asks for it."""
    cdef double norm
    cdef ptrdiff_t first, end
    cdef fs_tensor* tensor
    cdef fs_part part
    cdef int l, t
    if job.step.clip_norm:
        fs_square_gradient(job, rank, size)
        fs_team_barrier(team)
        norm = sqrt(fs_sum(fs_pieces(job), job.work.squares))
        rule.clip_factor = 1 if norm <= job.step.clip_norm else job.step.clip_norm / norm
        for l in range(job.net.depth):
            for t in range(job.net.layers[l].tensors):
                tensor = &job.net.layers[l].tensor[t]
                part = fs_part_of(tensor, l, rank, size)
                if part.rows:
                    job.ops.apply_gradient(tensor, rule, part.first, part.rows)
    if job.work.matrix.x != NULL:
        for l in range(job.net.depth):
            for t in range(job.net.layers[l].tensors):
                tensor = &job.net.layers[l].tensor[t]
                if fs_traits[tensor.rule].whole_matrix:
                    fs_orthogonalize(job, team, &job.net.layers[l], tensor, rule, rank, size)
    if job.step.max_norm:
        fs_team_barrier(team)
        for l in range(job.net.depth - 1):
            for t in range(job.net.layers[l].tensors):
                tensor = &job.net.layers[l].tensor[t]
                first, end = fs_share(tensor.cols, rank, size), fs_share(tensor.cols, rank + 1, size)
                if tensor.role == FS_WEIGHT and tensor.rate_factor:
                    job.ops.constrain(tensor, first, end - first, job.step.max_norm)
    if job.net.average != NULL:
        fs_team_barrier(team)
        first, end = fs_share(job.net.parameters, rank, size), fs_share(job.net.parameters, rank + 1, size)
        job.ops.average(end - first, job.step.averaging_weights[step], <char*>job.net.params + first * job.ops.item,
                        <char*>job.net.average + first * job.ops.item)
    if rank == 0:
        job.result.carried = rule.carried


cdef void forward_pass(fs_job* job, fs_team* team, int rank) noexcept nogil:
    """Predictions, costs, or deltas: no thread waits for another. Each has its own block of the workspace."""
    cdef ptrdiff_t blocks = fs_blocks_of(job), begin = rank * job.step.block_rows, first, n, copies
    cdef ptrdiff_t block = fs_next(&job.control.next_block), members = fs_members(job)
    cdef char* scratch = job.work.scratch + rank * job.work.scratch_size
    cdef double[FS_BLOCK_ROWS] cost
    cdef double[FS_BLOCK_ROWS] score
    cdef int l
    cdef fs_layer output = job.net.layers[job.net.depth - 1]
    cdef ptrdiff_t out_row = output.outputs * job.ops.item
    while block < blocks:
        first = block * job.step.block_rows
        if rank == 0 and fs_poll_is_due(job):
            call_poll(job, first)
            if job.control.team.stop:
                fs_continue_from(&job.control.next_block, blocks)
                break
            if fs_team_handle_fork(team):              # so are the others' blocks: all over again
                fs_continue_from(&job.control.next_block, 0)
                block = fs_next(&job.control.next_block)
                continue
        block = fs_next(&job.control.next_block)
        n = min(job.step.block_rows, job.data.rows - first)
        fs_gather(job, first, begin, n)
        for l in range(job.net.depth - 1):
            copies = job.net.layers[l].copies
            job.net.layers[l].ops.forward(&job.net.layers[l], begin * copies, n * copies)
        if job.mode == FS_PREDICT and (members == 1 or job.work.of_each):
            output.a = <char*>job.work.out + (first - begin) * members * out_row
        output.ops.forward(&output, begin * members, n * members)
        if job.mode == FS_PREDICT:
            if members > 1 and not job.work.of_each:
                job.ops.mean_of_members(n, members, output.outputs, <char*>output.a + begin * members * out_row,
                                        <char*>job.work.out + first * out_row)
            continue
        fs_output_delta(job, begin * members, n * members, 0, cost, score, scratch)
        if job.data.sample_weight != NULL:
            fs_weight_costs(job, first, n, cost, score)
        job.work.cost[first // job.step.block_rows] = fs_sum(n * members, cost) / members
        job.work.score[first // job.step.block_rows] = fs_sum(n * members, score) / members
        if job.mode == FS_DELTAS:
            for l in range(job.net.depth - 1, 0, -1):
                job.net.layers[l].ops.backward(&job.net.layers[l], &job.net.layers[l - 1], begin, n, scratch)
            fs_write_activations_and_deltas(job, first, begin, n)
    if rank == 0:
        job.control.team.done = fs_seconds()


# ---- its parts ----

cdef void call_poll(fs_job* job, ptrdiff_t rows_done) noexcept with gil:
    poll, raised = <tuple>job.control.poll
    fs_floats_restore(job.control.floats)
    try:
        job.control.team.pause = bool(poll(rows_done))
    except BaseException as error:
        job.control.team.stop = True
        raised[0] = error                # takes no memory, which may be what is missing
    fs_floats_flush()
    job.control.last_poll = fs_seconds()        # what Python did may have taken longer


cdef void run(void* argument, fs_team* team, int rank) noexcept nogil:
    cdef fs_job* job = <fs_job*>argument
    cdef unsigned long floats = fs_floats_flush()
    if rank == 0:
        job.control.floats = floats
    if job.mode <= FS_DELTAS:
        forward_pass(job, team, rank)
    elif job.step.flush_steps:
        fs_linear_epoch(job)
    else:
        epoch(job, team, rank)
    fs_floats_restore(floats)


include "_plan.pxi"
include "_columns.pxi"


# ---- from Python ----

def check_signals(rows_done):
    """The poll of whoever has none: Ctrl-C ends a long call, too."""
    PyErr_CheckSignals()
    return False


ACTIVATIONS = {
    "identity": FS_IDENTITY, "logistic": FS_LOGISTIC, "tanh": FS_TANH, "relu": FS_RELU, "leaky_relu": FS_LEAKY_RELU,
    "elu": FS_ELU, "gelu": FS_GELU, "silu": FS_SILU, "softplus": FS_SOFTPLUS, "selu": FS_SELU, "mish": FS_MISH,
    "hard_sigmoid": FS_HARD_SIGMOID, "hard_swish": FS_HARD_SWISH, "hard_tanh": FS_HARD_TANH, "relu6": FS_RELU6,
    "exp": FS_EXP, "softmax": FS_SOFTMAX, "sorted": FS_SORTED, "mean_and_deviation": FS_MEAN_AND_DEVIATION,
}
LOSSES = {
    "cross_entropy": FS_CROSS_ENTROPY, "focal": FS_FOCAL, "binary_cross_entropy": FS_BINARY_CROSS_ENTROPY,
    "ordinal": FS_BINARY_CROSS_ENTROPY, "squared_error": FS_SQUARED_ERROR, "absolute_error": FS_ABSOLUTE_ERROR,
    "huber": FS_HUBER, "quantile": FS_QUANTILE, "mean_quantiles": FS_MEAN_QUANTILES, "gaussian_nll": FS_GAUSSIAN_NLL,
    "poisson": FS_POISSON, "gamma": FS_GAMMA, "tweedie": FS_TWEEDIE, "hinge": FS_HINGE, "perceptron": FS_HINGE,
    "squared_hinge": FS_SQUARED_HINGE, "modified_huber": FS_MODIFIED_HUBER,
    "epsilon_insensitive": FS_EPSILON_INSENSITIVE, "squared_epsilon_insensitive": FS_SQUARED_EPSILON_INSENSITIVE,
}
KINDS = {"dense": FS_DENSE, "scale": FS_SCALE, "affine": FS_AFFINE, "member_dense": FS_DENSE_MEMBERS,
         "columns": FS_COLUMNS, "parametric_activation": FS_PARAMETRIC_ACTIVATION, "layer_norm": FS_LAYER_NORM,
         "batch_norm": FS_BATCH_NORM, "add": FS_ADD}
ROLES = {"weight": FS_WEIGHT, "bias": FS_BIAS, "scale": FS_SCALE_FACTOR, "encoding": FS_ENCODING,
         "embedding": FS_EMBEDDING, "adapter": FS_ADAPTER, "activation": FS_ACTIVATION, "gain": FS_GAIN,
         "shift": FS_SHIFT, "running": FS_RUNNING}
BASES = {"identity": FS_IDENTITY_BASIS, "piecewise": FS_PIECEWISE, "waves": FS_WAVES, "cosines": FS_COSINES}
MAX_THREADS = FS_MAX_TEAM
POLL_SECONDS = FS_POLL_SECONDS
OPTIMIZERS = {
    "sgd": FS_SGD, "adam": FS_ADAM, "adamw": FS_ADAMW, "nadamw": FS_NADAMW,
    "schedule_free_adamw": FS_SCHEDULE_FREE_ADAMW, "rmsprop": FS_RMSPROP, "adagrad": FS_ADAGRAD, "lion": FS_LION,
    "muon": FS_MUON, "passive_aggressive": FS_PASSIVE_AGGRESSIVE,
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
    cdef Pass this = training(architecture, params, X, target, order, config, state, learning_rates, sample_weight)
    this.run(threads, poll, adapts)
    return trained(this, state)


def train_members(passes, threads):
    """Passes of ``train_epoch``, each a tuple of its arguments up to ``sample_weight``: each on one thread, several at once.

    Returns the steps of each.
    """
    cdef fs_passes all
    cdef Pass this
    cdef ptrdiff_t i
    cdef int team = min(<int>threads, <int>len(passes))
    bound = [training(*each) for each in passes]
    table = bytearray(sizeof(fs_job*) * len(bound))
    all.jobs, all.count, all.next = <fs_job**><char*>table, len(bound), 0
    for i in range(all.count):
        this = bound[i]
        this.prepare(1)
        all.jobs[i] = &this.job
    with nogil:
        fs_team_run(team, run_passes, &all)
    for this in bound:
        fs_copy_padded(&this.job, False)
    return [trained(this, each[6]) for this, each in zip(bound, passes)]


cdef struct fs_passes:
    fs_job** jobs
    ptrdiff_t count, next


cdef void run_passes(void* argument, fs_team* team, int rank) noexcept nogil:
    """Each thread takes the next pass that none has begun."""
    cdef fs_passes* all = <fs_passes*>argument
    cdef ptrdiff_t i = fs_next(&all.next)
    while i < all.count:
        fs_run_adaptively(&all.jobs[i].control.team, 1, False, run, all.jobs[i])
        i = fs_next(&all.next)


def training(architecture, params, X, target, order, config, state, learning_rates, sample_weight):
    """A pass of training, bound."""
    cdef Pass this = Pass()
    cdef fs_job* job = this.bind(FS_TRAIN, architecture, params, X, config.backend, config)
    this.bind_targets(architecture, target, sample_weight)
    this.choose(order)
    bind_step(job, config, state, params, learning_rates, this.kept)
    return this


cdef trained(Pass this, state):
    """What the state gains of a pass; its steps."""
    cdef fs_job* job = &this.job
    state.steps += job.result.steps
    state.cumulative_l1, state.mu_product = job.result.carried.cumulative_l1, job.result.carried.mu_product
    state.weight_sum = job.result.carried.weight_sum
    state.cost, state.score = job.result.cost, job.result.score
    this.raise_errors()
    return job.result.steps


def gradient(architecture, params, X, target, out, sample_weight=None, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    cdef Pass this = Pass()
    cdef fs_job* job = this.bind(FS_GRADIENT, architecture, params, X, backend)
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
    this.bind(FS_COST, architecture, params, X, backend)
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
    cdef fs_job* job = this.bind(FS_COST, architecture, params, Z, backend)
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
    cdef fs_job* job = this.bind(FS_DELTAS, architecture, params, X, backend)
    this.bind_targets(architecture, target)
    job.work.out = floats(out, job, job.data.rows * fs_delta_row_width(job), "out", this.kept, True)
    this.run(threads)
    this.raise_errors()
    return job.result.cost


def predict(architecture, params, X, out, rows=None, threads=1, backend="auto"):
    """The output layer's activations of every row, or of those numbered in ``rows``, into ``out``.

    That is (rows, outputs); members that share weights have their mean there, or each its own in (rows, members,
    outputs).
    """
    cdef Pass this = Pass()
    cdef fs_job* job = this.bind(FS_PREDICT, architecture, params, X, backend)
    cdef ptrdiff_t numbers
    this.choose(rows)
    job.work.of_each = out.ndim == 3
    numbers = job.data.rows * job.net.layers[job.net.depth - 1].outputs * (fs_members(job) if job.work.of_each else 1)
    job.work.out = floats(out, job, numbers, "out", this.kept, True)
    this.run(threads)
    this.raise_errors()


include "_few_rows.pxi"
include "_predictor.pxi"
include "_machine.pxi"
