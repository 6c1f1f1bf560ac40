# What csrc/fastsgd.h declares; the meaning of each name is told there.
from libc.stdint cimport int32_t, int64_t

cdef extern from "csrc/fastsgd.h" nogil:
    enum:
        FS_IDENTITY, FS_LOGISTIC, FS_TANH, FS_RELU, FS_LEAKY_RELU, FS_ELU, FS_GELU, FS_SILU, FS_SOFTPLUS
        FS_SOFTMAX, FS_EXP
        FS_CROSS_ENTROPY, FS_BINARY_CROSS_ENTROPY, FS_SQUARED_ERROR, FS_ABSOLUTE_ERROR, FS_HUBER, FS_QUANTILE
        FS_POISSON
        FS_SGD, FS_ADAM, FS_ADAMW, FS_RMSPROP, FS_ADAGRAD
        FS_MAX_TEAM

    ctypedef struct fs_target:
        int loss, output
        const void* parameters
        const int32_t* labels
        const void* targets

    ctypedef struct fs_rule:
        int kind, nesterov
        double learning_rate, momentum, beta_1, beta_2, epsilon, weight_decay, l1, l2, correction_1, correction_2

    ctypedef struct fs_ops:
        void (*gemm)(int transpose_a, int transpose_b, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                     double alpha, const void* a, ptrdiff_t lda, const void* b, ptrdiff_t ldb,
                     double beta, void* c, ptrdiff_t ldc) noexcept nogil
        void (*gather)(ptrdiff_t rows, ptrdiff_t cols, const void* x, ptrdiff_t ld, const int64_t* order,
                       void* out) noexcept nogil
        void (*activate)(int activation, ptrdiff_t rows, ptrdiff_t cols, void* a, const void* bias,
                         void* slope) noexcept nogil
        void (*multiply_slope)(int activation, ptrdiff_t n, const void* a, const void* slope, void* delta) noexcept nogil
        double (*cost_and_delta)(const fs_target* target, ptrdiff_t rows, ptrdiff_t cols, void* z, const void* bias,
                                 double* score) noexcept nogil
        void (*column_sums)(ptrdiff_t rows, ptrdiff_t cols, const void* d, ptrdiff_t ld, double alpha, double beta,
                            void* out) noexcept nogil
        void (*update)(const fs_rule* rule, ptrdiff_t rows, ptrdiff_t cols, void* w, ptrdiff_t ld, const void* g,
                       ptrdiff_t ldg, void* slot_1, void* slot_2) noexcept nogil
        int (*function)(const char* name, ptrdiff_t n, const void* x, void* y) noexcept nogil

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
    double fs_seconds()
