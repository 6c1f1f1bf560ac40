# What tests, benchmarks and machine.py ask of the C side, and rows brought into memory. Included by _kernel.pyx.

def prefault(X, const int64_t[::1] rows, bint check):
    """Reads rows of an array that is mapped from a file, so that they are in memory when a step comes to them.

    Returns the first of them that has a value which is not finite, where that is to be checked, or else -1.
    """
    cdef const fs_ops* ops = fs_operations(X.itemsize == 8)
    cdef const char* base = <const char*>c_numpy.PyArray_DATA(X)
    cdef ptrdiff_t stride = X.strides[0], columns = X.shape[1], size = columns * X.itemsize, i
    cdef int64_t bad = -1
    check_range(rows, len(X), "rows")
    require(X.strides[1] == X.itemsize or columns == 1, "the values of a row of X must be neighbours")
    require(not check or X.dtype in (numpy.float32, numpy.float64), "only floats can be checked")
    with nogil:
        for i in range(rows.shape[0]):
            if not check:
                fs_touch(size, base + rows[i] * stride)
            elif not ops.all_finite(columns, base + rows[i] * stride):
                bad = rows[i]
                break
    return bad


def function(name, x):
    """One of the C side's elementwise functions of x, 1-D."""
    y = numpy.empty_like(x)
    cdef unsigned char[::1] source = x.view(numpy.uint8)
    cdef unsigned char[::1] result = y.view(numpy.uint8)
    if not fs_operations(x.itemsize == 8).function(name.encode(), len(x), &source[0], &result[0]):
        raise ValueError(f"no function {name!r}")
    return y


def elementary(str name, const double[::1] x, double[::1] out):
    """exp, log, log2 or cos of each x, by elementary.c."""
    cdef double (*function)(double) noexcept nogil
    if name == "exp":
        function = fs_exp
    elif name == "log":
        function = fs_log
    elif name == "log2":
        function = fs_log2
    elif name == "cos":
        function = fs_cos
    else:
        raise ValueError(f"no function {name!r}")
    require(x.shape[0] == out.shape[0], "x and out must be equally long")
    cdef ptrdiff_t i
    with nogil:
        for i in range(x.shape[0]):
            out[i] = function(x[i])


def elementary_power(const double[::1] x, const double[::1] y, double[::1] out):
    """Each x to the power y, by elementary.c."""
    require(x.shape[0] == y.shape[0] == out.shape[0], "x, y and out must be equally long")
    cdef ptrdiff_t i
    with nogil:
        for i in range(x.shape[0]):
            out[i] = fs_pow(x[i], y[i])


def power(double base, uint64_t t):
    """base^t as bias corrections have it."""
    cdef double found
    fs_operations(1).powers(base, t, 1, &found)
    return found


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


cdef struct Meeting:                # of a team, to be timed
    ptrdiff_t rounds, lines
    int64_t* memory                 # eight numbers a line
    double seconds


cdef void meet(void* argument, fs_team* team, int rank) noexcept nogil:
    """Barriers; where there are lines each round has two: before them rank 0 writes the lines, and rank 1 reads them."""
    cdef Meeting* meeting = <Meeting*>argument
    cdef ptrdiff_t i, l
    cdef int64_t total = 0
    cdef double began = fs_seconds()
    for i in range(meeting.rounds):
        if rank == 0:
            for l in range(meeting.lines):
                meeting.memory[8 * l] += 1
        fs_team_barrier(team)
        if rank == 1:
            for l in range(meeting.lines):
                total += meeting.memory[8 * l]
        if meeting.lines:
            fs_team_barrier(team)
    if rank == 1:
        meeting.memory[0] = total               # or the compiler would leave the reading out
    if rank == 0:
        meeting.seconds = fs_seconds() - began


def team_seconds(int threads, ptrdiff_t lines, ptrdiff_t rounds):
    """Seconds of a barrier of so many threads; or of two and of cache lines written by one thread and read by another."""
    cdef Meeting meeting
    cdef int64_t[::1] memory = numpy.zeros(8 * max(lines, 1), numpy.int64)
    meeting.rounds, meeting.lines, meeting.memory = rounds, lines, &memory[0]
    with nogil:
        fs_team_run(threads, meet, &meeting)
    return meeting.seconds / rounds


PRODUCTS = ("forward", "backward", "weights")


