# Predictions whose plan is made once: of a few rows, where a call costs more than its arithmetic, and of a fixed number of
# rows (_predictor.pxi). Included by _kernel.pyx.

cdef enum:
    FEW_ROWS = 16
    FEW_NUMBERS = 4096      # in a layer's activations, which live on the stack
    FEW_PRODUCTS = 1 << 20  # beyond, other threads are let in
    MANY_PRODUCTS = 1 << 26 # beyond, signals are let in


cdef class Bound:
    """A prediction of up to so many rows, laid out: the job of one call at a time."""

    cdef fs_job job
    cdef list kept
    cdef tuple poll_and_error
    cdef ptrdiff_t products           # of a row
    cdef uint64_t* bits               # of the rows, and where each row's are: for inputs with many zeros
    cdef const uint64_t** x_bits

    def __cinit__(self, architecture, params, ptrdiff_t rows, input_dtype, int threads):
        cdef unsigned char[::1] memory
        cdef char* base
        memset(&self.job, 0, sizeof(fs_job))
        self.job.mode = FS_PREDICT
        self.job.ops = fs_operations(params.itemsize == 8)
        table = layer_table(architecture)
        self.kept = [table]
        self.job.net.layers = <fs_layer*><char*>table
        bind_layers(&self.job, architecture, "auto", None, self.kept)
        self.job.net.params = floats(params, &self.job, self.job.net.parameters, "params", self.kept)
        bind_input(&self.job, architecture, numpy.empty((rows, architecture.sizes[0]), input_dtype), self.kept)
        memory = bytearray(fs_bind_workspace(&self.job, NULL, threads) + 64)
        self.kept.append(memory)
        base = <char*>&memory[0]
        fs_bind_workspace(&self.job, base + (63 & -<size_t>base), threads)
        self.bits, self.x_bits = self.job.data.input.bits, self.job.net.layers[0].x_bits
        self.poll_and_error, self.products = (check_signals, [None]), self.job.net.parameters
        self.job.control.team.forward_only = True

    cdef bint predict(self, c_numpy.ndarray x, c_numpy.ndarray out, int threads) except -1:
        """Whether x is finite, and the predictions of its contiguous rows were made."""
        cdef fs_job* job = &self.job
        cdef bint skips
        cdef list raised = self.poll_and_error[1]
        job.data.input.rows, job.data.input.ld = c_numpy.PyArray_DATA(x), c_numpy.PyArray_DIM(x, 1)
        job.data.rows = job.data.all_rows = job.step.batch = c_numpy.PyArray_DIM(x, 0)
        job.work.out = c_numpy.PyArray_DATA(out)
        if not job.data.input.bytes and not job.ops.all_finite(job.data.rows * job.data.input.ld, job.data.input.rows):
            return False
        job.result.invalid_row = False
        skips = job.data.skips and fs_skipping_pays(job)
        job.data.input.bits = self.bits if skips else NULL
        job.net.layers[0].x_bits = self.x_bits if skips else NULL
        if job.data.skips:
            fs_choose_kind(job, &job.net.layers[0], FS_DENSE_SKIPPING if skips else FS_DENSE)
        fs_measure_all(job, FS_OF_RUNNING, 0, 0, 1)
        job.control.next_block = 0
        job.control.poll, job.control.team.stop = NULL, False
        if job.data.rows > MANY_PRODUCTS // self.products:
            job.control.poll, job.control.last_poll = <void*>self.poll_and_error, fs_seconds()
            job.control.call_poll = call_poll
        with nogil:
            fs_run_adaptively(&job.control.team, threads, False, run, job)
        if job.control.team.stop:
            error, raised[0] = raised[0], None
            raise error
        return not job.result.invalid_row


cdef Bound one_of(list free):
    """One that no call has, or None. Each pop and append is whole, with Python's lock and without; a look before is not."""
    try:
        return free.pop()
    except IndexError:
        return None


