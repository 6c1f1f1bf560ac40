# What csrc/fastsgd.h declares; the meaning of each name is told there.
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "csrc/elementary.h" nogil:
    double fs_exp(double x)
    double fs_log(double x)
    double fs_log2(double x)
    double fs_pow(double x, double y)
    double fs_cos(double x)

cdef extern from "csrc/os.h" nogil:
    double fs_seconds()

cdef extern from "csrc/fastsgd.h" nogil:
    enum:
        FS_IDENTITY, FS_LOGISTIC, FS_TANH, FS_RELU, FS_LEAKY_RELU, FS_ELU, FS_GELU, FS_SILU, FS_SOFTPLUS
        FS_SELU, FS_MISH, FS_HARD_SIGMOID, FS_HARD_SWISH, FS_HARD_TANH, FS_RELU6, FS_EXP
        FS_SOFTMAX, FS_SORTED, FS_MEAN_AND_DEVIATION
        FS_CROSS_ENTROPY, FS_FOCAL, FS_BINARY_CROSS_ENTROPY, FS_SQUARED_ERROR, FS_ABSOLUTE_ERROR, FS_HUBER, FS_QUANTILE
        FS_MEAN_QUANTILES, FS_GAUSSIAN_NLL, FS_POISSON, FS_GAMMA, FS_TWEEDIE, FS_HINGE, FS_SQUARED_HINGE
        FS_MODIFIED_HUBER, FS_EPSILON_INSENSITIVE, FS_SQUARED_EPSILON_INSENSITIVE
        FS_SGD, FS_ADAM, FS_ADAMW, FS_NADAMW, FS_SCHEDULE_FREE_ADAMW, FS_RMSPROP, FS_ADAGRAD, FS_LION
        FS_MUON, FS_PASSIVE_AGGRESSIVE
        FS_MAX_TEAM, FS_BLOCK_ROWS, FS_CHUNK_ROWS, FS_MEMBERS_ROWS

    ctypedef struct fs_target:
        int loss, output
        const void* parameters
        const int32_t* labels
        ptrdiff_t classes
        int in_order
        const void* targets
        ptrdiff_t cols
        double* output_costs
        double clip_delta
        const void* positive_weight
        int aggressive, squared
        double rate
        const double* squares

    ctypedef struct fs_carried:
        double cumulative_l1, mu_product, weight_sum

    ctypedef struct fs_rule:
        int kind, nesterov, matches_rms, truncates_l1
        double learning_rate, momentum, beta_1, beta_2, epsilon, weight_decay, l1, l2, mu_decay
        double correction_1, correction_2, gradient_share, average_weight
        fs_carried carried
        double clip_value, clip_factor

    ctypedef struct fs_rule_traits:
        bint whole_matrix
    const fs_rule_traits fs_traits[]

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
        FS_WEIGHT, FS_BIAS, FS_SCALE_FACTOR, FS_ENCODING, FS_EMBEDDING, FS_ADAPTER, FS_ACTIVATION, FS_GAIN, FS_SHIFT
        FS_RUNNING, FS_MAX_SLOTS
    enum:
        FS_W

    ctypedef struct fs_tensor:
        int role
        ptrdiff_t rows, cols, offset
        void* value
        ptrdiff_t ld
        void* home
        void* slots[FS_MAX_SLOTS]
        void* gradient
        unsigned char* touched
        int rule
        double rate_factor, decay_factor, penalty_factor, unit

    ctypedef struct fs_matrix:
        void* x

    enum:
        FS_DENSE, FS_DENSE_BLAS, FS_DENSE_SKIPPING, FS_DENSE_CSR, FS_SCALE, FS_AFFINE, FS_DENSE_MEMBERS, FS_COLUMNS
        FS_PARAMETRIC_ACTIVATION, FS_LAYER_NORM, FS_BATCH_NORM, FS_ADD, FS_MAX_TENSORS
        FS_OF_ROWS, FS_OF_DELTAS, FS_OF_RUNNING, FS_TO_RUNNING
        FS_IDENTITY_BASIS, FS_PIECEWISE, FS_WAVES, FS_COSINES

    ctypedef struct fs_layer

    ctypedef struct fs_layer_ops:
        void (*forward)(const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n) noexcept nogil
        void (*backward)(const fs_layer* layer, const fs_layer* below, ptrdiff_t begin, ptrdiff_t n,
                         void* scratch) noexcept nogil
        void (*gradient)(const fs_layer* layer, int tensor, const fs_rule* rule, ptrdiff_t first, ptrdiff_t rows,
                         ptrdiff_t batch, double scale, int more, void* scratch) noexcept nogil
        ptrdiff_t (*scratch)(const fs_layer* layer) noexcept nogil
        int on_blas, on_bits, on_lists
        void (*inward)(const fs_layer* layer, ptrdiff_t begin, ptrdiff_t n) noexcept nogil
        void (*measure)(const fs_layer* layer, int what, ptrdiff_t first, ptrdiff_t cols, ptrdiff_t rows,
                        void* scratch) noexcept nogil

    ctypedef struct fs_columns:
        ptrdiff_t numbers
        const int32_t* number_at
        ptrdiff_t number_features
        int basis, relu, shortcut
        ptrdiff_t terms, outputs, angles
        const int32_t* term_columns
        const void* slope
        const void* offset
        const void* lowest
        const void* highest
        int frequencies, phases, weights, biases, embeddings
        ptrdiff_t one_hots, embedded
        const int32_t* one_hot_at
        const int32_t* one_hot_levels
        const int32_t* embedded_at
        const int32_t* embedded_levels
        const int32_t* first_row
        ptrdiff_t width
        int lazy

    ctypedef struct fs_layer:
        const fs_layer_ops* ops
        int kind, number
        ptrdiff_t inputs, outputs, copies, weight_rows
        int activation, tensors
        bint drops_units
        const int32_t* drops
        fs_tensor tensor[FS_MAX_TENSORS]
        fs_columns* columns
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
        int function
        double epsilon, momentum
        bint in_training
        const fs_layer* start
        const fs_layer* add
        const fs_layer* next_add

    void fs_copy_layer(fs_layer* to, const fs_layer* origin)

    ctypedef struct fs_ops:
        ptrdiff_t item
        const fs_layer_ops* layers
        int (*codes_are_valid)(const fs_layer* layer, ptrdiff_t n, const void* rows) noexcept nogil
        void (*dropout)(const fs_layer* layer, int drop, uint64_t seed, uint64_t step, ptrdiff_t row, ptrdiff_t begin,
                        ptrdiff_t n) noexcept nogil
        void (*apply_gradient)(const fs_tensor* tensor, const fs_rule* rule, ptrdiff_t first,
                               ptrdiff_t rows) noexcept nogil
        void (*constrain)(const fs_tensor* tensor, ptrdiff_t first, ptrdiff_t cols, double max_norm) noexcept nogil
        void (*mean_of_members)(ptrdiff_t n, ptrdiff_t members, ptrdiff_t cols, const void* a, void* out) noexcept nogil
        void (*average)(ptrdiff_t n, double weight, const void* w, void* average) noexcept nogil
        int (*function)(const char* name, ptrdiff_t n, const void* x, void* y) noexcept nogil
        int (*all_finite)(ptrdiff_t n, const void* x) noexcept nogil
        double (*multiply_adds)(ptrdiff_t rounds) noexcept nogil
        void (*powers)(double base, uint64_t t, ptrdiff_t count, double* out) noexcept nogil

    double fs_sum(ptrdiff_t n, const double* values) noexcept nogil
    void fs_touch(ptrdiff_t size, const void* memory) noexcept nogil
    const char* fs_isa_select(const char* name)
    const char* fs_isa_name()
    const char* fs_isa_available()
    const fs_ops* fs_operations(int is_double)

    ctypedef struct fs_cache_sizes:
        ptrdiff_t l1d, l2, l3
    const fs_cache_sizes* fs_caches()
    bint fs_caches_find()
    void fs_caches_set(ptrdiff_t l1d, ptrdiff_t l2, ptrdiff_t l3)

    const char* fs_blas_load(const char* path)
    const char* fs_blas_config()

    ctypedef struct fs_team:
        pass
    ctypedef void (*fs_work)(void* job, fs_team* team, int rank) noexcept nogil
    void fs_team_prepare()
    void fs_team_run(int size, fs_work work, void* job)
    int fs_team_size(const fs_team* team)
    void fs_team_barrier(fs_team* team)
    void fs_team_shrink(fs_team* team, int size)
    bint fs_team_handle_fork(fs_team* team)
    ctypedef struct fs_thread_count:
        ptrdiff_t steps, first_step
        int forward_only, fixed, poll_due, stop, pause, whole, change_team, trial_over, trial_size
        double done
    void fs_run_adaptively(fs_thread_count* pass_, int size, int adapts, fs_work work, void* job)
    ptrdiff_t fs_next(ptrdiff_t* number)
    void fs_continue_from(ptrdiff_t* number, ptrdiff_t value)
    unsigned long fs_floats_flush()
    void fs_floats_restore(unsigned long before)
    int fastsgd_get_num_threads()
    void fastsgd_set_num_threads(int threads)


