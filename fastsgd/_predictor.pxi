# A network bound to a number of rows: the plan and the memory of a prediction, made once. Included by _kernel.pyx.

cdef class Bound:
    """One call's worth of memory, laid out."""

    cdef Job job
    cdef list kept
    cdef object workspace
    cdef uint64_t* bits               # of the rows, and where each row's are: for inputs with many zeros
    cdef const uint64_t** x_bits

    def __cinit__(self, architecture, params, X, int threads, backend):
        cdef unsigned char[::1] memory
        cdef char* base
        self.kept = []
        memset(&self.job, 0, sizeof(Job))
        self.job.mode = PREDICT
        self.job.ops = fs_operations(params.itemsize == 8)
        table = bytearray(sizeof(fs_layer) * (len(architecture.sizes) - 1))
        self.kept.append(table)
        self.job.layers = <fs_layer*><char*>table
        lay_out_layers(&self.job, architecture, backend, None)
        self.job.params = floats(params, &self.job, self.job.parameters, "params", self.kept)
        lay_out_input(&self.job, architecture, X, self.kept)
        self.workspace = numpy.empty(lay_out_workspace(&self.job, NULL, threads) + 64, dtype=numpy.uint8)
        memory = self.workspace
        base = <char*>&memory[0]
        lay_out_workspace(&self.job, base + (63 & -<size_t>base), threads)
        self.bits, self.x_bits = self.job.input.bits, self.job.layers[0].x_bits

    cdef void skip_zeros(self, bint wanted) noexcept:
        self.job.input.bits = self.bits if wanted else NULL
        self.job.layers[0].x_bits = self.x_bits if wanted else NULL


cdef class Predictor:
    """What ``Network.compile_predictor`` returns; told there."""

    cdef readonly ptrdiff_t rows, inputs, outputs
    cdef readonly int threads
    cdef int dtype
    cdef object architecture, params, input_dtype, dtype_of_result, backend
    cdef list free                    # calls at once each have their own; the lock of Python guards the list
    cdef FewRows few

    def __cinit__(self, architecture, params, ptrdiff_t rows, input_dtype, int threads, backend):
        self.architecture, self.params, self.rows, self.backend = architecture, params, rows, backend
        self.inputs, self.outputs = architecture.sizes[0], architecture.sizes[len(architecture.sizes) - 1]
        self.input_dtype, self.dtype_of_result = numpy.dtype(input_dtype), params.dtype
        self.dtype = self.input_dtype.num
        self.few = FewRows(architecture, params)
        self.free = []
        self.threads = min(threads, <int>((rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS))
        self.free.append(self.bound())

    cdef bound(self):
        return Bound(self.architecture, self.params, numpy.zeros((self.rows, self.inputs), self.input_dtype), self.threads,
                     self.backend)

    def __repr__(self):
        return (f"<predictor of ({self.rows}, {self.inputs}) {self.input_dtype} rows, {self.outputs} outputs, "
                f"{self.threads} thread{'s' * (self.threads > 1)}>")

    def __call__(self, X, out=None):
        cdef c_numpy.ndarray x, result
        cdef c_numpy.npy_intp[2] shape
        cdef Bound bound
        cdef Job* job
        if self.rows <= self.few.most_rows and type(X) is numpy.ndarray and (
                c_numpy.PyArray_NDIM(X) == 2 and c_numpy.PyArray_DIM(X, 0) == self.rows):
            few = self.few.answer(X, out)
            if few is not None:
                return few
        shape[0], shape[1] = self.rows, self.outputs
        if (type(X) is not numpy.ndarray or c_numpy.PyArray_NDIM(X) != 2 or c_numpy.PyArray_TYPE(X) != self.dtype
                or c_numpy.PyArray_DIM(X, 0) != self.rows or c_numpy.PyArray_DIM(X, 1) != self.inputs
                or not c_numpy.PyArray_ISCARRAY_RO(X)):
            raise ValueError(f"X must be a contiguous array of shape ({self.rows}, {self.inputs}) and dtype "
                             f"{self.input_dtype}, got {describe(X)}")
        if out is None:
            result = c_numpy.PyArray_EMPTY(2, shape, self.dtype_of_result.num, 0)
        else:
            if (type(out) is not numpy.ndarray or out.shape != (self.rows, self.outputs) or out.dtype != self.dtype_of_result
                    or not c_numpy.PyArray_ISCARRAY(out)):
                raise ValueError(f"out must be a contiguous, writeable array of shape ({self.rows}, {self.outputs}) and "
                                 f"dtype {self.dtype_of_result}, got {describe(out)}")
            result = out
        x = X
        bound = self.free.pop() if self.free else self.bound()
        job = &bound.job
        job.input.rows = c_numpy.PyArray_DATA(x)
        job.input.ld = self.inputs
        if not job.input.bytes and not job.ops.all_finite(self.rows * self.inputs, job.input.rows):
            self.free.append(bound)
            raise ValueError("X has a value that is not finite; NaN and infinity must be removed or filled first")
        job.out = c_numpy.PyArray_DATA(result)
        bound.skip_zeros(job.skips and skipping_pays(job))
        with nogil:
            fs_team_run(self.threads, run, job)
        self.free.append(bound)
        return result


cdef describe(value):
    return f"{value.shape} and {value.dtype}" if isinstance(value, numpy.ndarray) else type(value).__name__
