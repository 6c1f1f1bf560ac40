# From Python's arrays to a job and back, with checks. Included by _kernel.pyx.
#
# What memory safety needs is checked here again, whoever calls; what a user did wrong, data/checks.py has already said.

cdef class Pass:
    """One pass over rows: arrays are bound to a job (csrc/job.h), the pass is planned and run, and its result is collected."""

    cdef fs_job job
    cdef list kept                    # arrays that the job points into
    cdef object target, error
    cdef bint on_blas
    cdef object X, categories         # where an error would be

    cdef fs_job* bind(self, int mode, architecture, params, X, backend, config=None) except NULL:
        """The network and the rows; for FS_TRAIN with all that makes a step."""
        cdef fs_job* job = &self.job
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
        self.kept = [layer_table(architecture)]
        self.on_blas = backend == "blas"
        self.X, self.categories = X, architecture.layers[0].categories
        job.mode = mode
        job.ops = fs_operations(params.itemsize == 8)
        job.net.layers = <fs_layer*><char*><bytearray>self.kept[0]
        job.step.flush_steps = flush_interval(architecture, X, config) if mode == FS_TRAIN else 0
        bind_layers(job, architecture, backend, config, self.kept)
        job.net.params = floats(params, job, job.net.parameters, "params", self.kept, mode == FS_TRAIN)
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
        cdef fs_job* job = &self.job
        if order is None:
            return
        require(order.shape[0] > 0, "order is empty")
        check_range(order, job.data.rows, "order")
        job.data.order, job.data.rows = &order[0], order.shape[0]
        self.kept.append(order)

    cdef int plan(self, int threads) except -1:
        """Decides how the pass is made and lays out its memory; returns how many threads it can use of so many."""
        cdef fs_job* job = &self.job
        cdef unsigned char[::1] memory
        cdef char* base
        cdef int team
        team = fs_plan(job, threads)
        workspace = numpy.empty(fs_bind_workspace(job, NULL, team) + 64, dtype=numpy.uint8)
        self.kept.append(workspace)
        memory = workspace
        base = <char*>&memory[0]
        fs_bind_workspace(job, base + (63 & -<size_t>base), team)
        return team

    cdef int prepare(self, int threads) except -1:
        """Plans the pass for at most so many threads; returns how many it can use."""
        cdef fs_job* job = &self.job
        cdef int team = self.plan(threads)
        fs_copy_padded(job, True)
        if job.mode != FS_TRAIN:
            fs_measure_all(job, FS_OF_RUNNING, 0, 0, 1)
        job.control.team.steps, job.control.team.forward_only = job.step.steps, job.mode <= FS_DELTAS
        return team

    cdef run(self, int threads, poll=None, bint adapts=False):
        """Plans the pass for at most so many threads, and makes it."""
        cdef fs_job* job = &self.job
        cdef tuple poll_and_error = (check_signals if poll is None else poll, [None])
        cdef int team = self.prepare(threads)
        job.control.poll, job.control.call_poll = <void*>poll_and_error, call_poll
        job.control.last_poll = fs_seconds()
        job.control.team.fixed = self.on_blas and not adapts
        with nogil:
            fs_run_adaptively(&job.control.team, team, adapts, run, job)
        fs_copy_padded(job, False)
        if job.mode in (FS_COST, FS_DELTAS):
            job.result.cost = fs_sum(fs_blocks_of(job), job.work.cost)
            job.result.score = fs_sum(fs_blocks_of(job), job.work.score)
        job.control.poll = NULL
        self.error = poll_and_error[1][0]

    cdef raise_errors(self):
        """What the poll raised, or rows that cannot be."""
        if self.error is not None:
            raise self.error
        if self.job.result.invalid_row:
            if self.target is not None and self.target.ndim == 1:
                check_range[int32_t](self.target, self.job.data.target.classes, "labels")
            check_codes(self.X, self.categories)
            raise ValueError("X has a column index out of range, rows outside the matrix, or columns that do not rise")


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


cdef void* floats(array, fs_job* job, ptrdiff_t count, name, list kept, bint written=False) except NULL:
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


cdef dtype_of(fs_job* job):
    return numpy.float64 if job.ops.item == sizeof(double) else numpy.float32


