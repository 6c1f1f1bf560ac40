# A few rows at once, where a call costs more than its arithmetic. Included by _kernel.pyx.

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
        lay_out_layers(&job, architecture, "native", None)
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
        return self.answer(X, out)

    cdef object answer(self, X, out):
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
            self.ops.forward(&layer, 0, n)
            for r in range(n):
                rows[r] = <char*>layer.a + r * layer.outputs * item
        memcpy(c_numpy.PyArray_DATA(result), layer.a, n * layer.outputs * item)
        return result
