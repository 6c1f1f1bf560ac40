# From Python to a Job and back: checks, the plan, and the workspace. Included by _kernel.pyx.
#
# What memory safety needs is checked here again, whoever calls; what a user did wrong, data/checks.py has already said.

cdef tuple execute(Mode mode, architecture, params, X, target, const int64_t[::1] order, recipe, state,
                   const double[::1] learning_rates, const double[::1] sample_weight, int threads, poll, out, backend,
                   bint adapts=False, plane=None):
    cdef Job job
    cdef ptrdiff_t i
    cdef list kept = []               # arrays that the job points into
    cdef tuple watcher = (let_signals_in if poll is None else poll, [None])
    memset(&job, 0, sizeof(Job))
    job.mode = mode
    job.ops = fs_operations(params.itemsize == 8)
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    table = bytearray(sizeof(fs_layer) * (len(architecture.sizes) - 1))
    job.layers = <fs_layer*><char*>table
    job.fold_steps = steps_between_folds(architecture, X, recipe) if mode == TRAIN else 0
    lay_out_layers(&job, architecture, backend, recipe, kept)
    job.params = floats(params, &job, job.parameters, "params", kept, mode == TRAIN)
    job.follows = job.fold_steps != 0 and average_was_parameters(state, params, recipe.optimizer)
    lay_out_input(&job, architecture, X, kept)
    if plane is not None:
        lay_out_plane(&job, plane, kept)
    if target is not None:
        lay_out_target(&job, architecture, target, kept)
    if order is not None:
        require(order.shape[0] > 0, "order is empty")
        check_range(order, job.rows, "order")
        job.order = &order[0]
        job.rows = order.shape[0]

    if sample_weight is not None:
        require(sample_weight.shape[0] == job.data_rows, "sample_weight and X differ in length")
        job.sample_weight = &sample_weight[0]
    job.batch = job.rows
    if recipe is not None:
        require(recipe.batch_size > 0, "batch_size must be positive")
        job.batch = min(<ptrdiff_t>recipe.batch_size, job.rows)
    job.steps = (job.rows + job.batch - 1) // job.batch
    if mode == TRAIN:
        require(learning_rates.shape[0] >= job.steps, "learning_rates must have one value per step")
        job.learning_rates = &learning_rates[0]
        lay_out_recipe(&job, recipe, state, kept)
    elif mode == GRADIENT:
        job.gradient = floats(out, &job, job.parameters, "out", kept, True)
    elif mode == PREDICT:
        job.out = floats(out, &job, job.rows * job.layers[job.depth - 1].outputs, "out", kept, True)
    elif mode == DELTAS:
        job.out = floats(out, &job, job.rows * numbers_of_a_row(&job), "out", kept, True)
    job.watcher = <void*>watcher
    job.last_watch = fs_seconds()

    if mode == TRAIN and job.steps >= COPYING_STEPS and job.average == NULL and not job.fold_steps:
        part_rows_of_weights(&job)
    job.block = min(job.batch, <ptrdiff_t>FS_CHUNK_ROWS)
    if job.fold_steps:
        job.block = job.batch * max(1, LINEAR_BLOCK // job.batch)
    cdef int team = 1 if job.fold_steps else min(max(1, threads), <int>FS_MAX_TEAM, most_threads(&job))
    # On the linear path each row decides for itself: its sums depend on it, and must not on what else is in X.
    job.skips = job.skips and (job.layers[0].outputs > 1 if job.fold_steps else skipping_pays(&job))
    workspace = numpy.empty(lay_out_workspace(&job, NULL, team) + 64, dtype=numpy.uint8)
    cdef unsigned char[::1] memory = workspace
    cdef char* base = <char*>&memory[0]
    lay_out_workspace(&job, base + (63 & -<size_t>base), team)

    copy_weights(&job, True)
    job.trial.wanted = adapts and team > 1 and job.steps >= TRIED_STEPS
    begin_trial(&job.trial)
    with nogil:
        run_in_company(&job, team)

    copy_weights(&job, False)

    if mode in (COST, DELTAS):
        job.total_cost = fs_sum(blocks_of(&job), job.cost)
        job.total_score = fs_sum(blocks_of(&job), job.score)
    if mode == TRAIN:
        state.steps += job.steps_done
        state.penalty = penalty_after(&job, job.steps_done)
        state.cost, state.score = job.total_cost, job.total_score
    if watcher[1][0] is not None:
        raise watcher[1][0]
    require(not job.broken, "X has a column index out of range, or columns that do not rise")
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


cdef void* floats(array, Job* job, ptrdiff_t count, name, list kept, bint written=False) except NULL:
    """Where a contiguous array of so many numbers of the parameters' dtype begins; ``kept`` holds on to it."""
    cdef const float[::1] singles
    cdef const double[::1] doubles
    if not (array.size == count and array.flags.c_contiguous):
        raise ValueError(f"{name} must hold {count} contiguous numbers")
    if written and not array.flags.writeable:
        raise ValueError(f"{name} is read-only")
    flat = array.reshape(-1)
    kept.append(flat)
    if job.ops.item == sizeof(double):
        doubles = flat
        return <void*>&doubles[0]
    singles = flat
    return <void*>&singles[0]


cdef dtype_of(Job* job):
    return numpy.float64 if job.ops.item == sizeof(double) else numpy.float32


cdef void* copy_of(values, Job* job, ptrdiff_t count, name, list kept) except NULL:
    """The same of one number, or so many, given as Python's."""
    array = numpy.empty(count, dtype=dtype_of(job))
    array[:] = values
    return floats(array, job, count, name, kept)


cdef fs_rule rule_of(optimizer):
    cdef fs_rule rule
    memset(&rule, 0, sizeof(fs_rule))
    rule.kind = OPTIMIZERS[optimizer.kind]
    rule.momentum = getattr(optimizer, "momentum", 0)
    rule.nesterov = getattr(optimizer, "nesterov", False)
    rule.truncate = getattr(optimizer, "truncate", False)
    rule.bias_rate = optimizer.bias_rate
    rule.beta_1 = getattr(optimizer, "beta_1", 0)
    rule.beta_2 = getattr(optimizer, "beta_2", getattr(optimizer, "rho", 0))
    rule.epsilon = getattr(optimizer, "epsilon", 0)
    rule.weight_decay = optimizer.weight_decay
    rule.l1 = optimizer.l1
    rule.l2 = optimizer.l2
    rule.clip_value = optimizer.clip_value or 0
    rule.clip_factor = 1
    return rule


cdef lay_out_recipe(Job* job, recipe, state, list kept):
    """What is done with a gradient and around it, and what the run remembers."""
    cdef const double[::1] averaging
    cdef double[::1] output_costs
    optimizer = recipe.optimizer
    cdef ptrdiff_t outputs = job.layers[job.depth - 1].outputs
    job.rule = rule_of(optimizer)
    job.alpha = optimizer.alpha
    job.steps_before = state.steps
    job.total_cost, job.total_score = state.cost, state.score
    require(len(state.slots) == optimizer.slots and (state.average is None) == (optimizer.average is None),
            "state does not fit the optimizer")
    for i in range(len(state.slots)):
        job.slots[i] = floats(state.slots[i], job, job.parameters, "state", kept, True)
    if state.average is not None:
        job.average = floats(state.average, job, job.parameters, "state", kept, True)
        averaging = optimizer.averaging_weights(state.steps, job.steps)
        kept.append(averaging)
        job.averaging_weights = &averaging[0]
    job.clip_norm, job.max_norm = optimizer.clip_norm or 0, optimizer.max_norm or 0
    job.seed = recipe.seed
    job.weighted_steps = recipe.weighted_steps
    job.penalty = state.penalty
    if recipe.label_smoothing > 0:
        job.smoothed = True
        job.smooth_keep = 1 - recipe.label_smoothing
        job.smooth_share = recipe.label_smoothing / max(outputs if job.target.loss == FS_CROSS_ENTROPY else 2, 2)
    job.target.clip_delta = optimizer.clip_delta or 0
    if state.output_costs is not None:
        require(state.output_costs.shape == (outputs,), "state.output_costs must have one number per output")
        if job.fold_steps:
            output_costs = state.output_costs
            job.target.output_costs = &output_costs[0]
        else:
            state.output_costs[:] = numpy.nan
    if recipe.positive_weight:
        require(job.target.labels != NULL and job.target.loss != FS_CROSS_ENTROPY,
                "class_weight for outputs that tell a class from the rest needs y to be class labels")
        job.target.positive_weight = copy_of(recipe.positive_weight, job, outputs, "positive_weight", kept)
    if job.rule.kind == FS_PASSIVE_AGGRESSIVE:
        require(job.depth == 1 and job.target.loss in (FS_HINGE, FS_EPSILON_INSENSITIVE),
                "passive-aggressive steps are for hinge and epsilon_insensitive without a hidden layer")
        job.target.aggressive, job.target.squared = True, optimizer.squared


cdef bint average_was_parameters(state, params, optimizer) except -1:
    """Whether the last step of the pass before left the average equal to the parameters, as a pass that goes on knows."""
    return (state.average is not None and state.steps > 0
            and optimizer.averaging_weights(state.steps - 1, 1)[0] == 1 and numpy.array_equal(state.average, params))


cdef lay_out_layers(Job* job, architecture, backend, recipe, list kept):
    """What each layer is, and who computes its products: BLAS, for "auto", where it is measurably faster."""
    cdef fs_layer* layer
    cdef int l
    sizes = architecture.sizes
    cdef bint slower = fs_isa_name() in (b"avx2", b"sse2")       # than OpenBLAS in very wide layers, bench.backends says
    require(backend != "blas" or fs_blas_config()[0] != 0, "no BLAS has been loaded")
    job.depth = len(sizes) - 1
    for l in range(job.depth):
        layer = &job.layers[l]
        layer.inputs, layer.outputs = sizes[l], sizes[l + 1]
        layer.number = l
        if recipe is not None and l < job.depth - 1:
            layer.drop = recipe.drop(l)
        layer.activation = ACTIVATIONS[architecture.activations[l]]
        layer.blas = backend == "blas" or (backend == "auto" and slower and layer.inputs >= BLAS_WIDTH
                                           and layer.outputs >= BLAS_WIDTH and fs_blas_config()[0] != 0
                                           and not job.fold_steps)
        layer.ld = layer.ldw = layer.outputs
        if l == job.depth - 1 and job.mode >= COST:
            layer.activation = FS_IDENTITY          # the cost takes z
        if l < job.depth - 1 and layer.outputs * job.ops.item >= WIDE_ROW:
            layer.ld = (layer.outputs * job.ops.item + 63) // 64 * 64 // job.ops.item      # rows begin at cache lines
        if l < job.depth - 1 and layer.ld * job.ops.item % 512 == 0:
            layer.ld += 64 // job.ops.item          # or a column's entries would meet in a few sets of the cache
        job.parameters += (layer.inputs + 1) * layer.outputs
    if job.mode == PREDICT and architecture.scales_output:
        layer = &job.layers[job.depth - 1]
        layer.scale = copy_of(architecture.output_scale, job, layer.outputs, "output_scale", kept)
        layer.offset = copy_of(architecture.output_offset, job, layer.outputs, "output_offset", kept)


cdef void part_rows_of_weights(Job* job) noexcept:
    """Lets the step work on copies of W whose rows begin at cache lines, where those of the parameters do not."""
    cdef ptrdiff_t item = job.ops.item, line = 64 // item
    cdef fs_layer* layer
    cdef int l
    for l in range(job.depth):
        layer = &job.layers[l]
        if layer.outputs * item >= WIDE_ROW and not layer.blas:
            layer.ldw = (layer.outputs + line - 1) // line * line


cdef void copy_weights(Job* job, bint there) noexcept nogil:
    """Between the parameters and the copies of them, there or back."""
    cdef ptrdiff_t i, size, apart
    cdef fs_layer* layer
    cdef char* home
    cdef char* copy
    cdef int l
    for l in range(job.depth):
        layer = &job.layers[l]
        if layer.w_home == NULL:
            continue
        size, apart = layer.outputs * job.ops.item, layer.ldw * job.ops.item
        home, copy = <char*>layer.w_home, <char*>layer.w
        for i in range(layer.inputs):
            if there:
                memcpy(copy + i * apart, home + i * size, size)
            else:
                memcpy(home + i * size, copy + i * apart, size)


cdef lay_out_input(Job* job, architecture, X, list kept):
    """Where the rows lie, and whether their zeros are worth skipping."""
    cdef fs_layer* layer = &job.layers[0]
    cdef fs_input* source = &job.input
    cdef const int64_t[::1] indptr
    cdef const int32_t[::1] indices
    cdef Py_buffer view
    cdef ptrdiff_t item
    dtype = dtype_of(job)
    require(X.shape[1] == layer.inputs and X.shape[0] > 0, "X does not fit the architecture")
    job.rows = job.data_rows = X.shape[0]
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
    source.bytes = X.dtype == numpy.uint8
    if not source.bytes and X.dtype != dtype:
        raise ValueError(f"X must have dtype {numpy.dtype(dtype)} or uint8, got {X.dtype}")
    item = X.itemsize
    require(X.strides[1] == item or X.shape[1] == 1, "the values of a row of X must be neighbours")
    require(X.shape[0] == 1 or X.strides[0] >= item * X.shape[1] and X.strides[0] % item == 0,
            "rows of X overlap, or begin between its values")
    PyObject_GetBuffer(X, &view, PyBUF_STRIDES)     # X.__array_interface__ crashes where memory is missing
    source.rows = view.buf
    PyBuffer_Release(&view)
    source.ld = max(X.shape[1], X.strides[0] // item)
    if architecture.scales_input:
        source.scale = copy_of(architecture.input_scale, job, layer.inputs, "input_scale", kept)
        source.offset = copy_of(architecture.input_offset, job, layer.inputs, "input_offset", kept)
    job.copies = source.bytes or source.scale != NULL
    job.skips = not layer.blas and not any(architecture.input_offset)


cdef lay_out_plane(Job* job, tuple plane, list kept):
    """Rows are f(X + p Z_1 + q Z_2)."""
    cdef ptrdiff_t numbers = job.data_rows * job.layers[0].inputs
    cdef int i
    along, factors, activation = plane
    require(not (job.lists or job.input.bytes) and job.input.ld == job.layers[0].inputs, "Z must be contiguous numbers")
    for i in range(2):
        job.input.along[i] = floats(along[i], job, numbers, f"along[{i}]", kept)
        job.input.factor[i] = factors[i]
    job.input.activation = ACTIVATIONS[activation]
    job.copies, job.skips = True, False


cdef bint skipping_pays(Job* job) noexcept:
    """Whether so much of a few rows is zero that leaving it out saves more than finding it costs."""
    cdef fs_layer* layer = &job.layers[0]
    cdef ptrdiff_t sample = min(job.data_rows, <ptrdiff_t>32), found = 0, i
    cdef double limit = SKIP_DENSITY
    if layer.outputs < 64:
        limit = min(limit, SKIP_DENSITY_PER_OUTPUT * layer.outputs * min(job.batch, <ptrdiff_t>32) / 32)
    for i in range(sample):
        found += job.ops.count_nonzero(&job.input, i * job.data_rows // sample, layer.inputs)
    return sample >= 8 and found < limit * sample * layer.inputs


ONE_VS_REST = (FS_BINARY_CROSS_ENTROPY, FS_HINGE, FS_SQUARED_HINGE, FS_MODIFIED_HUBER)


cdef lay_out_target(Job* job, architecture, target, list kept):
    """Labels or targets of all rows."""
    cdef const int32_t[::1] labels
    cdef ptrdiff_t outputs = job.layers[job.depth - 1].outputs
    job.target.loss = LOSSES[architecture.loss]
    job.target.output = ACTIVATIONS[architecture.activations[job.depth - 1]]
    job.target.parameters = copy_of(architecture.loss_parameters, job, outputs, "loss_parameters", kept)
    require(len(target) == job.rows, "target and X differ in length")
    if target.ndim == 1:
        require(job.target.loss == FS_CROSS_ENTROPY or job.target.loss in ONE_VS_REST,
                f"{architecture.loss} takes no labels")
        labels = target
        check_range(labels, outputs, "labels")
        job.target.labels = &labels[0]
        job.smoothed = job.target.loss != FS_CROSS_ENTROPY      # labels become targets of 0 and 1, or -1 and 1
        job.smooth_keep = 1 if job.target.loss == FS_BINARY_CROSS_ENTROPY else 2
        job.smooth_share = 0 if job.target.loss == FS_BINARY_CROSS_ENTROPY else -1
    else:
        job.target.targets = floats(target, job, job.rows * outputs, "target", kept)


cdef ptrdiff_t blocks_of(Job* job) noexcept nogil:
    return (job.rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS


cdef int most_threads(Job* job) noexcept:
    """More than this would find nothing to do."""
    cdef ptrdiff_t most = blocks_of(job)
    cdef int l
    if job.mode >= GRADIENT:
        most = pieces_in(min(job.batch, <ptrdiff_t>FS_CHUNK_ROWS))
        for l in range(job.depth):
            most = max(most, pieces_in(job.layers[l].inputs))
    return <int>min(most, <ptrdiff_t>FS_MAX_TEAM)


cdef ptrdiff_t lay_out_workspace(Job* job, char* base, int threads) noexcept:
    """Points the job's buffers into the memory at base; returns the bytes they take. With NULL it only measures."""
    cdef ptrdiff_t item = job.ops.item, used = 0, rows = threads * FS_BLOCK_ROWS, accounts = blocks_of(job), r
    cdef fs_layer* layer
    cdef int l
    if job.mode >= GRADIENT:
        rows = accounts = job.block
    if job.mode >= COST:
        job.cost = <double*>take(base, &used, accounts * sizeof(double))
        job.score = <double*>take(base, &used, accounts * sizeof(double))
        job.labels = <int32_t*>take(base, &used, rows * sizeof(int32_t))
        job.targets = take(base, &used, rows * job.layers[job.depth - 1].outputs * item)
    if job.target.aggressive:
        job.row_squares = <double*>take(base, &used, rows * sizeof(double))
    if job.mode >= GRADIENT and job.sample_weight != NULL:
        job.weight = <double*>take(base, &used, rows * sizeof(double))
    if job.clip_norm:
        job.squares = <double*>take(base, &used, pieces_of(job) * sizeof(double))
    lay_out_rows(job, base, &used, rows)
    if job.mode == TRAIN and (job.batch > FS_CHUNK_ROWS or job.clip_norm):
        job.gradient = take(base, &used, job.parameters * item)
    for l in range(job.depth):
        layer = &job.layers[l]
        layer.x = <const void**>take(base, &used, rows * sizeof(void*))
        if job.mode >= DELTAS and (layer.activation in (FS_GELU, FS_SILU) or layer.drop):
            layer.slope = take(base, &used, rows * layer.ld * item)
        if job.mode >= DELTAS or job.mode == COST and l == job.depth - 1:
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
    for l in range(job.depth):
        layer = &job.layers[l]
        if layer.ldw != layer.outputs:
            layer.w_home, layer.w = layer.w, take(base, &used, layer.inputs * layer.ldw * item)
    if job.fold_steps:
        lay_out_linear(job, base, &used)
    return used


cdef void lay_out_rows(Job* job, char* base, ptrdiff_t* used, ptrdiff_t rows) noexcept:
    """What gather writes of the first layer's rows beside where they lie."""
    cdef fs_layer* layer = &job.layers[0]
    cdef fs_input* source = &job.input
    if job.lists:
        layer.x_index = <const int32_t**>take(base, used, rows * sizeof(void*))
        layer.x_count = <int32_t*>take(base, used, rows * sizeof(int32_t))
    if job.mode == TRAIN and job.order != NULL and not (job.lists or job.copies or layer.blas or job.fold_steps):
        layer.x_next = <const void**>take(base, used, rows * sizeof(void*))
    if job.skips:
        layer.x_bits = <const uint64_t**>take(base, used, rows * sizeof(void*))
        source.bits_ld = (layer.inputs + 63) // 64
        source.bits = <uint64_t*>take(base, used, rows * source.bits_ld * sizeof(uint64_t))
    if job.copies or layer.blas and job.order != NULL:
        source.copy_ld = layer.inputs + 64 // job.ops.item
        source.copy = take(base, used, rows * source.copy_ld * job.ops.item)


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
