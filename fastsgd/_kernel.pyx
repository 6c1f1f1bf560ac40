# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The fused mini-batch step.

A step has two phases and no gradient matrix:

1. rows: the batch is cut into blocks of rows. A block goes forward through every layer, gets its cost and
   output delta, and its deltas come back down, all with the old weights. Rows do not depend on each other.
2. weights: every tile of a weight matrix takes its own part of the gradient and changes itself in place.
   Each tile has one owner, so nothing is added up across threads.

Every thread of a team runs ``epoch`` below and meets the others at two barriers a step. Blocks and tiles
depend on the shapes alone, never on the number of threads, and so neither does a single bit of the result.

Reading order: ``epoch``, ``rows_phase`` with ``forward`` and ``backward``, ``weights_phase`` with
``update_tile``; below them ``execute``, which checks the arrays and lays out the workspace.
``fastsgd/reference.py`` tells the same story in NumPy.
"""
import os

import numpy

from libc.math cimport isfinite, pow, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastsgd._csrc cimport *

ctypedef fused real:        # what the parameters are; "params" is passed on to say which, even where it is not read
    float
    double

cdef enum Mode:             # each does all that those before it do
    PREDICT, COST, GRADIENT, TRAIN

cdef enum:
    CHUNK_ROWS = 1024       # rows in the workspace at a time; a larger batch accumulates its gradient
    BLOCK_ROWS = 128        # of a block at most
    TILE_ROWS = 512         # of a weight tile at most: with its gradient it stays in one core's L2 cache
    TILE_COLS = 256

cdef double WATCH_SECONDS = 0.1


cdef struct Layer:
    ptrdiff_t inputs, outputs
    ptrdiff_t weights, biases         # where W (inputs, outputs) and b (outputs,) begin in the flat parameters
    ptrdiff_t tile_rows, tile_cols    # the shape of its tiles (those at the ends may be smaller)
    ptrdiff_t row_tiles, col_tiles
    int activation
    void* a                           # (chunk, outputs) activations; NULL for the output layer, see forward
    void* slope                       # (chunk, outputs) f'(z), for activations whose value does not tell it
    void* delta                       # (chunk, outputs) dC/dz


cdef struct Job:                      # what the threads of a team share
    Mode mode
    bint is_double
    const fs_ops* ops
    # the network
    int depth
    Layer* layers
    void* params
    # the data
    const void* x                     # (rows, inputs) at distance x_ld
    ptrdiff_t rows, x_ld
    const int64_t* order              # which row comes when; NULL: as they lie
    fs_target target                  # labels or targets of all rows
    # the plan
    ptrdiff_t batch, steps, block_rows
    fs_rule rule
    const double* learning_rates      # (steps,)
    ptrdiff_t steps_before            # t - 1 at the first step
    bint in_place                     # plain SGD on a batch of one chunk: the product lands in W itself
    # the workspace
    void* x_chunk                     # gathered rows
    int32_t* labels_chunk
    void* targets_chunk
    double* block_cost
    double* block_score
    ptrdiff_t blocks                  # of a chunk
    void* tile                        # one tile's gradient per thread
    ptrdiff_t tile_size
    void* gradient                    # laid out like params, where it has to outlive a tile
    void* slots[2]                    # the optimizer's memory, laid out like params
    void* out                         # (rows, outputs) predictions
    # the outcome, which rank 0 writes between the barriers
    double cost, score
    ptrdiff_t steps_done
    bint watch, stop
    double last_watch
    void* watcher


cdef struct Chunk:                    # the rows that are in the workspace, a batch or a part of one
    ptrdiff_t first, rows             # in the order of the epoch
    ptrdiff_t batch_rows
    bint opens, closes                # its batch


# ---- the story ----

cdef void epoch(Job* job, real* params, fs_team* team, int rank) noexcept nogil:
    cdef ptrdiff_t step, done
    cdef Chunk chunk
    cdef fs_rule rule = job.rule
    cdef bint finite
    for step in range(job.steps):
        chunk.first = step * job.batch
        chunk.batch_rows = min(job.batch, job.rows - chunk.first)
        if job.mode == TRAIN:
            rule = rule_of_step(job, step)
        done = 0
        while done < chunk.batch_rows:
            chunk.rows = min(<ptrdiff_t>CHUNK_ROWS, chunk.batch_rows - done)
            chunk.opens = done == 0
            chunk.closes = done + chunk.rows == chunk.batch_rows

            rows_phase(job, params, &chunk, team, rank)
            if job.mode >= GRADIENT:
                fs_team_barrier(team)
                finite = isfinite(sum_blocks(job.block_cost, job.blocks))
                if rank == 0:
                    keep_account(job, &chunk, finite)
                if not finite:
                    return
                weights_phase(job, params, &chunk, &rule, team, rank)
                fs_team_barrier(team)
                if job.watch:
                    if rank == 0:
                        let_python_watch(job, chunk.first + chunk.rows)
                    fs_team_barrier(team)
                    if job.stop:
                        return

            done += chunk.rows
            chunk.first += chunk.rows


cdef void rows_phase(Job* job, real* params, const Chunk* chunk, fs_team* team, int rank) noexcept nogil:
    """Forward, cost, and deltas back down, for this thread's blocks of rows."""
    cdef ptrdiff_t block, begin, n
    cdef ptrdiff_t size = fs_team_size(team)
    for block in range(job.blocks):
        if block % size != rank:
            continue
        if chunk.opens:
            job.block_cost[block] = job.block_score[block] = 0
        begin = block * job.block_rows
        n = min(job.block_rows, chunk.rows - begin)
        if n <= 0:
            continue
        gather(job, params, chunk, begin, n)
        forward(job, params, chunk, begin, n)
        if job.mode >= COST:
            cost_and_output_delta(job, params, chunk, begin, n, block)
        if job.mode >= GRADIENT:
            backward(job, params, begin, n)


