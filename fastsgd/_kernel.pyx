# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The fused mini-batch step.

A step has two phases and no gradient matrix:

1. rows: every thread takes its share of the batch forward through every layer, to its cost and output delta, and
   the deltas back down, all with the old weights. Rows do not depend on each other.
2. weights: every thread takes its share of each layer's weights; they collect their own part of the gradient and
   change in place. Each weight has one owner, so nothing is added up across threads.

Every thread of a team runs ``epoch`` below and meets the others at two barriers a step. Each number is one chain of
additions in an order that depends on the shapes alone, so neither the number of threads nor the instruction set can
change a bit of the result (BLAS, where it is asked for, promises less).

Reading order: ``epoch``, ``rows_phase``, ``weights_phase``; below them ``execute``, which checks the arrays and lays
out the workspace. What forward, backward and weights compute is in ``csrc/products.inc``;
``fastsgd/reference.py`` tells the same story in NumPy.
"""
import os

import numpy

cimport numpy as c_numpy
from libc.math cimport isfinite, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastsgd._csrc cimport *

c_numpy.import_array()

cdef enum Mode:             # each does all that those before it do
    PREDICT, COST, GRADIENT, TRAIN

cdef enum:
    SHARED_ROWS = 12        # of a weight matrix in one piece: the height of a register tile
    SKIP_OUTPUTS = 32       # of the first layer from which on zeros in its input are skipped,

cdef double LISTS_DENSITY = 0.03      # where less of the input is not zero it is walked in lists,
cdef double BITS_DENSITY = 0.4        # where less is, tiles skip what is zero in all their rows
cdef double WATCH_SECONDS = 0.1


cdef struct Job:                      # what the threads of a team share
    Mode mode
    const fs_ops* ops
    # the network
    int depth
    fs_layer* layers
    ptrdiff_t parameters
    void* params
    void* slots[2]                    # the optimizer's memory, laid out like params
    void* gradient                    # laid out like params, where it has to outlive a tile; or NULL
    # the data
    fs_input input
    bint lists, bits, copies          # the input is walked in lists; tiles skip zeros; rows are copied, not used in place
    ptrdiff_t rows
    const int64_t* order              # which row comes when; NULL: as they lie
    fs_target target                  # labels or targets of all rows
    # the plan
    ptrdiff_t batch, steps
    fs_rule rule
    const double* learning_rates      # (steps,)
    ptrdiff_t steps_before            # t - 1 at the first step
    # the workspace
    int32_t* labels                   # (chunk,) in the order of the epoch
    void* targets
    double* cost                      # (chunk,) of each row; (blocks,) where rows only pass by
    double* score
    char* scratch                     # of each thread
    ptrdiff_t scratch_size
    void* out                         # (rows, outputs) predictions
    # the outcome, which rank 0 writes between the barriers
    double total_cost, total_score, batch_cost, batch_score
    ptrdiff_t steps_done
    bint watch, stop
    double last_watch
    void* watcher
    bint broken                       # a CSR matrix has a column that the network has not


cdef struct Chunk:                    # the rows that are in the workspace, a batch or a part of one
    ptrdiff_t first, rows             # in the order of the epoch
    ptrdiff_t batch_rows
    bint opens, closes                # its batch


# ---- the story ----

cdef void epoch(Job* job, fs_team* team, int rank) noexcept nogil:
    cdef ptrdiff_t step, done
    cdef Chunk chunk
    cdef fs_rule rule
    for step in range(job.steps):
        chunk.first = step * job.batch
        chunk.batch_rows = min(job.batch, job.rows - chunk.first)
        rule = rule_of_step(job, step)
        done = 0
        while done < chunk.batch_rows:
            chunk.rows = min(<ptrdiff_t>FS_CHUNK_ROWS, chunk.batch_rows - done)
            chunk.opens = done == 0
            chunk.closes = done + chunk.rows == chunk.batch_rows

            rows_phase(job, &chunk, team, rank)
            fs_team_barrier(team)
            if not account_for(job, &chunk, rank):
                return
            weights_phase(job, &chunk, &rule, team, rank)
            fs_team_barrier(team)
            if job.watch:
                if rank == 0:
                    let_python_watch(job, chunk.first + chunk.rows)
                fs_team_barrier(team)
                if job.stop:
                    return

            done += chunk.rows
            chunk.first += chunk.rows


cdef void rows_phase(Job* job, const Chunk* chunk, fs_team* team, int rank) noexcept nogil:
    """Forward, cost, and deltas back down, for this thread's share of the rows."""
    cdef ptrdiff_t begin = share(chunk.rows, rank, fs_team_size(team))
    cdef ptrdiff_t end = share(chunk.rows, rank + 1, fs_team_size(team)), n
    cdef char* scratch = job.scratch + rank * job.scratch_size
    cdef fs_layer* layers = job.layers
    cdef int l
    while begin < end:
        n = min(<ptrdiff_t>FS_BLOCK_ROWS, end - begin)
        gather(job, chunk.first + begin, begin, n)
        for l in range(job.depth):
            job.ops.forward(&layers[l], begin, n, scratch)
        output_delta(job, begin, n, job.cost + begin, job.score + begin, scratch)
        for l in range(job.depth - 1, 0, -1):
            job.ops.backward(&layers[l], &layers[l - 1], begin, n, scratch)
        begin += n


