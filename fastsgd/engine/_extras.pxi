# What only some runs ask for: weights of rows, and the length of a whole gradient. Included by _kernel.pyx.

cdef void square_gradient(Job* job, int rank, int size) noexcept nogil:
    """The squares of this thread's part of the gradient; each piece has its own sum, whoever makes it."""
    cdef double* squares = job.work.squares
    cdef const fs_tensor* tensor
    cdef Part part
    cdef ptrdiff_t piece, row
    cdef int l, t
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            tensor = &job.net.layers[l].tensor[t]
            part = part_of(tensor, l, rank, size)
            for piece in range(part.first // SHARED_ROWS, pieces_in(part.first + part.rows)):
                row = piece * SHARED_ROWS
                squares[piece] = job.ops.sum_of_squares(
                    min(<ptrdiff_t>SHARED_ROWS, tensor.rows - row) * tensor.cols,
                    <char*>tensor.gradient + row * tensor.cols * job.ops.item)
            squares += pieces_in(tensor.rows)


cdef ptrdiff_t pieces_of(Job* job) noexcept nogil:
    """All pieces of the parameters that have a sum of their own."""
    cdef ptrdiff_t pieces = 0
    cdef int l, t
    for l in range(job.net.depth):
        for t in range(job.net.layers[l].tensors):
            pieces += pieces_in(job.net.layers[l].tensor[t].rows)
    return pieces


cdef double weight_of(Job* job, ptrdiff_t first, ptrdiff_t rows) noexcept nogil:
    """The sum of the weights of so many rows of the epoch."""
    cdef double total = 0
    cdef ptrdiff_t i
    if job.data.sample_weight == NULL:
        return <double>rows
    for i in range(first, first + rows):
        total += job.data.sample_weight[job.data.order[i] if job.data.order != NULL else i]
    return total


cdef void apply_sample_weight(Job* job, ptrdiff_t first, ptrdiff_t n, ptrdiff_t begin) noexcept nogil:
    """Costs, scores and output deltas of rows begin .. begin + n of the workspace times their weights."""
    cdef fs_layer* output = &job.net.layers[job.net.depth - 1]
    cdef ptrdiff_t i
    for i in range(n):
        job.work.weight[begin + i] = job.data.sample_weight[job.data.order[first + i] if job.data.order != NULL else first + i]
    weight_costs(job, first, n, job.work.cost + begin, job.work.score + begin)
    job.ops.apply_sample_weight(n, output.outputs, output.ld, job.work.weight + begin,
                  <char*>output.delta + begin * output.ld * job.ops.item)


cdef void weight_costs(Job* job, ptrdiff_t first, ptrdiff_t n, double* cost, double* score) noexcept nogil:
    cdef double weight
    cdef ptrdiff_t i
    for i in range(n):
        weight = job.data.sample_weight[job.data.order[first + i] if job.data.order != NULL else first + i]
        cost[i] = weight * cost[i] if weight else 0     # 0 times an infinite cost is 0 here
        score[i] = weight * score[i] if weight else 0