cdef void weights_phase(Job* job, real* params, const Chunk* chunk, const fs_rule* rule, fs_team* team,
                        int rank) noexcept nogil:
    """The gradient and the update of this thread's weight tiles."""
    cdef ptrdiff_t i, j, tile = 0
    cdef ptrdiff_t size = fs_team_size(team)
    cdef Layer* layer
    cdef int l
    for l in range(job.depth):
        layer = &job.layers[l]
        for i in range(layer.row_tiles):
            for j in range(layer.col_tiles):
                if tile % size == rank:
                    update_tile(job, params, chunk, rule, l, i * layer.tile_rows, j * layer.tile_cols, rank)
                tile += 1


# ---- phase 1: rows begin .. begin + n of the chunk ----

cdef void gather(Job* job, real* params, const Chunk* chunk, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """The block's rows and targets, in the order asked for, into the workspace; as they lie, nothing is copied."""
    cdef ptrdiff_t inputs = job.layers[0].inputs, outputs = job.layers[job.depth - 1].outputs, i
    cdef const int64_t* order = job.order + chunk.first + begin
    if job.order == NULL:
        return
    job.ops.gather(n, inputs, job.x, job.x_ld, order, <real*>job.x_chunk + begin * inputs)
    if job.target.labels != NULL:
        for i in range(n):
            job.labels_chunk[begin + i] = job.target.labels[order[i]]
    elif job.target.targets != NULL:
        job.ops.gather(n, outputs, job.target.targets, outputs, order, <real*>job.targets_chunk + begin * outputs)


cdef inline real* input_of(Job* job, real* params, const Chunk* chunk, int l, ptrdiff_t* ld) noexcept nogil:
    """What layer l receives for the chunk's rows, and the distance between rows."""
    if l > 0:
        ld[0] = job.layers[l].inputs
        return <real*>job.layers[l - 1].a
    if job.order != NULL:
        ld[0] = job.layers[0].inputs
        return <real*>job.x_chunk
    ld[0] = job.x_ld
    return <real*>job.x + chunk.first * job.x_ld


cdef void forward(Job* job, real* params, const Chunk* chunk, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """a_l = f(a_{l-1} W_l + b_l).

    The output layer's activations are the predictions. Where a cost is wanted instead, its bare product goes
    where cost_and_output_delta will turn it into the delta.
    """
    cdef ptrdiff_t ld = 0
    cdef real* x
    cdef real* a
    cdef Layer* layer
    cdef bint last
    cdef int l
    for l in range(job.depth):
        layer = &job.layers[l]
        last = l == job.depth - 1
        x = input_of(job, params, chunk, l, &ld) + begin * ld
        if not last:
            a = <real*>layer.a + begin * layer.outputs
        elif job.mode == PREDICT:
            a = <real*>job.out + (chunk.first + begin) * layer.outputs
        else:
            a = <real*>layer.delta + begin * layer.outputs
        job.ops.gemm(0, 0, n, layer.outputs, layer.inputs,
                     1, x, ld, params + layer.weights, layer.outputs, 0, a, layer.outputs)
        if not last or job.mode == PREDICT:
            job.ops.activate(layer.activation, n, layer.outputs, a, params + layer.biases,
                             <real*>layer.slope + begin * layer.outputs if layer.slope != NULL else NULL)


cdef void cost_and_output_delta(Job* job, real* params, const Chunk* chunk, ptrdiff_t begin, ptrdiff_t n,
                                ptrdiff_t block) noexcept nogil:
    cdef Layer* layer = &job.layers[job.depth - 1]
    cdef fs_target target = job.target
    if target.labels != NULL and job.order != NULL:
        target.labels = job.labels_chunk + begin
    elif target.labels != NULL:
        target.labels = target.labels + chunk.first + begin
    elif job.order != NULL:
        target.targets = <real*>job.targets_chunk + begin * layer.outputs
    else:
        target.targets = <real*>target.targets + (chunk.first + begin) * layer.outputs
    job.block_cost[block] += job.ops.cost_and_delta(
        &target, n, layer.outputs, <real*>layer.delta + begin * layer.outputs, params + layer.biases,
        &job.block_score[block])


cdef void backward(Job* job, real* params, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """delta_{l-1} = (delta_l W_l^T) * f'(z_{l-1}); the input's own delta is never computed."""
    cdef Layer* layer
    cdef Layer* below
    cdef real* delta
    cdef int l
    for l in range(job.depth - 1, 0, -1):
        layer = &job.layers[l]
        below = &job.layers[l - 1]
        delta = <real*>below.delta + begin * below.outputs
        job.ops.gemm(0, 1, n, layer.inputs, layer.outputs,
                     1, <real*>layer.delta + begin * layer.outputs, layer.outputs,
                     params + layer.weights, layer.outputs, 0, delta, below.outputs)
        job.ops.multiply_slope(below.activation, n * below.outputs, <real*>below.a + begin * below.outputs,
                               <real*>below.slope + begin * below.outputs if below.slope != NULL else NULL, delta)


# ---- phase 2: weights ----

cdef void update_tile(Job* job, real* params, const Chunk* chunk, const fs_rule* rule, int l, ptrdiff_t row,
                      ptrdiff_t col, int rank) noexcept nogil:
    """gradient = a^T delta / batch for the tile of layer l at (row, col), and the optimizer's step with it.

    Tiles at row 0 also carry the biases of their columns.
    """
    cdef Layer* layer = &job.layers[l]
    cdef ptrdiff_t n = min(layer.tile_rows, layer.inputs - row), m = min(layer.tile_cols, layer.outputs - col)
    cdef ptrdiff_t outputs = layer.outputs, weight = layer.weights + row * outputs + col, bias = layer.biases + col
    cdef ptrdiff_t ld = 0, g_ld
    cdef real* a = input_of(job, params, chunk, l, &ld) + row
    cdef real* delta = <real*>layer.delta + col
    cdef real* g
    cdef real* g_bias
    cdef real* slots[2]
    cdef double scale = 1.0 / chunk.batch_rows, keep
    cdef fs_rule bias_rule
    cdef int s

    if job.in_place:
        scale *= -rule.learning_rate
        keep = 1 - rule.learning_rate * rule.weight_decay
        job.ops.gemm(1, 0, n, m, chunk.rows, scale, a, ld, delta, outputs,
                     keep - rule.learning_rate * rule.l2, params + weight, outputs)
        if row == 0:
            job.ops.column_sums(chunk.rows, m, delta, outputs, scale, keep, params + bias)
        return

    if job.gradient != NULL:
        g = <real*>job.gradient + weight
        g_bias = <real*>job.gradient + bias
        g_ld = outputs
    else:
        g = <real*>job.tile + rank * job.tile_size
        g_bias = g + n * m
        g_ld = m
    keep = 0 if chunk.opens else 1
    job.ops.gemm(1, 0, n, m, chunk.rows, scale, a, ld, delta, outputs, keep, g, g_ld)
    if row == 0:
        job.ops.column_sums(chunk.rows, m, delta, outputs, scale, keep, g_bias)
    if job.mode != TRAIN or not chunk.closes:
        return

    for s in range(2):
        slots[s] = <real*>job.slots[s] + weight if job.slots[s] != NULL else NULL
    job.ops.update(rule, n, m, params + weight, outputs, g, g_ld, slots[0], slots[1])
    if row == 0:
        bias_rule = rule[0]
        bias_rule.l1 = bias_rule.l2 = 0
        for s in range(2):
            slots[s] = <real*>job.slots[s] + bias if job.slots[s] != NULL else NULL
        job.ops.update(&bias_rule, 1, m, params + bias, outputs, g_bias, outputs, slots[0], slots[1])


cdef fs_rule rule_of_step(Job* job, ptrdiff_t step) noexcept nogil:
    cdef fs_rule rule = job.rule
    cdef double t = <double>(job.steps_before + step + 1)
    rule.learning_rate = job.learning_rates[step]
    rule.correction_1 = 1 - pow(rule.beta_1, t)
    rule.correction_2 = sqrt(1 - pow(rule.beta_2, t))
    return rule


# ---- bookkeeping ----

cdef double sum_blocks(const double* values, ptrdiff_t n) noexcept nogil:
    cdef double total = 0
    cdef ptrdiff_t i
    for i in range(n):
        total += values[i]
    return total


cdef void keep_account(Job* job, const Chunk* chunk, bint finite) noexcept nogil:
    """Adds a batch that closes, or fails, to the outcome, and says whether it is time to let Python look in."""
    cdef double now
    if chunk.closes or not finite:
        job.cost += sum_blocks(job.block_cost, job.blocks)
        job.score += sum_blocks(job.block_score, job.blocks)
    if chunk.closes and finite:
        job.steps_done += 1
    if job.watcher != NULL:
        now = fs_seconds()
        job.watch = now - job.last_watch >= WATCH_SECONDS
        if job.watch:
            job.last_watch = now


cdef void let_python_watch(Job* job, ptrdiff_t rows_done) noexcept with gil:
    poll, raised = <tuple>job.watcher
    try:
        poll(rows_done)
    except BaseException as error:
        raised.append(error)
        job.stop = True


cdef void run(void* argument, fs_team* team, int rank) noexcept nogil:
    cdef Job* job = <Job*>argument
    if job.is_double:
        epoch(job, <double*>job.params, team, rank)
    else:
        epoch(job, <float*>job.params, team, rank)


# ---- from Python: checks, the plan, and the workspace ----

ACTIVATIONS = {
    "identity": FS_IDENTITY, "logistic": FS_LOGISTIC, "tanh": FS_TANH, "relu": FS_RELU, "leaky_relu": FS_LEAKY_RELU,
    "elu": FS_ELU, "gelu": FS_GELU, "silu": FS_SILU, "softplus": FS_SOFTPLUS, "softmax": FS_SOFTMAX, "exp": FS_EXP,
}
LOSSES = {
    "cross_entropy": FS_CROSS_ENTROPY, "binary_cross_entropy": FS_BINARY_CROSS_ENTROPY,
    "squared_error": FS_SQUARED_ERROR, "absolute_error": FS_ABSOLUTE_ERROR, "huber": FS_HUBER,
    "quantile": FS_QUANTILE, "poisson": FS_POISSON,
}
MAX_THREADS = FS_MAX_TEAM
OPTIMIZERS = {"sgd": FS_SGD, "adam": FS_ADAM, "adamw": FS_ADAMW, "rmsprop": FS_RMSPROP, "adagrad": FS_ADAGRAD}


def train_epoch(architecture, params, X, target, order, batch_size, optimizer, state, learning_rates, threads=1,
                poll=None):
    """One pass over the rows in ``order`` in mini-batches, changing ``params`` and ``state`` in place.

    Returns ``(cost, score, steps)``, cost and score summed over the rows seen. A cost that is not finite
    ends the pass before the step that met it changes anything; ``steps`` counts the steps before it.
    ``poll(rows_done)`` is called about ten times a second; what it raises ends the pass and is raised here.
    """
    return start(TRAIN, architecture, params, X, target, order, batch_size, optimizer, state, learning_rates,
                 threads, poll, None)


def gradient(architecture, params, X, target, out, threads=1):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    cost = start(GRADIENT, architecture, params, X, target, None, len(X), None, None, None, threads, None, out)[0]
    if not isfinite(cost):
        out[:] = numpy.nan
    return cost / len(X)


def cost(architecture, params, X, target, threads=1):
    """``(cost, score)`` summed over all rows."""
    return start(COST, architecture, params, X, target, None, len(X), None, None, None, threads, None, None)[:2]


def predict(architecture, params, X, out, threads=1):
    """The output layer's activations of every row into ``out`` (rows, outputs)."""
    start(PREDICT, architecture, params, X, None, None, len(X), None, None, None, threads, None, out.reshape(-1))


def start(mode, architecture, params, X, target, order, batch_size, optimizer, state, learning_rates, threads, poll,
          out):
    if params.itemsize == 8:
        return execute[double](mode, architecture, params, X, target, order, batch_size, optimizer, state,
                               learning_rates, threads, poll, out)
    return execute[float](mode, architecture, params, X, target, order, batch_size, optimizer, state,
                          learning_rates, threads, poll, out)


cdef tuple execute(Mode mode, architecture, real[::1] params, const real[:, :] X, target, const int64_t[::1] order,
                   ptrdiff_t batch_size, optimizer, state, const double[::1] learning_rates, int threads, poll,
                   real[::1] out):
    cdef Job job
    cdef const int32_t[::1] labels
    cdef const real[:, ::1] targets
    cdef real[:, ::1] slots
    cdef real[::1] loss_parameters
    cdef tuple watcher = (poll, [])
    cdef int threads_used = min(max(1, threads), <int>FS_MAX_TEAM)
    require(fs_blas_config()[0] != 0, "no BLAS has been loaded")
    memset(&job, 0, sizeof(Job))
    job.mode = mode
    job.is_double = real is double
    job.ops = fs_operations(job.is_double)

    sizes = architecture.sizes
    table = bytearray(sizeof(Layer) * (len(sizes) - 1))
    job.depth = len(sizes) - 1
    job.layers = <Layer*><char*>table
    require(lay_out_layers(&job, architecture) == params.shape[0], "params do not fit the architecture")
    job.params = &params[0]
    cdef ptrdiff_t outputs = job.layers[job.depth - 1].outputs

    require(X.shape[1] == sizes[0] and X.shape[0] > 0, "X does not fit the architecture")
    require(X.strides[1] == sizeof(real) or X.shape[1] == 1, "the values of a row of X must be neighbours")
    require(X.shape[0] == 1 or X.strides[0] >= <ptrdiff_t>sizeof(real) * X.shape[1]
            and X.strides[0] % <ptrdiff_t>sizeof(real) == 0, "rows of X overlap, or begin between its values")
    job.x = &X[0, 0]
    job.x_ld = max(X.shape[1], X.strides[0] // <ptrdiff_t>sizeof(real))
    job.rows = X.shape[0]
    if order is not None:
        require(order.shape[0] > 0, "order is empty")
        check_range(order, X.shape[0], "order")
        job.order = &order[0]
        job.rows = order.shape[0]

    if target is not None:
        loss_parameters = numpy.array(architecture.loss_parameters, dtype=numpy.asarray(params).dtype)
        job.target.loss = LOSSES[architecture.loss]
        job.target.output = job.layers[job.depth - 1].activation
        job.target.parameters = &loss_parameters[0]
        require(target.shape[0] == X.shape[0], "target and X differ in length")
        if target.ndim == 1:
            labels = target
            check_range(labels, outputs, "labels")
            job.target.labels = &labels[0]
        else:
            targets = target
            require(targets.shape[1] == outputs, "target does not fit the architecture")
            job.target.targets = &targets[0, 0]

    require(batch_size > 0, "batch_size must be positive")
    job.batch = min(batch_size, job.rows)
    job.steps = (job.rows + job.batch - 1) // job.batch
    if mode == TRAIN:
        job.rule = rule_of(optimizer)
        job.learning_rates = &learning_rates[0]
        job.steps_before = state.steps
        require(learning_rates.shape[0] >= job.steps, "learning_rates must have one value per step")
        slots = state.slots
        require(slots.shape[0] == optimizer.slots and (not slots.shape[0] or slots.shape[1] == params.shape[0]),
                "state does not fit the optimizer")
        if slots.shape[0] > 0:
            job.slots[0] = &slots[0, 0]
        if slots.shape[0] > 1:
            job.slots[1] = &slots[1, 0]
        job.in_place = (job.rule.kind == FS_SGD and slots.shape[0] == 0 and job.rule.l1 == 0
                        and job.batch <= CHUNK_ROWS)
    if poll is not None:
        job.watcher = <void*>watcher
        job.last_watch = fs_seconds()
    if mode == GRADIENT:
        require(out.shape[0] == params.shape[0], "out does not fit params")
        job.gradient = &out[0]
    elif mode == PREDICT:
        require(out.shape[0] == X.shape[0] * outputs, "out does not fit X")
        job.out = &out[0]

    lay_out_rows(&job)
    threads_used = min(threads_used, max(job.blocks, weight_tiles(&job)))
    cdef ptrdiff_t size = lay_out_workspace(&job, NULL, params.shape[0], threads_used)
    workspace = numpy.empty(size + 64, dtype=numpy.uint8)
    cdef unsigned char[::1] memory = workspace
    cdef char* base = <char*>&memory[0]
    base += 63 & -<size_t>base
    lay_out_workspace(&job, base, params.shape[0], threads_used)

    with nogil:
        fs_team_run(threads_used, run, &job)

    if mode == COST:
        job.cost = sum_blocks(job.block_cost, job.blocks)
        job.score = sum_blocks(job.block_score, job.blocks)
    if mode == TRAIN:
        state.steps += job.steps_done
    if watcher[1]:
        raise watcher[1][0]
    return job.cost, job.score, job.steps_done


cdef require(bint condition, message):
    if not condition:
        raise ValueError(message)


ctypedef fused index:
    int32_t
    int64_t


cdef check_range(const index[::1] values, ptrdiff_t limit, name):
    cdef ptrdiff_t i
    for i in range(values.shape[0]):
        if values[i] < 0 or values[i] >= limit:
            raise ValueError(f"{name}[{i}] is {values[i]}; allowed are 0 to {limit - 1}")


cdef fs_rule rule_of(optimizer):
    cdef fs_rule rule
    memset(&rule, 0, sizeof(fs_rule))
    rule.kind = OPTIMIZERS[optimizer.kind]
    rule.momentum = getattr(optimizer, "momentum", 0)
    rule.nesterov = getattr(optimizer, "nesterov", False)
    rule.beta_1 = getattr(optimizer, "beta_1", 0)
    rule.beta_2 = getattr(optimizer, "beta_2", getattr(optimizer, "rho", 0))
    rule.epsilon = getattr(optimizer, "epsilon", 0)
    rule.weight_decay = optimizer.weight_decay
    rule.l1 = optimizer.l1
    rule.l2 = optimizer.l2
    return rule


cdef ptrdiff_t even_parts(ptrdiff_t n, ptrdiff_t most) noexcept:
    """The length of equal parts of n, at most ``most`` long; an even number of them unless n is small."""
    if n <= most // 4:
        return n
    cdef ptrdiff_t pairs = (n + 2 * most - 1) // (2 * most)
    return (n + 2 * pairs - 1) // (2 * pairs)


cdef ptrdiff_t lay_out_layers(Job* job, architecture) except -1:
    """Fills job.layers; returns the number of parameters."""
    cdef ptrdiff_t offset = 0
    cdef Layer* layer
    cdef int l
    sizes = architecture.sizes
    for l in range(job.depth):
        layer = &job.layers[l]
        layer.inputs = sizes[l]
        layer.outputs = sizes[l + 1]
        layer.weights = offset
        layer.biases = offset + layer.inputs * layer.outputs
        layer.tile_rows = even_parts(layer.inputs, TILE_ROWS)
        layer.tile_cols = min(layer.outputs, <ptrdiff_t>TILE_COLS)
        layer.row_tiles = (layer.inputs + layer.tile_rows - 1) // layer.tile_rows
        layer.col_tiles = (layer.outputs + layer.tile_cols - 1) // layer.tile_cols
        layer.activation = ACTIVATIONS[architecture.activations[l]]
        offset = layer.biases + layer.outputs
    return offset


cdef void lay_out_rows(Job* job) noexcept:
    """Cuts a chunk into blocks."""
    cdef ptrdiff_t rows = min(job.batch, <ptrdiff_t>CHUNK_ROWS)
    job.block_rows = even_parts(rows, BLOCK_ROWS)
    job.blocks = (rows + job.block_rows - 1) // job.block_rows


cdef ptrdiff_t weight_tiles(Job* job) noexcept:
    cdef ptrdiff_t tiles = 0
    cdef int l
    if job.mode >= GRADIENT:
        for l in range(job.depth):
            tiles += job.layers[l].row_tiles * job.layers[l].col_tiles
    return tiles


cdef ptrdiff_t lay_out_workspace(Job* job, char* base, ptrdiff_t parameters, int threads) noexcept:
    """Points the job's buffers into the memory at base; returns the bytes they take. With NULL it only measures."""
    cdef ptrdiff_t item = sizeof(double) if job.is_double else sizeof(float)
    cdef ptrdiff_t rows = min(job.batch, <ptrdiff_t>CHUNK_ROWS), used = 0, largest = 0
    cdef Layer* layer
    cdef bint last
    cdef int l
    job.block_cost = <double*>take(base, &used, job.blocks * sizeof(double))
    job.block_score = <double*>take(base, &used, job.blocks * sizeof(double))
    if job.order != NULL:
        job.x_chunk = take(base, &used, rows * job.layers[0].inputs * item)
        if job.target.labels != NULL:
            job.labels_chunk = <int32_t*>take(base, &used, rows * sizeof(int32_t))
        else:
            job.targets_chunk = take(base, &used, rows * job.layers[job.depth - 1].outputs * item)
    for l in range(job.depth):
        layer = &job.layers[l]
        last = l == job.depth - 1
        if not last:
            layer.a = take(base, &used, rows * layer.outputs * item)
        if not last and job.mode >= GRADIENT and layer.activation in (FS_GELU, FS_SILU):
            layer.slope = take(base, &used, rows * layer.outputs * item)
        if job.mode >= GRADIENT or last and job.mode == COST:
            layer.delta = take(base, &used, rows * layer.outputs * item)
        largest = max(largest, layer.tile_rows * layer.tile_cols + layer.tile_cols)
    if job.mode == TRAIN and job.batch > CHUNK_ROWS:
        job.gradient = take(base, &used, parameters * item)
    elif job.mode == TRAIN and not job.in_place:
        job.tile_size = (largest + 31) // 32 * 32
        job.tile = take(base, &used, threads * job.tile_size * item)
    return used


cdef void* take(char* base, ptrdiff_t* used, ptrdiff_t size) noexcept:
    cdef ptrdiff_t at = used[0]
    used[0] += (size + 63) // 64 * 64
    return base + at if base != NULL else NULL


# ---- the machine ----

def function(name, x):
    """One of the C side's elementwise functions of x, for the tests of its accuracy."""
    y = numpy.empty_like(x)
    cdef unsigned char[::1] source = x.view(numpy.uint8)
    cdef unsigned char[::1] result = y.view(numpy.uint8)
    if not fs_operations(x.itemsize == 8).function(name.encode(), len(x), &source[0], &result[0]):
        raise ValueError(f"no function {name!r}")
    return y


def config():
    """What runs the arithmetic: the instruction set and those available, and what BLAS says of itself."""
    return {"isa": fs_isa_name().decode(), "isa_available": fs_isa_available().decode().split(),
            "blas": fs_blas_config().decode()}


def select_isa(name):
    """Takes the instruction set of that name, or for "" the best of this CPU; returns "", or why it cannot be had."""
    cdef const char* reason = fs_isa_select(name.encode())
    return reason.decode() if reason != NULL else ""


def load_blas(path):
    """Opens an OpenBLAS library for the matrix products; returns "", or why it cannot be opened."""
    cdef const char* reason = fs_blas_load(os.fsencode(path))
    return reason.decode() if reason != NULL else ""