cdef void weights_phase(Job* job, const Chunk* chunk, const fs_rule* rule, fs_team* team, int rank) noexcept nogil:
    """The gradient and the update of this thread's share of the weights."""
    cdef double scale = 1.0 / chunk.batch_rows
    cdef const fs_rule* when_closing = rule if job.mode == TRAIN and chunk.closes else NULL
    cdef char* scratch = job.scratch + rank * job.scratch_size
    cdef ptrdiff_t size = fs_team_size(team), pieces, turn, first, end
    cdef fs_layer* layer
    cdef int l
    for l in range(job.depth):
        layer = &job.layers[l]
        turn = (rank + l) % size                  # who gets the odd piece
        pieces = (layer.inputs + SHARED_ROWS - 1) // SHARED_ROWS
        first = min(layer.inputs, SHARED_ROWS * share(pieces, turn, size))
        end = min(layer.inputs, SHARED_ROWS * share(pieces, turn + 1, size))
        if first < end:
            job.ops.weights(layer, when_closing, first, end - first, chunk.rows, scale, not chunk.opens, scratch)
        if turn == 0:
            job.ops.biases(layer, when_closing, chunk.rows, scale, not chunk.opens, scratch)


cdef void pass_by(Job* job, fs_team* team, int rank) noexcept nogil:
    """Predictions or costs: forward only, and no thread waits for another. Each has its own block of the workspace."""
    cdef ptrdiff_t blocks = (job.rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS, begin = rank * FS_BLOCK_ROWS, block, first, n
    cdef char* scratch = job.scratch + rank * job.scratch_size
    cdef double[FS_BLOCK_ROWS] cost
    cdef double[FS_BLOCK_ROWS] score
    cdef int l
    cdef fs_layer output = job.layers[job.depth - 1]
    cdef ptrdiff_t out_row = output.outputs * job.ops.item
    for block in range(share(blocks, rank, fs_team_size(team)), share(blocks, rank + 1, fs_team_size(team))):
        first = block * FS_BLOCK_ROWS
        n = min(<ptrdiff_t>FS_BLOCK_ROWS, job.rows - first)
        gather(job, first, begin, n)
        for l in range(job.depth - 1):
            job.ops.forward(&job.layers[l], begin, n, scratch)
        if job.mode == PREDICT:
            output.a = <char*>job.out + (first - begin) * out_row
        job.ops.forward(&output, begin, n, scratch)
        if job.mode == COST:
            output_delta(job, begin, n, cost, score, scratch)
            job.cost[block] = fs_sum(n, cost)
            job.score[block] = fs_sum(n, score)


# ---- its parts ----

cdef ptrdiff_t share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size) noexcept nogil:
    """Where a thread's share of so many things begins."""
    return things * rank // size