def product_seconds(architecture, params, X, target, config, state, learning_rates, int l, product, ptrdiff_t rounds):
    """Seconds that layer l takes, on one thread, for so many rounds of one product of the step on the first batch.

    The step is made as ``train_epoch`` would make it; ``params`` and ``state`` change.
    """
    cdef Pass this = Pass()
    cdef fs_job* job = this.bind(FS_TRAIN, architecture, params, X, config.backend, config)
    cdef fs_layer* layer = &job.net.layers[l]
    cdef fs_chunk chunk
    cdef fs_rule rule
    cdef double began
    cdef int which = PRODUCTS.index(product)
    cdef ptrdiff_t i
    this.bind_targets(architecture, target)
    bind_step(job, config, state, params, learning_rates, this.kept)
    require(0 <= l < job.net.depth and (l > 0 or which != 1) and (layer.tensors or which != 2), "no such product")
    require(job.net.meetings == 0, "products of networks with a batch norm are not timed")
    this.plan(1)
    memset(&chunk, 0, sizeof(fs_chunk))
    chunk.rows, chunk.batch_weight = job.step.block, <double>job.step.block
    chunk.first_of_batch = chunk.last_of_batch = True
    rule = fs_rule_of_step(job, 0, chunk.batch_weight, job.result.carried)
    fs_copy_padded(job, True)
    with nogil:
        rows_phase(job, NULL, &chunk, 0, 1)
        began = fs_seconds()
        for i in range(rounds):
            one_product(job, layer, which, &rule, chunk.rows)
        began = fs_seconds() - began
    return began


KIND_NAMES = {FS_DENSE: "tiles", FS_DENSE_BLAS: "BLAS", FS_DENSE_SKIPPING: "zeros skipped", FS_DENSE_CSR: "lists",
              FS_SCALE: "scale", FS_PARAMETRIC_ACTIVATION: "parametric activation", FS_LAYER_NORM: "layer norm",
              FS_BATCH_NORM: "batch norm", FS_ADD: "add", FS_AFFINE: "affine", FS_DENSE_MEMBERS: "tiles for each member", FS_COLUMNS: "columns"}


def describe_plan(architecture, params, X, target, order, config, state, learning_rates, threads=1):
    """What is chosen for a pass of ``train_epoch``: who computes each layer's products, and where its rows lie.

    Distances between rows are in numbers, those of W only where the pass works on a copy.
    """
    cdef Pass this = Pass()
    cdef fs_job* job = this.bind(FS_TRAIN, architecture, params, X, config.backend, config)
    cdef fs_layer* layer
    cdef int l, team
    this.bind_targets(architecture, target)
    this.choose(order)
    bind_step(job, config, state, params, learning_rates, this.kept)
    team = this.plan(threads)
    layers = []
    for l in range(job.net.depth):
        layer = &job.net.layers[l]
        chosen = {"products": KIND_NAMES[layer.kind], "distance of activations": layer.ld}
        if layer.tensor[0].home != NULL:
            chosen["distance in a copy of W"] = layer.tensor[0].ld
        if layer.weight_rows < layer.inputs:
            chosen["rows of W at a time"] = layer.weight_rows
        layers.append(chosen)
    return {"threads": team, "rows at a time": job.step.block, "layers": layers}


cdef void one_product(fs_job* job, fs_layer* layer, int which, const fs_rule* rule, ptrdiff_t rows) noexcept nogil:
    cdef ptrdiff_t begin = 0, n
    if which == 2:
        layer.ops.gradient(layer, FS_W, rule, 0, layer.inputs, rows, 1.0 / rows, False, job.work.scratch)
        return
    while begin < rows:
        n = min(<ptrdiff_t>FS_BLOCK_ROWS, rows - begin)
        if which == 0:
            layer.ops.forward(layer, begin, n)
        else:
            layer.ops.backward(layer, layer - 1, begin, n, job.work.scratch)
        begin += n


def config():
    """What runs the arithmetic: the instruction set and those available, the caches, and what BLAS says of itself."""
    cdef fs_cache_sizes sizes = fs_caches()[0]
    return {"isa": fs_isa_name().decode(), "isa_available": fs_isa_available().decode().split(),
            "caches": {"L1d": sizes.l1d, "L2": sizes.l2, "L3": sizes.l3}, "blas": fs_blas_config().decode()}


def select_isa(name):
    """Takes the instruction set of that name, or for "" the best of this CPU; returns "", or why it cannot be had."""
    cdef const char* reason = fs_isa_select(name.encode())
    return reason.decode() if reason != NULL else ""


def find_caches():
    """Has plans go by the sizes of this CPU's caches; whether it says them."""
    return fs_caches_find()


def set_caches(ptrdiff_t l1d, ptrdiff_t l2, ptrdiff_t l3=0):
    """Has plans go by these sizes, in bytes."""
    fs_caches_set(l1d, l2, l3)


def load_blas(path):
    """Opens an OpenBLAS library for the matrix products; returns "", or why it cannot be opened."""
    cdef const char* reason = fs_blas_load(os.fsencode(path))
    return reason.decode("utf-8", "replace") if reason != NULL else ""