cdef extern from "csrc/job.h" nogil:
    double FS_POLL_SECONDS
    enum:
        FS_PREDICT, FS_COST, FS_DELTAS, FS_GRADIENT, FS_TRAIN

    ctypedef struct fs_stage:
        int first, end, top, bottom
        bint gathers, turns, ends
        fs_layer* met
        int of

    ctypedef struct fs_network:
        int depth, lowest, meetings
        fs_stage first_stage
        fs_layer* layers
        ptrdiff_t parameters
        void* params
        void* slots[FS_MAX_SLOTS]
        void* gradient
        void* average

    ctypedef struct fs_data:
        fs_input input
        bint lists, skips, copies, smoothed
        ptrdiff_t all_rows, rows
        const int64_t* order
        fs_target target
        const double* sample_weight
        double smooth_keep, smooth_share

    ctypedef struct fs_step:
        ptrdiff_t batch, steps, block_rows, chunk_rows
        fs_rule rule
        double alpha
        const double* learning_rates
        const double* weight_decays
        const double* powers[2]
        const double* averaging_weights
        double clip_norm, max_norm
        bint weighted_steps, average_is_weights
        uint64_t seed
        ptrdiff_t steps_before, block, flush_steps

    ctypedef struct fs_workspace:
        double* cost
        double* score
        double* weight
        double* squares
        fs_matrix matrix
        char* scratch
        ptrdiff_t scratch_size
        bint of_each
        void* out

    ctypedef struct fs_result:
        double cost, score
        ptrdiff_t steps
        fs_carried carried
        bint invalid_row

    ctypedef struct fs_job
    ctypedef struct fs_control:
        fs_thread_count team
        ptrdiff_t next_block
        unsigned long floats
        double last_poll
        void* poll
        void (*call_poll)(fs_job* job, ptrdiff_t rows_done) noexcept nogil

    ctypedef struct fs_job:
        int mode
        const fs_ops* ops
        fs_network net
        fs_data data
        fs_step step
        fs_workspace work
        fs_result result
        fs_control control

    ctypedef struct fs_chunk:
        ptrdiff_t first, rows, step, done
        bint first_of_batch, last_of_batch
        double batch_weight

    ctypedef struct fs_part:
        ptrdiff_t first, rows

    ptrdiff_t fs_share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size)
    fs_part fs_part_of(const fs_tensor* tensor, int l, int rank, int size)
    ptrdiff_t fs_members(const fs_job* job)
    void fs_gather(fs_job* job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n)
    void fs_output_delta(fs_job* job, ptrdiff_t begin, ptrdiff_t n, ptrdiff_t step, double* cost, double* score,
                         char* scratch)
    void fs_apply_sample_weight(fs_job* job, ptrdiff_t first, ptrdiff_t n, ptrdiff_t begin)
    void fs_weight_costs(const fs_job* job, ptrdiff_t first, ptrdiff_t n, double* cost, double* score)
    double fs_weight_of(const fs_job* job, ptrdiff_t first, ptrdiff_t rows)
    fs_rule fs_rule_of_step(const fs_job* job, ptrdiff_t step, double batch_weight, fs_carried before)
    bint fs_accumulate_cost(fs_job* job, fs_team* team, const fs_chunk* chunk, int rank, int size)
    bint fs_poll_is_due(const fs_job* job)
    void fs_square_gradient(fs_job* job, int rank, int size)
    ptrdiff_t fs_pieces(const fs_job* job)
    ptrdiff_t fs_delta_row_width(const fs_job* job)
    void fs_write_activations_and_deltas(const fs_job* job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n)
    fs_stage fs_stage_of(const fs_job* job, int stage)
    void fs_measure(const fs_job* job, const fs_layer* layer, int what, ptrdiff_t rows, int rank, int size)
    void fs_measure_all(const fs_job* job, int what, ptrdiff_t rows, int rank, int size)
    void fs_orthogonalize(const fs_job* job, fs_team* team, const fs_layer* layer, const fs_tensor* tensor,
                          const fs_rule* rule, int rank, int size)
    void fs_linear_epoch(fs_job* job)
    void fs_choose_kind(const fs_job* job, fs_layer* layer, int kind)
    int fs_plan(fs_job* job, int threads)
    void fs_pad_activations(fs_job* job)
    void fs_count_steps(fs_job* job)
    ptrdiff_t fs_blocks_of(const fs_job* job)
    bint fs_skipping_pays(const fs_job* job)
    void fs_copy_padded(fs_job* job, bint there)
    void fs_bind_parameters(fs_job* job)
    ptrdiff_t fs_bind_workspace(fs_job* job, char* base, int threads)