cdef void* copy_of(values, fs_job* job, ptrdiff_t count, name, list kept) except NULL:
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
    rule.matches_rms = getattr(optimizer, "scale", "") == "rms"
    rule.truncates_l1 = getattr(optimizer, "cumulative_l1", False)
    rule.beta_1 = getattr(optimizer, "beta_1", 0)
    rule.beta_2 = getattr(optimizer, "beta_2", getattr(optimizer, "rho", 0))
    rule.epsilon = getattr(optimizer, "epsilon", 0)
    rule.mu_decay = getattr(optimizer, "mu_decay", 0)
    rule.weight_decay = 0 if callable(optimizer.weight_decay) else optimizer.weight_decay
    rule.l1 = optimizer.l1
    rule.l2 = optimizer.l2
    rule.clip_value = optimizer.clip_value or 0
    rule.clip_factor = 1
    return rule


cdef bind_step(fs_job* job, config, state, params, const double[::1] learning_rates, list kept):
    """What is done with a gradient and around it, and what the run remembers."""
    cdef const double[::1] averaging, decays
    cdef double[::1] output_costs
    optimizer = config.optimizer
    cdef ptrdiff_t outputs = job.net.layers[job.net.depth - 1].outputs
    fs_count_steps(job)
    require(learning_rates.shape[0] >= job.step.steps, "learning_rates must have one value per step")
    job.step.learning_rates = &learning_rates[0]
    kept.append(learning_rates)
    job.step.average_is_weights = job.step.flush_steps != 0 and average_was_parameters(state, params, optimizer)
    job.step.rule = rule_of(optimizer)
    if callable(optimizer.weight_decay):
        decays = optimizer.weight_decays(state.steps, job.step.steps)
        kept.append(decays)
        job.step.weight_decays = &decays[0]
    bind_powers(job, optimizer, state.steps, kept)
    bind_dropout(job, config, state.steps, kept)
    job.step.alpha = optimizer.alpha
    job.step.steps_before = state.steps
    job.result.cost, job.result.score = state.cost, state.score
    job.result.carried.cumulative_l1, job.result.carried.mu_product = state.cumulative_l1, state.mu_product
    job.result.carried.weight_sum = state.weight_sum
    require(len(state.slots) == optimizer.slots and (state.average is not None) == optimizer.averages,
            "state does not fit the optimizer")
    for i, memory in enumerate(optimizer.memory(state)):
        require(i < FS_MAX_SLOTS, "an optimizer has too many slots")
        job.net.slots[i] = floats(memory, job, job.net.parameters, "state", kept, True)
    if optimizer.average is not None:
        job.net.average = floats(state.average, job, job.net.parameters, "state", kept, True)
        averaging = optimizer.averaging_weights(state.steps, job.step.steps)
        kept.append(averaging)
        job.step.averaging_weights = &averaging[0]
    job.step.clip_norm, job.step.max_norm = optimizer.clip_norm or 0, optimizer.max_norm or 0
    job.step.seed = config.seed
    job.step.weighted_steps = config.weighted_steps
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


cdef bind_powers(fs_job* job, optimizer, first_step, list kept):
    """What corrections of the bias are made of, at each step."""
    cdef int i
    cdef double[::1] powers
    cdef bint nadam = optimizer.kind == "nadamw"
    for i, name in enumerate(("mu_decay" if nadam else "beta_1", "beta_2")):
        if job.step.rule.kind in (FS_ADAM, FS_ADAMW, FS_NADAMW, FS_SCHEDULE_FREE_ADAMW, FS_MUON):
            powers = numpy.empty(job.step.steps + 1)
            kept.append(powers)
            job.ops.powers(getattr(optimizer, name), first_step + 1, job.step.steps + 1, &powers[0])
            job.step.powers[i] = &powers[0]


cdef bind_dropout(fs_job* job, config, first_step, list kept):
    """The rates of each layer at each step."""
    cdef int l
    for l in range(job.net.depth - 1):
        if job.net.layers[l].drops_units:
            drops = config.drops(job.net.layers[l].number, first_step, job.step.steps)
            if drops is not None:
                job.net.layers[l].drops = integers(drops, kept)


cdef bint average_was_parameters(state, params, optimizer) except -1:
    """Whether the last step of the pass before left the average equal to the parameters, as a pass that goes on knows."""
    return (state.average is not None and state.steps > 0
            and optimizer.averaging_weights(state.steps - 1, 1)[0] == 1 and numpy.array_equal(state.average, params))