cdef void gather(Job* job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) noexcept nogil:
    """Rows first .. first + n of the epoch become rows begin .. begin + n of the workspace, with their targets."""
    cdef const int64_t* order = job.order + first if job.order != NULL else NULL
    cdef ptrdiff_t outputs = job.layers[job.depth - 1].outputs, i
    cdef const int64_t* next = order + job.batch if order != NULL and first + job.batch + n <= job.rows else NULL
    if not job.ops.gather(&job.input, order, next, first, &job.layers[0], begin, n):
        job.broken = True
    if job.target.labels != NULL:
        for i in range(n):
            job.labels[begin + i] = job.target.labels[order[i] if order != NULL else first + i]
    elif job.target.targets != NULL:
        job.ops.gather_rows(job.target.targets, outputs, order, first, n,
                            <char*>job.targets + begin * outputs * job.ops.item)


cdef void output_delta(Job* job, ptrdiff_t begin, ptrdiff_t n, double* cost, double* score, char* scratch) noexcept nogil:
    """Cost, score and delta of the output layer for rows begin .. begin + n of the workspace."""
    cdef fs_layer* output = &job.layers[job.depth - 1]
    cdef fs_target target = job.target
    if target.labels != NULL:
        target.labels = job.labels + begin
    else:
        target.targets = <char*>job.targets + begin * output.outputs * job.ops.item
    job.ops.cost_and_delta(&target, output, begin, n, cost, score, scratch)


cdef fs_rule rule_of_step(Job* job, ptrdiff_t step) noexcept nogil:
    cdef fs_rule rule = job.rule
    cdef double t = <double>(job.steps_before + step + 1)
    if job.mode == TRAIN:
        rule.learning_rate = job.learning_rates[step]
        rule.correction_1 = 1 - pow(rule.beta_1, t)
        rule.correction_2 = sqrt(1 - pow(rule.beta_2, t))
    return rule


cdef bint account_for(Job* job, const Chunk* chunk, int rank) noexcept nogil:
    """Whether the step may be made; rank 0 keeps the account and says whether it is time to let Python look in."""
    cdef double cost = fs_sum(chunk.rows, job.cost), now
    cdef bint sound = isfinite(cost) and not job.broken
    if rank != 0:
        return sound
    if chunk.opens:
        job.batch_cost = job.batch_score = 0
    job.batch_cost += cost
    job.batch_score += fs_sum(chunk.rows, job.score)
    if chunk.closes or not sound:
        job.total_cost += job.batch_cost
        job.total_score += job.batch_score
        job.steps_done += sound
    if job.watcher != NULL:
        now = fs_seconds()
        job.watch = now - job.last_watch >= WATCH_SECONDS
        if job.watch:
            job.last_watch = now
    return sound


cdef void let_python_watch(Job* job, ptrdiff_t rows_done) noexcept with gil:
    poll, raised = <tuple>job.watcher
    try:
        poll(rows_done)
    except BaseException as error:
        raised.append(error)
        job.stop = True


cdef void run(void* argument, fs_team* team, int rank) noexcept nogil:
    cdef Job* job = <Job*>argument
    if job.mode <= COST:
        pass_by(job, team, rank)
    else:
        epoch(job, team, rank)


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


BACKENDS = ("auto", "native", "blas")


def train_epoch(architecture, params, X, target, order, batch_size, optimizer, state, learning_rates, threads=1,
                poll=None, backend="auto"):
    """One pass over the rows in ``order`` in mini-batches, changing ``params`` and ``state`` in place.

    Returns ``(cost, score, steps)``, cost and score summed over the rows seen. A cost that is not finite
    ends the pass before the step that met it changes anything; ``steps`` counts the steps before it.
    ``poll(rows_done)`` is called about ten times a second; what it raises ends the pass and is raised here.
    """
    return execute(TRAIN, architecture, params, X, target, order, batch_size, optimizer, state, learning_rates,
                   threads, poll, None, backend)


