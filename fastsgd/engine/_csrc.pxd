# What csrc/fastsgd.h declares; the meaning of each name is told there.
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "csrc/fastsgd.h" nogil:
    enum:
        FS_IDENTITY, FS_LOGISTIC, FS_TANH, FS_RELU, FS_LEAKY_RELU, FS_ELU, FS_GELU, FS_SILU, FS_SOFTPLUS
        FS_SOFTMAX, FS_EXP
        FS_CROSS_ENTROPY, FS_BINARY_CROSS_ENTROPY, FS_SQUARED_ERROR, FS_ABSOLUTE_ERROR, FS_HUBER, FS_QUANTILE
        FS_POISSON, FS_HINGE, FS_SQUARED_HINGE, FS_MODIFIED_HUBER, FS_EPSILON_INSENSITIVE, FS_SQUARED_EPSILON_INSENSITIVE
        FS_SGD, FS_ADAM, FS_ADAMW, FS_RMSPROP, FS_ADAGRAD, FS_PASSIVE_AGGRESSIVE
        FS_MAX_TEAM, FS_BLOCK_ROWS, FS_CHUNK_ROWS

    ctypedef struct fs_target:
        int loss, output
        const void* parameters
        const int32_t* labels
        const void* targets
        double* output_costs
        double clip_delta
        const void* positive_weight
        int aggressive, squared
        double rate
        const double* squares

    ctypedef struct fs_rule:
        int kind, nesterov, truncate
        double learning_rate, momentum, beta_1, beta_2, epsilon, weight_decay, l1, l2, correction_1, correction_2
        double cumulative_l1
        double clip_value, clip_factor

    ctypedef struct fs_input:
        const void* rows
        ptrdiff_t ld
        int bytes
        const void* scale
        const void* offset
        const int64_t* indptr
        ptrdiff_t entries
        const int32_t* indices
        const void* values
        const void* along[2]
        double factor[2]
        int activation
        void* copy
        ptrdiff_t copy_ld
        uint64_t* bits
        ptrdiff_t bits_ld

    enum:
        FS_WEIGHT, FS_BIAS, FS_SCALE_FACTOR

    ctypedef struct fs_tensor:
        int role
        ptrdiff_t rows, cols, offset
        void* value
        ptrdiff_t ld
        void* home
        void* slots[2]
        void* gradient
        double rate_factor, decay_factor, penalty_factor

    enum:
        FS_DENSE, FS_DENSE_BLAS, FS_DENSE_SKIPPING, FS_DENSE_CSR, FS_SCALE
        FS_W, FS_B, FS_MAX_TENSORS

    ctypedef struct fs_layer

    ctypedef struct fs_layer_ops:
        void (*forward)(const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n) noexcept nogil
        void (*backward)(const fs_layer* layer, const fs_layer* below, ptrdiff_t begin, ptrdiff_t n,
                         void* scratch) noexcept nogil
        void (*gradient)(const fs_layer* layer, int tensor, const fs_rule* rule, ptrdiff_t first, ptrdiff_t rows,
                         ptrdiff_t batch, double scale, int more, void* scratch) noexcept nogil
        ptrdiff_t (*scratch)(const fs_layer* layer) noexcept nogil
        int on_blas, on_bits, on_lists

    ctypedef struct fs_layer:
        const fs_layer_ops* ops
        int kind, number
        ptrdiff_t inputs, outputs
        int activation, drop, tensors
        fs_tensor tensor[FS_MAX_TENSORS]
        const void** x
        const void** x_next
        const int32_t** x_index
        int32_t* x_count
        const uint64_t** x_bits
        void* a
        void* slope
        const void* scale
        const void* offset
        void* delta
        ptrdiff_t ld

    ctypedef struct fs_row:
        const int32_t* index
        const void* value
        ptrdiff_t count

    ctypedef struct fs_linear:
        ptrdiff_t inputs, outputs
        void* w
        void* b
        double scale
        void* average
        void* average_biases
        double average_a, average_b
        void* l1_applied
        void* l1_synced_at
        double cumulative_l1, l1_pending

    ctypedef struct fs_ops:
        ptrdiff_t item
        int (*gather)(const fs_input* input, const int64_t* order, const int64_t* next, ptrdiff_t first,
                      const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n) noexcept nogil
        void (*gather_rows)(const void* x, ptrdiff_t cols, const int64_t* order, ptrdiff_t first, ptrdiff_t n,
                            void* out) noexcept nogil
        ptrdiff_t (*count_nonzero)(const fs_input* input, ptrdiff_t row, ptrdiff_t cols) noexcept nogil
        const fs_layer_ops* layers
        void (*dropout)(const fs_layer* layer, uint64_t seed, uint64_t step, ptrdiff_t row, ptrdiff_t begin,
                        ptrdiff_t n) noexcept nogil
        void (*cost_and_delta)(const fs_target* target, const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n,
                               double* cost, double* score, void* scratch) noexcept nogil
        void (*smooth)(ptrdiff_t n, ptrdiff_t cols, const int32_t* labels, double keep, double share,
                       void* targets) noexcept nogil
        void (*square_rows)(const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n, double* squares) noexcept nogil
        void (*apply_sample_weight)(ptrdiff_t n, ptrdiff_t cols, ptrdiff_t ld, const double* weight, void* delta) noexcept nogil
        double (*sum_of_squares)(ptrdiff_t n, const void* x) noexcept nogil
        void (*apply_gradient)(const fs_tensor* tensor, const fs_rule* rule, ptrdiff_t first,
                               ptrdiff_t rows) noexcept nogil
        void (*constrain)(const fs_tensor* tensor, ptrdiff_t first, ptrdiff_t cols, double max_norm) noexcept nogil
        void (*average)(ptrdiff_t n, double weight, const void* w, void* average) noexcept nogil
        void (*fetch)(const fs_input* input, ptrdiff_t row, ptrdiff_t cols) noexcept nogil
        void (*list_row)(const fs_layer* layer, ptrdiff_t at, int32_t* index, void* value, fs_row* row) noexcept nogil
        void (*linear_forward)(const fs_linear* linear, const fs_row* row, void* z) noexcept nogil
        void (*linear_update)(const fs_linear* linear, const fs_row* row, double rate, const void* delta,
                              void* scratch) noexcept nogil
        void (*linear_biases)(const fs_linear* linear, ptrdiff_t rows, double rate, double left, double weight,
                              const void* delta) noexcept nogil
        void (*sync_l1_row)(const fs_linear* linear, const fs_row* row) noexcept nogil
        void (*truncate_row)(const fs_linear* linear, const fs_row* row) noexcept nogil
        void (*linear_flush)(const fs_linear* linear, int average_is_weights) noexcept nogil
        int (*function)(const char* name, ptrdiff_t n, const void* x, void* y) noexcept nogil
        int (*all_finite)(ptrdiff_t n, const void* x) noexcept nogil
        double (*multiply_adds)(ptrdiff_t rounds) noexcept nogil

    double fs_sum(ptrdiff_t n, const double* values) noexcept nogil
    void fs_touch(ptrdiff_t size, const void* memory) noexcept nogil
    void fs_philox(uint64_t seed, uint64_t block, uint64_t layer, uint64_t step, int blocks,
                   uint64_t* words) noexcept nogil
    const char* fs_isa_select(const char* name)
    const char* fs_isa_name()
    const char* fs_isa_available()
    const fs_ops* fs_operations(int is_double)

    const char* fs_blas_load(const char* path)
    const char* fs_blas_config()

    ctypedef struct fs_team:
        pass
    ctypedef void (*fs_work)(void* job, fs_team* team, int rank) noexcept nogil
    void fs_team_run(int size, fs_work work, void* job)
    int fs_team_size(const fs_team* team)
    void fs_team_barrier(fs_team* team)
    void fs_team_shrink(fs_team* team, int size)
    bint fs_team_handle_fork(fs_team* team)
    double fs_team_waited(const fs_team* team)
    ctypedef struct fs_contention:
        double back_off_ends, suppressed_until, back_off_seconds
        int back_off_threads
    fs_contention fs_contention_get()
    void fs_contention_set(fs_contention now)
    ptrdiff_t fs_next(ptrdiff_t* number)
    void fs_continue_from(ptrdiff_t* number, ptrdiff_t value)
    unsigned long fs_floats_flush()
    void fs_floats_restore(unsigned long before)
    void fs_fetch(const void* line)
    double fs_seconds()
    int fastsgd_get_num_threads()
    void fastsgd_set_num_threads(int threads)
