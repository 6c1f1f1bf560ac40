# A network bound to a number of rows. Included by _kernel.pyx.

cdef class Predictor:
    """What ``Network.compile_predictor`` returns; told there."""

    cdef readonly ptrdiff_t rows, inputs, outputs
    cdef readonly int threads
    cdef int dtype
    cdef object architecture, params, input_dtype
    cdef list free                    # calls at once each have a Bound
    cdef FewRows few

    def __cinit__(self, architecture, params, ptrdiff_t rows, input_dtype, int threads):
        self.architecture, self.params, self.rows = architecture, params, rows
        self.inputs, self.outputs = architecture.sizes[0], architecture.sizes[len(architecture.sizes) - 1]
        self.input_dtype = numpy.dtype(input_dtype)
        self.dtype = self.input_dtype.num
        self.few = FewRows(architecture, params)
        self.threads = min(threads, <int>((rows + FS_BLOCK_ROWS - 1) // FS_BLOCK_ROWS))
        self.free = []
        self(numpy.zeros((rows, self.inputs), self.input_dtype))           # makes the first plan

    def __repr__(self):
        return (f"<predictor of ({self.rows}, {self.inputs}) {self.input_dtype} rows, {self.outputs} outputs, "
                f"{self.threads} thread{'s' * (self.threads > 1)}>")

    def __call__(self, X, out=None):
        cdef Bound bound
        cdef bint done
        if (type(X) is not numpy.ndarray or c_numpy.PyArray_NDIM(X) != 2 or c_numpy.PyArray_TYPE(X) != self.dtype
                or c_numpy.PyArray_DIM(X, 0) != self.rows or c_numpy.PyArray_DIM(X, 1) != self.inputs
                or not c_numpy.PyArray_ISCARRAY_RO(X)):
            raise ValueError(f"X must be a contiguous array of shape ({self.rows}, {self.inputs}) and dtype "
                             f"{self.input_dtype}, got {describe(X)}")
        result = self.few.answer(X, out) if self.rows <= FS_BLOCK_ROWS else None
        if result is not None:
            return result
        if out is None:
            out = numpy.empty((self.rows, self.outputs), self.params.dtype)
        elif (type(out) is not numpy.ndarray or out.shape != (self.rows, self.outputs) or out.dtype != self.params.dtype
                or not c_numpy.PyArray_ISCARRAY(out)):
            raise ValueError(f"out must be a contiguous, writeable array of shape ({self.rows}, {self.outputs}) and "
                             f"dtype {self.params.dtype}, got {describe(out)}")
        if numpy.may_share_memory(X, out):
            X = X.copy()
        bound = one_of(self.free)
        if bound is None:
            bound = Bound(self.architecture, self.params, self.rows, self.input_dtype, self.threads)
        done = bound.predict(X, out, self.threads)
        self.free.append(bound)
        if not done:
            check_codes(X, self.architecture.layers[0].categories)
            raise ValueError("X has a value that is not finite; NaN and infinity must be removed or filled first")
        return out


cdef describe(value):
    return f"{value.shape} and {value.dtype}" if isinstance(value, numpy.ndarray) else type(value).__name__