def gradient(architecture, params, X, target, out, threads=1, backend="auto"):
    """The gradient of the mean cost over all rows into ``out``, laid out like ``params``; returns that cost.

    Where the cost is not finite the gradient is NaN throughout.
    """
    cost = execute(GRADIENT, architecture, params, X, target, None, len(X), None, None, None, threads, None, out,
                   backend)[0]
    if not isfinite(cost):
        out[:] = numpy.nan
    return cost / len(X)


def cost(architecture, params, X, target, threads=1, backend="auto"):
    """``(cost, score)`` summed over all rows."""
    return execute(COST, architecture, params, X, target, None, len(X), None, None, None, threads, None, None,
                   backend)[:2]


def predict(architecture, params, X, out, threads=1, backend="auto"):
    """The output layer's activations of every row into ``out`` (rows, outputs)."""
    execute(PREDICT, architecture, params, X, None, None, len(X), None, None, None, threads, None, out, backend)


cdef tuple execute(Mode mode, architecture, params, X, target, const int64_t[::1] order, ptrdiff_t batch_size, optimizer,
                   state, const double[::1] learning_rates, int threads, poll, out, backend):
    cdef Job job
    cdef list kept = []               # arrays that the job points into
    cdef tuple watcher = (poll, [])
    memset(&job, 0, sizeof(Job))
    job.mode = mode
    job.ops = fs_operations(params.itemsize == 8)
    require(backend in BACKENDS, f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    table = bytearray(sizeof(fs_layer) * (len(architecture.sizes) - 1))
    job.layers = <fs_layer*><char*>table
    lay_out_layers(&job, architecture, backend == "blas")
    job.params = floats(params, &job, job.parameters, "params", kept)
    lay_out_input(&job, architecture, X, kept)
    if target is not None:
        lay_out_target(&job, architecture, target, kept)
    if order is not None:
        require(order.shape[0] > 0, "order is empty")
        check_range(order, job.rows, "order")
        job.order = &order[0]
        job.rows = order.shape[0]

    require(batch_size > 0, "batch_size must be positive")
    job.batch = min(batch_size, job.rows)
    job.steps = (job.rows + job.batch - 1) // job.batch
    if mode == TRAIN:
        job.rule = rule_of(optimizer)
        job.learning_rates = &learning_rates[0]
        job.steps_before = state.steps
        require(learning_rates.shape[0] >= job.steps, "learning_rates must have one value per step")
        require(len(state.slots) == optimizer.slots, "state does not fit the optimizer")
        for i in range(len(state.slots)):
            job.slots[i] = floats(state.slots[i], &job, job.parameters, "state", kept)
    elif mode == GRADIENT:
        job.gradient = floats(out, &job, job.parameters, "out", kept)
    elif mode == PREDICT:
        job.out = floats(out, &job, job.rows * job.layers[job.depth - 1].outputs, "out", kept)
    if poll is not None:
        job.watcher = <void*>watcher
        job.last_watch = fs_seconds()

    cdef int team = min(max(1, threads), <int>FS_MAX_TEAM, most_threads(&job))
    workspace = numpy.empty(lay_out_workspace(&job, NULL, team) + 64, dtype=numpy.uint8)
    cdef unsigned char[::1] memory = workspace
    cdef char* base = <char*>&memory[0]
    lay_out_workspace(&job, base + (63 & -<size_t>base), team)

    with nogil:
        fs_team_run(team, run, &job)

    if mode == COST:
        job.total_cost = fs_sum(blocks_of(&job), job.cost)
        job.total_score = fs_sum(blocks_of(&job), job.score)
    if mode == TRAIN:
        state.steps += job.steps_done
    if watcher[1]:
        raise watcher[1][0]
    require(not job.broken, "X has a column index out of range; it was changed after it was checked")
    return job.total_cost, job.total_score, job.steps_done


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


cdef void* floats(array, Job* job, ptrdiff_t count, name, list kept) except NULL:
    """Where a contiguous array of so many numbers of the parameters' dtype begins; ``kept`` holds on to it."""
    cdef const float[::1] singles
    cdef const double[::1] doubles
    require(array.size == count and array.flags.c_contiguous, f"{name} must hold {count} contiguous numbers")
    flat = array.reshape(-1)
    kept.append(flat)
    if job.ops.item == sizeof(double):
        doubles = flat
        return <void*>&doubles[0]
    singles = flat
    return <void*>&singles[0]


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


cdef lay_out_layers(Job* job, architecture, bint blas):
    """What each layer is."""
    cdef fs_layer* layer
    cdef int l
    sizes = architecture.sizes
    require(not blas or fs_blas_config()[0] != 0, "no BLAS has been loaded")
    job.depth = len(sizes) - 1
    for l in range(job.depth):
        layer = &job.layers[l]
        layer.inputs, layer.outputs = sizes[l], sizes[l + 1]
        layer.activation = ACTIVATIONS[architecture.activations[l]]
        layer.blas = blas
        layer.ld = layer.outputs
        if l == job.depth - 1 and job.mode >= COST:
            layer.activation = FS_IDENTITY          # the cost takes z
        if l < job.depth - 1 and layer.outputs * job.ops.item % 512 == 0:
            layer.ld += 64 // job.ops.item          # or a column's entries would meet in a few sets of the cache
        job.parameters += (layer.inputs + 1) * layer.outputs


cdef lay_out_input(Job* job, architecture, X, list kept):
    """Where the rows lie, and whether their zeros are worth skipping."""
    cdef fs_layer* layer = &job.layers[0]
    cdef fs_input* source = &job.input
    cdef const int64_t[::1] indptr
    cdef const int32_t[::1] indices
    cdef ptrdiff_t item
    dtype = numpy.float64 if job.ops.item == 8 else numpy.float32
    require(X.shape[1] == layer.inputs and X.shape[0] > 0, "X does not fit the architecture")
    job.rows = X.shape[0]
    if hasattr(X, "indptr"):
        indptr, indices = X.indptr, X.indices
        check_range(indptr, indices.shape[0] + 1, "indptr")
        require(indptr.shape[0] == job.rows + 1, "X is not a CSR matrix")
        source.indptr = &indptr[0]
        if indices.shape[0]:
            source.indices = &indices[0]
            source.values = floats(X.values, job, indices.shape[0], "X", kept)
        job.lists = True
        return
    require(X.dtype in (dtype, numpy.uint8), f"X must have dtype {numpy.dtype(dtype)} or uint8, got {X.dtype}")
    source.bytes = X.dtype == numpy.uint8
    item = X.itemsize
    require(X.strides[1] == item or X.shape[1] == 1, "the values of a row of X must be neighbours")
    require(X.shape[0] == 1 or X.strides[0] >= item * X.shape[1] and X.strides[0] % item == 0,
            "rows of X overlap, or begin between its values")
    source.rows = <void*><size_t>X.__array_interface__["data"][0]
    source.ld = max(X.shape[1], X.strides[0] // item)
    if architecture.scales_input:
        source.scale = column_values(job, architecture.input_scale, "input_scale", kept)
        source.offset = column_values(job, architecture.input_offset, "input_offset", kept)
    job.copies = source.bytes or source.scale != NULL
    if not layer.blas and not any(architecture.input_offset):
        filled = density(job)
        job.lists = filled < LISTS_DENSITY
        job.copies = job.copies or job.lists
        job.bits = not job.lists and filled < BITS_DENSITY


cdef void* column_values(Job* job, values, name, list kept) except NULL:
    array = numpy.empty(job.layers[0].inputs, dtype=numpy.float64 if job.ops.item == 8 else numpy.float32)
    array[:] = values
    return floats(array, job, array.size, name, kept)


cdef double density(Job* job) noexcept:
    """How much of a few rows is not zero; 1 where nothing could be gained from its being little."""
    cdef fs_layer* layer = &job.layers[0]
    cdef ptrdiff_t sample = min(job.rows, <ptrdiff_t>32), i, found = 0
    if layer.outputs < SKIP_OUTPUTS or job.rows < 8:
        return 1
    for i in range(sample):
        found += job.ops.count_nonzero(&job.input, i * job.rows // sample, layer.inputs)
    return found / <double>(sample * layer.inputs)


cdef lay_out_target(Job* job, architecture, target, list kept):
    """Labels or targets of all rows."""
    cdef const int32_t[::1] labels
    cdef ptrdiff_t outputs = job.layers[job.depth - 1].outputs
    job.target.loss = LOSSES[architecture.loss]
    job.target.output = ACTIVATIONS[architecture.activations[job.depth - 1]]
    parameters = numpy.array(architecture.loss_parameters, dtype=numpy.float64 if job.ops.item == 8 else numpy.float32)
    job.target.parameters = floats(parameters, job, outputs, "loss_parameters", kept)
    require(len(target) == job.rows, "target and X differ in length")
    if target.ndim == 1:
        labels = target
        check_range(labels, outputs, "labels")
        job.target.labels = &labels[0]
    else:
        job.target.targets = floats(target, job, job.rows * outputs, "target", kept)


cdef ptrdiff_t blocks_of(Job* job) noexcept nogil:
    return (job.rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS


cdef int most_threads(Job* job) noexcept:
    """More than this would find nothing to do."""
    cdef ptrdiff_t most = blocks_of(job)
    cdef int l
    if job.mode >= GRADIENT:
        most = (min(job.batch, <ptrdiff_t>FS_CHUNK_ROWS) + SHARED_ROWS - 1) // SHARED_ROWS
        for l in range(job.depth):
            most = max(most, (job.layers[l].inputs + SHARED_ROWS - 1) // SHARED_ROWS)
    return <int>min(most, <ptrdiff_t>FS_MAX_TEAM)


cdef ptrdiff_t lay_out_workspace(Job* job, char* base, int threads) noexcept:
    """Points the job's buffers into the memory at base; returns the bytes they take. With NULL it only measures."""
    cdef ptrdiff_t item = job.ops.item, used = 0, rows = threads * FS_BLOCK_ROWS, accounts = blocks_of(job), r
    cdef fs_layer* layer = &job.layers[0]
    cdef int l
    if job.mode >= GRADIENT:
        rows = accounts = min(job.batch, <ptrdiff_t>FS_CHUNK_ROWS)
    if job.mode >= COST:
        job.cost = <double*>take(base, &used, accounts * sizeof(double))
        job.score = <double*>take(base, &used, accounts * sizeof(double))
        job.labels = <int32_t*>take(base, &used, rows * sizeof(int32_t))
        job.targets = take(base, &used, rows * job.layers[job.depth - 1].outputs * item)
    if job.lists:
        layer.x_index = <const int32_t**>take(base, &used, rows * sizeof(void*))
        layer.x_count = <int32_t*>take(base, &used, rows * sizeof(int32_t))
    if job.mode == TRAIN and job.order != NULL and not (job.lists or job.bits or job.copies or layer.blas):
        layer.x_next = <const void**>take(base, &used, rows * sizeof(void*))
    if job.bits:
        layer.x_bits = <const uint64_t**>take(base, &used, rows * sizeof(void*))
        job.input.bits_ld = (layer.inputs + 63) // 64 + 1           # and a word that may be read beyond
        job.input.bits = <uint64_t*>take(base, &used, rows * job.input.bits_ld * sizeof(uint64_t))
    if job.copies or layer.blas and job.order != NULL:
        job.input.copy_ld = layer.inputs + 64 // item
        job.input.copy = take(base, &used, rows * job.input.copy_ld * item)
        if job.lists:
            job.input.copy_index = <int32_t*>take(base, &used, rows * job.input.copy_ld * sizeof(int32_t))
    if job.mode == TRAIN and job.batch > FS_CHUNK_ROWS:
        job.gradient = take(base, &used, job.parameters * item)
    for l in range(job.depth):
        layer = &job.layers[l]
        layer.x = <const void**>take(base, &used, rows * sizeof(void*))
        if job.mode >= GRADIENT and layer.activation in (FS_GELU, FS_SILU):
            layer.slope = take(base, &used, rows * layer.ld * item)
        if job.mode >= GRADIENT or job.mode == COST and l == job.depth - 1:
            layer.delta = take(base, &used, rows * layer.ld * item)
        if l < job.depth - 1:
            layer.a = take(base, &used, rows * layer.ld * item)
        else:
            layer.a = layer.delta
        if l > 0 and base != NULL:
            for r in range(rows):
                layer.x[r] = <char*>job.layers[l - 1].a + r * job.layers[l - 1].ld * item
        job.scratch_size = max(job.scratch_size, (job.ops.scratch(layer, job.lists and l == 0) * item + 127) // 64 * 64)
    job.scratch = <char*>take(base, &used, threads * job.scratch_size)
    point_at_parameters(job)
    return used


cdef void point_at_parameters(Job* job) noexcept:
    """W and b of each layer within the flat parameters, and their parts of the arrays laid out like these."""
    cdef ptrdiff_t w = 0, b
    cdef fs_layer* layer
    cdef int l, s
    for l in range(job.depth):
        layer = &job.layers[l]
        b = w + layer.inputs * layer.outputs * job.ops.item
        layer.w, layer.b = part_of(job.params, w), part_of(job.params, b)
        layer.w_gradient, layer.b_gradient = part_of(job.gradient, w), part_of(job.gradient, b)
        for s in range(2):
            layer.w_slots[s], layer.b_slots[s] = part_of(job.slots[s], w), part_of(job.slots[s], b)
        w = b + layer.outputs * job.ops.item


cdef void* part_of(void* base, ptrdiff_t offset) noexcept:
    return <char*>base + offset if base != NULL else NULL


cdef void* take(char* base, ptrdiff_t* used, ptrdiff_t size) noexcept:
    cdef ptrdiff_t at = used[0]
    used[0] += (size + 63) // 64 * 64
    return base + at if base != NULL else NULL


# ---- a few rows at once, where a call costs more than its arithmetic ----

cdef enum:
    FEW_ROWS = 16
    FEW_NUMBERS = 4096      # in a layer's activations, which live on the stack
    FEW_PRODUCTS = 1 << 20  # beyond, other threads are let in and more than one may work


cdef class FewRows:
    """``network.predict`` for a few rows of a plain array of the parameters' dtype; None for everything else.

    Nothing is allocated but the result; any number of threads may call it at once.
    """

    cdef const fs_ops* ops
    cdef int depth, dtype
    cdef bytearray table
    cdef object params
    cdef ptrdiff_t most_rows

    def __cinit__(self, architecture, c_numpy.ndarray params):
        cdef Job job
        cdef list kept = []
        cdef ptrdiff_t widest = 0, products = 0
        cdef int l
        memset(&job, 0, sizeof(Job))
        job.mode = PREDICT
        job.ops = self.ops = fs_operations(params.itemsize == 8)
        self.dtype = c_numpy.PyArray_TYPE(params)
        self.params = params
        self.table = bytearray(sizeof(fs_layer) * (len(architecture.sizes) - 1))
        job.layers = <fs_layer*><char*>self.table
        lay_out_layers(&job, architecture, False)
        self.depth = job.depth
        job.params = floats(params, &job, job.parameters, "params", kept)
        point_at_parameters(&job)
        for l in range(self.depth):
            job.layers[l].ld = job.layers[l].outputs
            widest = max(widest, job.layers[l].outputs)
            products += job.layers[l].inputs * job.layers[l].outputs
        self.most_rows = min(<ptrdiff_t>FEW_ROWS, <ptrdiff_t>FEW_NUMBERS // widest, <ptrdiff_t>FEW_PRODUCTS // products)
        if architecture.scales_input:
            self.most_rows = 0

    def __call__(self, X, out):
        cdef double[2 * FEW_NUMBERS] memory
        cdef const void* rows[FEW_ROWS]
        cdef c_numpy.npy_intp[2] shape
        cdef c_numpy.ndarray x, result
        cdef fs_layer layer
        cdef ptrdiff_t n, r, item = self.ops.item
        cdef char* a = <char*>memory
        cdef int l
        if type(X) is not numpy.ndarray:
            return None
        x = X
        layer = (<fs_layer*><char*>self.table)[0]
        if (c_numpy.PyArray_NDIM(x) != 2 or c_numpy.PyArray_TYPE(x) != self.dtype or c_numpy.PyArray_DIM(x, 0) > self.most_rows
                or c_numpy.PyArray_DIM(x, 1) != layer.inputs or not c_numpy.PyArray_ISCARRAY_RO(x)):
            return None
        n = c_numpy.PyArray_DIM(x, 0)
        if n == 0 or not self.ops.all_finite(n * layer.inputs, c_numpy.PyArray_DATA(x)):
            return None
        shape[0], shape[1] = n, (<fs_layer*><char*>self.table)[self.depth - 1].outputs
        if out is None:
            result = c_numpy.PyArray_EMPTY(2, shape, self.dtype, 0)
        elif (type(out) is numpy.ndarray and c_numpy.PyArray_NDIM(out) == 2 and c_numpy.PyArray_TYPE(out) == self.dtype
                and c_numpy.PyArray_DIM(out, 0) == n and c_numpy.PyArray_DIM(out, 1) == shape[1]
                and c_numpy.PyArray_ISCARRAY(out)):
            result = out
        else:
            return None
        for r in range(n):
            rows[r] = <char*>c_numpy.PyArray_DATA(x) + r * layer.inputs * item
        for l in range(self.depth):
            layer = (<fs_layer*><char*>self.table)[l]
            layer.x = rows
            layer.a = a + (l % 2) * FEW_NUMBERS * item
            self.ops.forward(&layer, 0, n, NULL)
            for r in range(n):
                rows[r] = <char*>layer.a + r * layer.outputs * item
        memcpy(c_numpy.PyArray_DATA(result), layer.a, n * layer.outputs * item)
        return result


# ---- the machine ----

def function(name, x):
    """One of the C side's elementwise functions of x, for the tests of its accuracy."""
    y = numpy.empty_like(x)
    cdef unsigned char[::1] source = x.view(numpy.uint8)
    cdef unsigned char[::1] result = y.view(numpy.uint8)
    if not fs_operations(x.itemsize == 8).function(name.encode(), len(x), &source[0], &result[0]):
        raise ValueError(f"no function {name!r}")
    return y


def get_num_threads():
    """The limit that was set, or 0."""
    return fastsgd_get_num_threads()


def peak(ptrdiff_t rounds, int threads=1):
    """FLOP/s of so many rounds of float32 multiply-adds in registers, on so many threads at once."""
    cdef Rounds work
    cdef double taken = fs_seconds()
    work.rounds, work.done = rounds, 0
    with nogil:
        fs_team_run(threads, multiply_adds, &work)
    return work.done / (fs_seconds() - taken)


cdef struct Rounds:
    ptrdiff_t rounds
    double done


cdef void multiply_adds(void* argument, fs_team* team, int rank) noexcept nogil:
    cdef Rounds* work = <Rounds*>argument
    cdef double done = fs_operations(0).multiply_adds(work.rounds)
    if rank == 0:
        work.done = done * fs_team_size(team)


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
