# From Python to a Job and back: checks, the plan, and the workspace. Included by _kernel.pyx.
#
# What memory safety needs is checked here again, whoever calls; what a user did wrong, data/checks.py has already said.

cdef class Pass:
    """One pass over rows: arrays are bound to a Job, the pass is planned and run, and its result is collected."""

    cdef Job job
    cdef list kept                    # arrays that the job points into
    cdef object target, error

    cdef Job* bind(self, Mode mode, architecture, params, X, backend, config=None) except NULL:
        """The network and the rows; for TRAIN with all that makes a step."""
        cdef Job* job = &self.job
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
        self.kept = [bytearray(sizeof(fs_layer) * len(architecture.layers))]
        job.mode = mode
        job.ops = fs_operations(params.itemsize == 8)
        job.net.layers = <fs_layer*><char*><bytearray>self.kept[0]
        job.step.flush_steps = flush_interval(architecture, X, config) if mode == TRAIN else 0
        bind_layers(job, architecture, backend, config, self.kept)
        job.net.params = floats(params, job, job.net.parameters, "params", self.kept, mode == TRAIN)
        bind_input(job, architecture, X, self.kept)
        job.step.batch = job.data.rows
        if config is not None:
            require(config.batch_size > 0, "batch_size must be positive")
            job.step.batch = config.batch_size
        return job

    cdef bind_targets(self, architecture, target, const double[::1] sample_weight=None):
        """Those of all rows, and their weights."""
        self.target = target
        bind_target(&self.job, architecture, target, self.kept)
        if sample_weight is not None:
            require(sample_weight.shape[0] == self.job.data.all_rows, "sample_weight and X differ in length")
            self.job.data.sample_weight = &sample_weight[0]
            self.kept.append(sample_weight)

    cdef choose(self, const int64_t[::1] order):
        """Only the rows of these numbers, in this order."""
        cdef Job* job = &self.job
        if order is None:
            return
        require(order.shape[0] > 0, "order is empty")
        check_range(order, job.data.rows, "order")
        job.data.order, job.data.rows = &order[0], order.shape[0]
        self.kept.append(order)

    cdef run(self, int threads, poll=None, bint adapts=False):
        """Plans the pass for at most so many threads, and makes it."""
        cdef Job* job = &self.job
        cdef tuple poll_and_error = (check_signals if poll is None else poll, [None])
        cdef unsigned char[::1] memory
        cdef char* base
        cdef int team
        count_steps(job)
        job.control.poll_and_error = <void*>poll_and_error
        job.control.last_poll = fs_seconds()
        if job.mode == TRAIN and job.step.steps >= COPYING_STEPS and job.net.average == NULL and not job.step.flush_steps:
            pad_weight_rows(job)
        job.step.block = min(job.step.batch, <ptrdiff_t>FS_CHUNK_ROWS)
        if job.step.flush_steps:
            job.step.block = job.step.batch * max(1, LINEAR_BLOCK // job.step.batch)
        team = 1 if job.step.flush_steps else min(max(1, threads), <int>FS_MAX_TEAM, max_threads_of(job))
        # On the linear path each row decides for itself: its sums depend on it, and must not on what else is in X.
        job.data.skips = job.data.skips and (job.net.layers[0].outputs > 1 if job.step.flush_steps else skipping_pays(job))
        workspace = numpy.empty(bind_workspace(job, NULL, team) + 64, dtype=numpy.uint8)
        memory = workspace
        base = <char*>&memory[0]
        bind_workspace(job, base + (63 & -<size_t>base), team)

        copy_padded(job, True)
        job.control.trial.wanted = adapts and team > 1 and job.step.steps >= TRIED_STEPS
        begin_trial(&job.control.trial)
        with nogil:
            run_adaptively(job, team)
        copy_padded(job, False)

        if job.mode in (COST, DELTAS):
            job.result.cost = fs_sum(blocks_of(job), job.work.cost)
            job.result.score = fs_sum(blocks_of(job), job.work.score)
        job.control.poll_and_error = NULL
        self.error = poll_and_error[1][0]

    cdef raise_errors(self):
        """What the poll raised, or rows that cannot be."""
        if self.error is not None:
            raise self.error
        if self.job.result.invalid_row:
            if self.target is not None and self.target.ndim == 1:
                check_range[int32_t](self.target, self.job.net.layers[self.job.net.depth - 1].outputs, "labels")
            raise ValueError("X has a column index out of range, rows outside the matrix, or columns that do not rise")


cdef void count_steps(Job* job) noexcept:
    """Of the rows that were chosen, in batches that are not longer than all of them."""
    job.step.batch = min(job.step.batch, job.data.rows)
    job.step.steps = (job.data.rows + job.step.batch - 1) // job.step.batch


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
    rule.beta_1 = getattr(optimizer, "beta_1", 0)
    rule.beta_2 = getattr(optimizer, "beta_2", getattr(optimizer, "rho", 0))
    rule.epsilon = getattr(optimizer, "epsilon", 0)
    rule.weight_decay = optimizer.weight_decay
    rule.l1 = optimizer.l1
    rule.l2 = optimizer.l2
    rule.clip_value = optimizer.clip_value or 0
    rule.clip_factor = 1
    return rule


cdef bind_step(Job* job, config, state, params, const double[::1] learning_rates, list kept):
    """What is done with a gradient and around it, and what the run remembers."""
    cdef const double[::1] averaging
    cdef double[::1] output_costs
    optimizer = config.optimizer
    cdef ptrdiff_t outputs = job.net.layers[job.net.depth - 1].outputs
    count_steps(job)
    require(learning_rates.shape[0] >= job.step.steps, "learning_rates must have one value per step")
    job.step.learning_rates = &learning_rates[0]
    kept.append(learning_rates)
    job.step.average_is_weights = job.step.flush_steps != 0 and average_was_parameters(state, params, optimizer)
    job.step.rule = rule_of(optimizer)
    job.step.alpha = optimizer.alpha
    job.step.steps_before = state.steps
    job.result.cost, job.result.score = state.cost, state.score
    require(len(state.slots) == optimizer.slots and (state.average is None) == (optimizer.average is None),
            "state does not fit the optimizer")
    for i in range(len(state.slots)):
        job.net.slots[i] = floats(state.slots[i], job, job.net.parameters, "state", kept, True)
    if state.average is not None:
        job.net.average = floats(state.average, job, job.net.parameters, "state", kept, True)
        averaging = optimizer.averaging_weights(state.steps, job.step.steps)
        kept.append(averaging)
        job.step.averaging_weights = &averaging[0]
    job.step.clip_norm, job.step.max_norm = optimizer.clip_norm or 0, optimizer.max_norm or 0
    job.step.seed = config.seed
    job.step.weighted_steps = config.weighted_steps
    job.step.cumulative_l1 = state.cumulative_l1
    if config.label_smoothing > 0:
        job.data.smoothed = True
        job.data.smooth_keep = 1 - config.label_smoothing
        job.data.smooth_share = config.label_smoothing / max(outputs if job.data.target.loss == FS_CROSS_ENTROPY else 2, 2)
    job.data.target.clip_delta = optimizer.clip_delta or 0
    if state.output_costs is not None:
        require(state.output_costs.shape == (outputs,), "state.output_costs must have one number per output")
        if job.step.flush_steps:
            output_costs = state.output_costs
            job.data.target.output_costs = &output_costs[0]
        else:
            state.output_costs[:] = numpy.nan
    if config.positive_weight:
        require(job.data.target.labels != NULL and job.data.target.loss != FS_CROSS_ENTROPY,
                "class_weight for outputs that tell a class from the rest needs y to be class labels")
        job.data.target.positive_weight = copy_of(config.positive_weight, job, outputs, "positive_weight", kept)
    if job.step.rule.kind == FS_PASSIVE_AGGRESSIVE:
        require(job.net.depth == 1 and job.data.target.loss in (FS_HINGE, FS_EPSILON_INSENSITIVE),
                "passive-aggressive steps are for hinge and epsilon_insensitive without a hidden layer")
        job.data.target.aggressive, job.data.target.squared = True, optimizer.squared


cdef bint average_was_parameters(state, params, optimizer) except -1:
    """Whether the last step of the pass before left the average equal to the parameters, as a pass that goes on knows."""
    return (state.average is not None and state.steps > 0
            and optimizer.averaging_weights(state.steps - 1, 1)[0] == 1 and numpy.array_equal(state.average, params))


cdef bind_layers(Job* job, architecture, backend, config, list kept):
    """What each layer is, and who computes its products: BLAS, for "auto", where it is measurably faster."""
    cdef fs_layer* layer
    cdef int l
    cdef bint slower = fs_isa_name() in (b"avx2", b"sse2")       # than OpenBLAS in very wide layers, bench.backends says
    require(backend != "blas" or fs_blas_config()[0] != 0, "no BLAS has been loaded")
    job.net.depth = len(architecture.layers)
    for l, described in enumerate(architecture.layers):
        layer = &job.net.layers[l]
        layer.inputs, layer.outputs = described.inputs, described.outputs
        layer.number = l
        if config is not None and l < job.net.depth - 1:
            layer.drop = config.drop(l)
        layer.activation = ACTIVATIONS[described.activation]
        choose_kind(job, layer, KINDS[described.kind])
        if backend == "blas" or (backend == "auto" and slower and layer.inputs >= BLAS_WIDTH
                                 and layer.outputs >= BLAS_WIDTH and fs_blas_config()[0] != 0 and not job.step.flush_steps):
            choose_kind(job, layer, layer.ops.on_blas)
        layer.ld = layer.outputs
        if l == job.net.depth - 1 and job.mode >= COST:
            layer.activation = FS_IDENTITY          # the cost takes z
        if l < job.net.depth - 1 and layer.outputs * job.ops.item >= WIDE_ROW:
            layer.ld = (layer.outputs * job.ops.item + 63) // 64 * 64 // job.ops.item      # rows begin at cache lines
        if l < job.net.depth - 1 and layer.ld * job.ops.item % 512 == 0:
            layer.ld += 64 // job.ops.item          # or a column's entries would meet in a few sets of the cache
    for tensor in architecture.tensors:
        add_tensor(job, tensor, None if config is None else config.optimizer.factors(
            tensor, architecture.layers[tensor.layer]))
    if job.mode == PREDICT and architecture.scales_output:
        layer = &job.net.layers[job.net.depth - 1]
        layer.scale = copy_of(architecture.output_scale, job, layer.outputs, "output_scale", kept)
        layer.offset = copy_of(architecture.output_offset, job, layer.outputs, "output_offset", kept)


cdef void choose_kind(Job* job, fs_layer* layer, int kind) noexcept nogil:
    layer.kind, layer.ops = kind, &job.ops.layers[kind]


cdef add_tensor(Job* job, described, factors):
    """The next tensor of its layer."""
    cdef fs_layer* layer = &job.net.layers[described.layer]
    cdef fs_tensor* tensor = &layer.tensor[layer.tensors]
    shape = described.shape
    require(layer.tensors < FS_MAX_TENSORS, "a layer has too many tensors")
    tensor.role, tensor.offset = ROLES[described.role], described.offset
    tensor.rows, tensor.cols = (1, shape[0]) if len(shape) == 1 else shape
    tensor.ld = tensor.cols
    if factors is not None:
        tensor.rate_factor, tensor.decay_factor, tensor.penalty_factor = factors
    layer.tensors += 1
    job.net.parameters += tensor.rows * tensor.cols


cdef void pad_weight_rows(Job* job) noexcept:
    """Lets the step work on copies of W whose rows begin at cache lines, where those of the parameters do not."""
    cdef ptrdiff_t item = job.ops.item, line = 64 // item
    cdef fs_tensor* tensor
    cdef int l, t
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            tensor = &job.net.layers[l].tensor[t]
            if tensor.rows > 1 and tensor.cols * item >= WIDE_ROW and job.net.layers[l].kind != FS_DENSE_BLAS:
                tensor.ld = (tensor.cols + line - 1) // line * line


cdef void copy_padded(Job* job, bint there) noexcept nogil:
    """Between the parameters and the padded copies of them, there or back."""
    cdef ptrdiff_t i, size, apart
    cdef fs_tensor* tensor
    cdef char* home
    cdef char* copy
    cdef int l, t
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            tensor = &job.net.layers[l].tensor[t]
            if tensor.home == NULL:
                continue
            size, apart = tensor.cols * job.ops.item, tensor.ld * job.ops.item
            home, copy = <char*>tensor.home, <char*>tensor.value
            for i in range(tensor.rows):
                if there:
                    memcpy(copy + i * apart, home + i * size, size)
                else:
                    memcpy(home + i * size, copy + i * apart, size)


cdef bind_input(Job* job, architecture, X, list kept):
    """Where the rows lie, and whether their zeros are worth skipping."""
    cdef fs_layer* layer = &job.net.layers[0]
    cdef fs_input* source = &job.data.input
    cdef const int64_t[::1] indptr
    cdef const int32_t[::1] indices
    cdef Py_buffer view
    cdef ptrdiff_t item
    dtype = dtype_of(job)
    require(X.shape[1] == layer.inputs and X.shape[0] > 0, "X does not fit the architecture")
    job.data.rows = job.data.all_rows = X.shape[0]
    if hasattr(X, "indptr"):
        indptr, indices = X.indptr, X.indices
        require(indptr.shape[0] == job.data.rows + 1, "X is not a CSR matrix")
        source.indptr, source.entries = &indptr[0], indices.shape[0]
        if indices.shape[0]:
            source.indices = &indices[0]
            source.values = floats(X.values, job, indices.shape[0], "X", kept)
        job.data.lists = True
        choose_kind(job, layer, layer.ops.on_lists)
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
    job.data.copies = source.bytes or source.scale != NULL
    job.data.skips = layer.ops.on_bits != layer.kind and not any(architecture.input_offset)


cdef bind_plane(Job* job, along, factors, activation, list kept):
    """Rows are f(X + p Z_1 + q Z_2)."""
    cdef ptrdiff_t numbers = job.data.all_rows * job.net.layers[0].inputs
    cdef int i
    require(not (job.data.lists or job.data.input.bytes) and job.data.input.ld == job.net.layers[0].inputs, "Z must be contiguous numbers")
    for i in range(2):
        job.data.input.along[i] = floats(along[i], job, numbers, f"along[{i}]", kept)
        job.data.input.factor[i] = factors[i]
    job.data.input.activation = ACTIVATIONS[activation]
    job.data.copies, job.data.skips = True, False


cdef bint skipping_pays(Job* job) noexcept:
    """Whether so much of a few rows is zero that leaving it out saves more than finding it costs."""
    cdef fs_layer* layer = &job.net.layers[0]
    cdef ptrdiff_t sample = min(job.data.all_rows, <ptrdiff_t>32), found = 0, i
    cdef double limit = SKIP_DENSITY
    if layer.outputs < 64:
        limit = min(limit, SKIP_DENSITY_PER_OUTPUT * layer.outputs * min(job.step.batch, <ptrdiff_t>32) / 32)
    for i in range(sample):
        found += job.ops.count_nonzero(&job.data.input, i * job.data.all_rows // sample, layer.inputs)
    return sample >= 8 and found < limit * sample * layer.inputs


ONE_VS_REST = (FS_BINARY_CROSS_ENTROPY, FS_HINGE, FS_SQUARED_HINGE, FS_MODIFIED_HUBER)


cdef bind_target(Job* job, architecture, target, list kept):
    """Labels or targets of all rows."""
    cdef const int32_t[::1] labels
    cdef ptrdiff_t outputs = job.net.layers[job.net.depth - 1].outputs
    job.data.target.loss = LOSSES[architecture.loss]
    job.data.target.output = ACTIVATIONS[architecture.activations[job.net.depth - 1]]
    job.data.target.parameters = copy_of(architecture.loss_parameters, job, outputs, "loss_parameters", kept)
    require(len(target) == job.data.rows, "target and X differ in length")
    if target.ndim == 1:
        require(job.data.target.loss == FS_CROSS_ENTROPY or job.data.target.loss in ONE_VS_REST,
                f"{architecture.loss} takes no labels")
        labels = target
        job.data.target.labels = &labels[0]
        job.data.smoothed = job.data.target.loss != FS_CROSS_ENTROPY      # labels become targets of 0 and 1, or -1 and 1
        job.data.smooth_keep = 1 if job.data.target.loss == FS_BINARY_CROSS_ENTROPY else 2
        job.data.smooth_share = 0 if job.data.target.loss == FS_BINARY_CROSS_ENTROPY else -1
    else:
        job.data.target.targets = floats(target, job, job.data.rows * outputs, "target", kept)


cdef ptrdiff_t blocks_of(Job* job) noexcept nogil:
    return (job.data.rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS


cdef int max_threads_of(Job* job) noexcept:
    """More than this would find nothing to do."""
    cdef ptrdiff_t most = blocks_of(job)
    cdef int l
    if job.mode >= GRADIENT:
        most = pieces_in(min(job.step.batch, <ptrdiff_t>FS_CHUNK_ROWS))
        for l in range(job.net.depth):
            most = max(most, pieces_in(job.net.layers[l].inputs))
    return <int>min(most, <ptrdiff_t>FS_MAX_TEAM)


cdef ptrdiff_t bind_workspace(Job* job, char* base, int threads) noexcept:
    """Points the job's buffers into the memory at base; returns the bytes they take. With NULL it only measures."""
    cdef ptrdiff_t item = job.ops.item, used = 0, rows = threads * FS_BLOCK_ROWS, accounts = blocks_of(job), r
    cdef fs_layer* layer
    cdef fs_tensor* tensor
    cdef int l, t
    if job.mode >= GRADIENT:
        rows = accounts = job.step.block
    if job.mode >= COST:
        job.work.cost = <double*>arena_alloc(base, &used, accounts * sizeof(double))
        job.work.score = <double*>arena_alloc(base, &used, accounts * sizeof(double))
        job.work.labels = <int32_t*>arena_alloc(base, &used, rows * sizeof(int32_t))
        job.work.targets = arena_alloc(base, &used, rows * job.net.layers[job.net.depth - 1].outputs * item)
    if job.data.target.aggressive:
        job.work.row_squares = <double*>arena_alloc(base, &used, rows * sizeof(double))
    if job.mode >= GRADIENT and job.data.sample_weight != NULL:
        job.work.weight = <double*>arena_alloc(base, &used, rows * sizeof(double))
    if job.step.clip_norm:
        job.work.squares = <double*>arena_alloc(base, &used, pieces_of(job) * sizeof(double))
    bind_rows(job, base, &used, rows)
    if job.mode == TRAIN and (job.step.batch > FS_CHUNK_ROWS or job.step.clip_norm):
        job.net.gradient = arena_alloc(base, &used, job.net.parameters * item)
    for l in range(job.net.depth):
        layer = &job.net.layers[l]
        layer.x = <const void**>arena_alloc(base, &used, rows * sizeof(void*))
        if job.mode >= DELTAS and (layer.activation in (FS_GELU, FS_SILU) or layer.drop):
            layer.slope = arena_alloc(base, &used, rows * layer.ld * item)
        if job.mode >= DELTAS or job.mode == COST and l == job.net.depth - 1:
            layer.delta = arena_alloc(base, &used, rows * layer.ld * item)
        if l < job.net.depth - 1:
            layer.a = arena_alloc(base, &used, rows * layer.ld * item)
        else:
            layer.a = layer.delta
        if l > 0 and base != NULL:
            for r in range(rows):
                layer.x[r] = <char*>job.net.layers[l - 1].a + r * job.net.layers[l - 1].ld * item
        job.work.scratch_size = max(job.work.scratch_size, (layer.ops.scratch(layer) * item + 127) // 64 * 64)
    job.work.scratch = <char*>arena_alloc(base, &used, threads * job.work.scratch_size)
    bind_parameters(job)
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            tensor = &job.net.layers[l].tensor[t]
            if tensor.ld != tensor.cols:
                tensor.home, tensor.value = tensor.value, arena_alloc(base, &used, tensor.rows * tensor.ld * item)
    if job.step.flush_steps:
        bind_linear(job, base, &used)
    return used


cdef void bind_rows(Job* job, char* base, ptrdiff_t* used, ptrdiff_t rows) noexcept:
    """What gather writes of the first layer's rows beside where they lie."""
    cdef fs_layer* layer = &job.net.layers[0]
    cdef fs_input* source = &job.data.input
    if job.data.lists:
        layer.x_index = <const int32_t**>arena_alloc(base, used, rows * sizeof(void*))
        layer.x_count = <int32_t*>arena_alloc(base, used, rows * sizeof(int32_t))
    if job.mode == TRAIN and job.data.order != NULL and not (job.data.lists or job.data.copies or layer.kind == FS_DENSE_BLAS or job.step.flush_steps):
        layer.x_next = <const void**>arena_alloc(base, used, rows * sizeof(void*))
    if job.data.skips:
        choose_kind(job, layer, layer.ops.on_bits)
        layer.x_bits = <const uint64_t**>arena_alloc(base, used, rows * sizeof(void*))
        source.bits_ld = (layer.inputs + 63) // 64
        source.bits = <uint64_t*>arena_alloc(base, used, rows * source.bits_ld * sizeof(uint64_t))
    if job.data.copies or layer.kind == FS_DENSE_BLAS and job.data.order != NULL:
        source.copy_ld = layer.inputs + 64 // job.ops.item
        source.copy = arena_alloc(base, used, rows * source.copy_ld * job.ops.item)


cdef void bind_parameters(Job* job) noexcept:
    """Each tensor within the flat parameters, and its parts of the arrays laid out like these."""
    cdef fs_tensor* tensor
    cdef ptrdiff_t at
    cdef int l, t, s
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            tensor = &job.net.layers[l].tensor[t]
            at = tensor.offset * job.ops.item
            tensor.value, tensor.gradient = within(job.net.params, at), within(job.net.gradient, at)
            for s in range(2):
                tensor.slots[s] = within(job.net.slots[s], at)


cdef void* within(void* base, ptrdiff_t offset) noexcept:
    return <char*>base + offset if base != NULL else NULL


cdef void* arena_alloc(char* base, ptrdiff_t* used, ptrdiff_t size) noexcept:
    cdef ptrdiff_t at = used[0]
    used[0] += (size + 63) // 64 * 64
    return base + at if base != NULL else NULL