cdef class FewRows:
    """``network.predict`` for a few rows of a plain array of the parameters' dtype or of bytes; None for all else.

    Any number of threads may call it at once.
    """

    cdef const fs_ops* ops
    cdef int depth, dtype
    cdef bint has_codes
    cdef bytearray table
    cdef object architecture, params
    cdef list kept                              # arrays that the table points into
    cdef ptrdiff_t max_rows, inputs, outputs
    cdef list free_floats, free_bytes           # calls at once each have a Bound

    def __cinit__(self, architecture, c_numpy.ndarray params):
        cdef fs_job job
        cdef ptrdiff_t widest = 0, products = 0
        cdef int l
        memset(&job, 0, sizeof(fs_job))
        job.mode = FS_PREDICT
        job.ops = self.ops = fs_operations(params.itemsize == 8)
        self.dtype = c_numpy.PyArray_TYPE(params)
        self.architecture, self.params = architecture, params
        self.free_floats, self.free_bytes = [], []
        self.table, self.kept = layer_table(architecture), []
        job.net.layers = <fs_layer*><char*>self.table
        bind_layers(&job, architecture, "native", None, self.kept)
        self.depth, self.has_codes = job.net.depth, bool(architecture.layers[0].categories)
        job.net.params = floats(params, &job, job.net.parameters, "params", self.kept)
        fs_bind_parameters(&job)
        for l in range(self.depth):
            job.net.layers[l].ld = job.net.layers[l].outputs
            widest = max(widest, job.net.layers[l].outputs)
            products += job.net.layers[l].inputs * job.net.layers[l].outputs
        self.inputs, self.outputs = job.net.layers[0].inputs, job.net.layers[self.depth - 1].outputs
        self.max_rows = min(<ptrdiff_t>FEW_ROWS, <ptrdiff_t>FEW_NUMBERS // widest, <ptrdiff_t>FEW_PRODUCTS // products)
        # of an add's two operands one would be lost on the stack, and figures of a norm are prepared for each call
        if architecture.scales_input or architecture.skips or architecture.normalises_batches:
            self.max_rows = 0

    def __call__(self, X, out):
        return self.answer(X, out)

    cdef object answer(self, X, out):
        cdef c_numpy.npy_intp[2] shape
        cdef c_numpy.ndarray x, result
        cdef int dtype
        if type(X) is not numpy.ndarray:
            return None
        x = X
        dtype = c_numpy.PyArray_TYPE(x)
        if (c_numpy.PyArray_NDIM(x) != 2 or dtype != self.dtype and dtype != c_numpy.NPY_UINT8
                or c_numpy.PyArray_DIM(x, 1) != self.inputs or not c_numpy.PyArray_ISCARRAY_RO(x)):
            return None
        shape[0], shape[1] = c_numpy.PyArray_DIM(x, 0), self.outputs
        if not 0 < shape[0] <= FS_BLOCK_ROWS:
            return None
        if out is None:
            result = c_numpy.PyArray_EMPTY(2, shape, self.dtype, 0)
        elif (type(out) is numpy.ndarray and c_numpy.PyArray_NDIM(out) == 2 and c_numpy.PyArray_TYPE(out) == self.dtype
                and c_numpy.PyArray_DIM(out, 0) == shape[0] and c_numpy.PyArray_DIM(out, 1) == shape[1]
                and c_numpy.PyArray_ISCARRAY(out)):
            result = out
        else:
            return None
        if shape[0] > self.max_rows or dtype != self.dtype:
            return result if self.with_memory(x, result, dtype != self.dtype) else None
        return result if self.on_the_stack(x, result, shape[0]) else None

    cdef bint on_the_stack(self, c_numpy.ndarray x, c_numpy.ndarray out, ptrdiff_t n) noexcept:
        """Nothing is allocated and nothing copied but the result; False where x is not finite."""
        cdef double[2 * FEW_NUMBERS] memory
        cdef const void* rows[FEW_ROWS]
        cdef fs_layer layer
        cdef ptrdiff_t r, item = self.ops.item
        cdef char* a = <char*>memory
        cdef int l
        cdef unsigned long floats
        if not self.ops.all_finite(n * self.inputs, c_numpy.PyArray_DATA(x)):
            return False
        if self.has_codes and not self.ops.codes_are_valid(<fs_layer*><char*>self.table, n, c_numpy.PyArray_DATA(x)):
            return False
        floats = fs_floats_flush()
        for r in range(n):
            rows[r] = <char*>c_numpy.PyArray_DATA(x) + r * self.inputs * item
        for l in range(self.depth):
            fs_copy_layer(&layer, <fs_layer*><char*>self.table + l)
            layer.x = rows
            layer.a = a + (l % 2) * FEW_NUMBERS * item
            layer.ops.forward(&layer, 0, n)
            for r in range(n):
                rows[r] = <char*>layer.a + r * layer.outputs * item
        fs_floats_restore(floats)
        memcpy(c_numpy.PyArray_DATA(out), layer.a, n * layer.outputs * item)
        return True

    cdef bint with_memory(self, c_numpy.ndarray x, c_numpy.ndarray out, bint bytes_) except -1:
        """The same for up to a block of rows, which one thread works on."""
        cdef list free = self.free_bytes if bytes_ else self.free_floats
        cdef Bound bound
        cdef bint done
        if numpy.may_share_memory(x, out):
            return False
        bound = one_of(free)
        if bound is None:
            bound = Bound(self.architecture, self.params, FS_BLOCK_ROWS, numpy.uint8 if bytes_ else self.params.dtype, 1)
        done = bound.predict(x, out, 1)
        free.append(bound)
        return done


ctypedef fused real:
    float
    double


cdef void add_up(real* total, const real* more, ptrdiff_t n) noexcept:
    cdef ptrdiff_t i
    for i in range(n):
        total[i] += more[i]


cdef void divide(real* total, real count, ptrdiff_t n) noexcept:
    cdef ptrdiff_t i
    for i in range(n):
        total[i] /= count


cdef class FewRowsOfMembers:
    """The same of members that share nothing: the mean of what each predicts."""

    cdef list each

    def __cinit__(self, architecture, params):
        self.each = [FewRows(architecture.member, own) for own in params.reshape(architecture.members, -1)]

    def __call__(self, X, out):
        cdef c_numpy.ndarray total, more
        cdef FewRows few = self.each[0]
        cdef ptrdiff_t i, n
        found = None if out is not None else few.answer(X, None)
        if found is None:
            return None
        total = found
        n = c_numpy.PyArray_SIZE(total)
        for i in range(1, len(self.each)):
            few = self.each[i]
            found = few.answer(X, None)
            if found is None:
                return None
            more = found
            if few.dtype == c_numpy.NPY_FLOAT32:
                add_up(<float*>c_numpy.PyArray_DATA(total), <float*>c_numpy.PyArray_DATA(more), n)
            else:
                add_up(<double*>c_numpy.PyArray_DATA(total), <double*>c_numpy.PyArray_DATA(more), n)
        if few.dtype == c_numpy.NPY_FLOAT32:
            divide(<float*>c_numpy.PyArray_DATA(total), <float>len(self.each), n)
        else:
            divide(<double*>c_numpy.PyArray_DATA(total), <double>len(self.each), n)
        return total