cdef bind_layers(fs_job* job, architecture, backend, config, list kept):
    """What each layer is, and who computes its products."""
    cdef fs_layer* layer
    cdef int l
    require(backend != "blas" or fs_blas_config()[0] != 0, "no BLAS has been loaded")
    parts = engine_layers(architecture)
    job.net.depth = len(parts)
    copies = parts[len(parts) - 1].copies
    job.step.block_rows = FS_BLOCK_ROWS // copies
    job.step.chunk_rows = FS_CHUNK_ROWS if copies == 1 else FS_MEMBERS_ROWS // copies
    if architecture.normalises_batches and config is not None:
        job.step.chunk_rows = architecture.rows_together(config.batch_size)
    for l, part in enumerate(parts):
        layer = &job.net.layers[l]
        layer.inputs, layer.outputs, layer.copies, layer.number = part.inputs, part.outputs, part.copies, part.number
        layer.drops_units = part.has_units and l < job.net.depth - 1
        layer.activation = ACTIVATIONS[part.activation]
        fs_choose_kind(job, layer, KINDS[part.kind])
        bind_options(job, layer, architecture.layers[part.number], parts, kept)
        if backend == "blas":
            fs_choose_kind(job, layer, layer.ops.on_blas)
        if l == job.net.depth - 1 and job.mode >= FS_COST:
            layer.activation = FS_IDENTITY          # the cost takes z
    fs_pad_activations(job)
    while not parts[job.net.lowest].tensors:
        job.net.lowest += 1
    job.net.first_stage = fs_stage_of(job, 0)
    of_tensor = {f"{name}.{part.number}": l for l, part in enumerate(parts) for name in part.tensors}
    for tensor in architecture.tensors:
        add_tensor(job, of_tensor[tensor.name], tensor, architecture, None if config is None else config.optimizer)
    if job.mode == FS_PREDICT and architecture.scales_output:
        layer = &job.net.layers[job.net.depth - 1]
        scale, offset = architecture.unit_of_outputs
        layer.scale = copy_of(scale, job, layer.outputs, "output_scale", kept)
        layer.offset = copy_of(offset, job, layer.outputs, "output_offset", kept)


class EngineLayer(NamedTuple):
    """One of the parts that the engine has for a layer of an architecture: most layers have one."""

    number: int                       # of the layer
    kind: str
    inputs: int
    outputs: int
    activation: str
    copies: int                       # of each row of the batch
    has_units: bool                   # that dropout acts on
    tensors: tuple


def engine_layers(architecture):
    """All parts, in order."""
    found = []
    for number, layer in enumerate(architecture.layers):
        copies = architecture.members if number >= architecture.first_of_members else 1
        names = tuple(name for name, _ in layer.tensors)
        sizes = layer.inputs, layer.outputs
        if layer.kind != "adapted_dense":
            found.append(EngineLayer(number, layer.kind, *sizes, layer.activation, copies, True, names))
            continue
        found.append(EngineLayer(number, "scale", layer.inputs, *sizes[:1], "identity", copies, False, ("input_adapters",)))
        if layer.adapts_outputs:
            found.append(EngineLayer(number, "dense", *sizes, "identity", copies, False, ("weights",)))
            found.append(EngineLayer(number, "affine", layer.outputs, *sizes[1:], layer.activation, copies, True,
                                     ("output_adapters", "biases")))
        else:
            found.append(EngineLayer(number, "dense", *sizes, layer.activation, copies, True, ("weights", "biases")))
    return found


def layer_table(architecture):
    """Memory for its layers."""
    return bytearray(sizeof(fs_layer) * len(engine_layers(architecture)))


cdef bind_options(fs_job* job, fs_layer* layer, described, parts, list kept):
    """What layers of some kinds have besides."""
    cdef fs_layer* before
    cdef int first
    if layer.kind == FS_COLUMNS:
        layer.columns = columns_of(described, job, kept)
    elif layer.kind == FS_PARAMETRIC_ACTIVATION:
        layer.function = ACTIVATIONS[described.function]
    elif layer.kind == FS_LAYER_NORM:
        layer.epsilon = described.epsilon
    elif layer.kind == FS_BATCH_NORM:
        layer.epsilon, layer.momentum = described.epsilon, described.momentum
        layer.in_training = job.mode == FS_TRAIN
        job.net.meetings += 1
    elif layer.kind == FS_ADD:
        first = [part.number for part in parts].index(layer.number - described.layers)
        layer.start = &job.net.layers[first]
        require(layer.start < layer and layer.start.inputs == layer.inputs, "an add does not fit its block")
        if first > 0:
            before = &job.net.layers[first - 1]
            require(before.copies == layer.copies, "a block begins before members and ends behind")
            layer.next_add, before.add = before.add, layer


cdef add_tensor(fs_job* job, int l, described, architecture, optimizer):
    """The next tensor of a layer."""
    cdef fs_layer* layer = &job.net.layers[l]
    cdef fs_tensor* tensor = &layer.tensor[layer.tensors]
    shape = described.shape
    require(layer.tensors < FS_MAX_TENSORS, "a layer has too many tensors")
    tensor.role, tensor.offset = ROLES[described.role], described.offset
    tensor.cols = described.size // (1 if len(shape) == 1 else shape[0])
    if described.role == "weight":
        tensor.cols = shape[len(shape) - 1]
    tensor.rows = described.size // tensor.cols
    tensor.ld, tensor.unit = tensor.cols, 1
    if optimizer is not None:
        tensor.unit, tensor.rule = described.unit, OPTIMIZERS[optimizer.rule_of(described, architecture)]
        tensor.rate_factor, tensor.decay_factor, tensor.penalty_factor = optimizer.factors(described, architecture)
    layer.tensors += 1
    job.net.parameters += tensor.rows * tensor.cols


cdef bind_input(fs_job* job, architecture, X, list kept):
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
        require(layer.copies == 1, "members that share weights take no sparse rows")
        indptr, indices = X.indptr, X.indices
        require(indptr.shape[0] == job.data.rows + 1, "X is not a CSR matrix")
        source.indptr, source.entries = &indptr[0], indices.shape[0]
        if indices.shape[0]:
            source.indices = &indices[0]
            source.values = floats(X.values, job, indices.shape[0], "X", kept)
        job.data.lists = True
        fs_choose_kind(job, layer, layer.ops.on_lists)
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


cdef bind_plane(fs_job* job, along, factors, activation, list kept):
    """Rows are f(X + p Z_1 + q Z_2)."""
    cdef ptrdiff_t numbers = job.data.all_rows * job.net.layers[0].inputs
    cdef int i
    require(not (job.data.lists or job.data.input.bytes) and job.data.input.ld == job.net.layers[0].inputs, "Z must be contiguous numbers")
    for i in range(2):
        job.data.input.along[i] = floats(along[i], job, numbers, f"along[{i}]", kept)
        job.data.input.factor[i] = factors[i]
    job.data.input.activation = ACTIVATIONS[activation]
    job.data.copies, job.data.skips = True, False


cdef bind_target(fs_job* job, architecture, target, list kept):
    """Labels or targets of all rows."""
    cdef const int32_t[::1] labels
    cdef ptrdiff_t outputs = job.net.layers[job.net.depth - 1].outputs
    kind = architecture.loss_type.targets
    job.data.target.loss = LOSSES[architecture.loss]
    job.data.target.cols = outputs // architecture.loss_type.outputs_per_target
    job.data.target.output = ACTIVATIONS[architecture.layers[len(architecture.layers) - 1].activation]
    job.data.target.parameters = copy_of(architecture.loss_parameters, job, outputs, "loss_parameters", kept)
    require(len(target) == job.data.rows, "target and X differ in length")
    if target.ndim == 1:
        require(kind.classes or kind.one_vs_rest, f"{architecture.loss} takes no labels")
        labels = target
        job.data.target.labels = &labels[0]
        job.data.target.classes, job.data.target.in_order = architecture.targets, kind.in_order
        job.data.smoothed = kind.one_vs_rest or kind.in_order     # labels become targets of 0 and 1, or -1 and 1
        job.data.smooth_keep = 1 if job.data.target.loss == FS_BINARY_CROSS_ENTROPY else 2
        job.data.smooth_share = 0 if job.data.target.loss == FS_BINARY_CROSS_ENTROPY else -1
    else:
        require(kind.probabilities or not kind.classes, f"{architecture.loss} takes labels")
        job.data.target.targets = floats(target, job, job.data.rows * job.data.target.cols, "target", kept)


cdef enum:                            # of a step on the linear path (csrc/linear_path.c)
    LINEAR_ROWS_ONE = 16              # dense rows, more of which are quicker by the general path: with one output,
    LINEAR_ROWS_MANY = 2              # and with several
    WORK_OF_A_ROW = 64                # beside its terms, in terms
    WORK_BETWEEN_FLUSHES = 1 << 24
    WEIGHTS_FLUSHED = 4               # whose flush takes as long as one term


def flush_interval(architecture, X, config):
    """Between two steps after which a pass may pause; 0 where the linear path is not taken, which pauses anywhere.

    That is decided by what stays the same in a run that is interrupted and goes on, and by nothing else.
    """
    optimizer = config.optimizer
    truncates = getattr(optimizer, "cumulative_l1", False)
    if (len(architecture.layers) > 1 or architecture.ntk or optimizer.groups or callable(optimizer.weight_decay)
            or optimizer.kind not in ("sgd", "passive_aggressive") or getattr(optimizer, "momentum", 0) or optimizer.clip_norm or optimizer.clip_value
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
