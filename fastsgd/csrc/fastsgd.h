/* The C side of fastsgd: arithmetic on blocks of rows, the BLAS loader and the thread team.
 *
 * Nothing here allocates during a step, prints, or ends the process. The only mutable static state is
 * the loaded BLAS (blas.c) and the instruction set chosen at import (isa.c).
 *
 * Arrays are row-major and arrive as void pointers: one table of operations (fs_ops) serves each dtype
 * and instruction set, all compiled from the same body (operations.inc). "rows" and "cols" count
 * elements, as does "ld", the distance between the starts of two neighbouring rows.
 */
#ifndef FASTSGD_H
#define FASTSGD_H

#include <stddef.h>
#include <stdint.h>

/* ---- names shared with Python; _kernel.pyx exports them under their Python spelling ---- */

enum {                 /* activations; the last two only at the output */
    FS_IDENTITY, FS_LOGISTIC, FS_TANH, FS_RELU, FS_LEAKY_RELU, FS_ELU, FS_GELU, FS_SILU, FS_SOFTPLUS,
    FS_SOFTMAX, FS_EXP
};
enum {
    FS_CROSS_ENTROPY, FS_BINARY_CROSS_ENTROPY, FS_SQUARED_ERROR, FS_ABSOLUTE_ERROR, FS_HUBER, FS_QUANTILE,
    FS_POISSON
};
enum { FS_SGD, FS_ADAM, FS_ADAMW, FS_RMSPROP, FS_ADAGRAD };

/* ---- what one block of rows is compared with ---- */

typedef struct {
    int loss;
    int output;               /* activation of the output layer */
    const void *parameters;   /* (cols,) huber: delta, quantile: tau; unused otherwise */
    const int32_t *labels;    /* (rows,) class of each row, or NULL */
    const void *targets;      /* (rows, cols) where there are no labels */
} fs_target;

/* ---- how one step changes a parameter; the formulas are in operations.inc, update() ---- */

typedef struct {
    int kind;                 /* FS_SGD ... */
    int nesterov;
    double learning_rate;
    double momentum;          /* SGD, RMSprop */
    double beta_1, beta_2;    /* Adam; beta_2 is also RMSprop's rho */
    double epsilon;
    double weight_decay, l1, l2;
    double correction_1;      /* 1 - beta_1^t, Adam's bias corrections of step t */
    double correction_2;      /* sqrt(1 - beta_2^t) */
} fs_rule;

/* ---- the operations of one dtype on one instruction set ---- */

typedef struct {
    /* C = alpha op(A) op(B) + beta C;  op(A) is (m, k), op(B) is (k, n), C is (m, n) */
    void (*gemm)(int transpose_a, int transpose_b, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                 double alpha, const void *a, ptrdiff_t lda, const void *b, ptrdiff_t ldb,
                 double beta, void *c, ptrdiff_t ldc);
    /* out[r] = X[order[r]] for rows of any stride */
    void (*gather)(ptrdiff_t rows, ptrdiff_t cols, const void *x, ptrdiff_t ld, const int64_t *order, void *out);
    /* a = f(a + bias) in place over (rows, cols); slope, where it is not NULL, receives f' */
    void (*activate)(int activation, ptrdiff_t rows, ptrdiff_t cols, void *a, const void *bias, void *slope);
    /* delta *= f', from the stored slope or from the activation's own value a */
    void (*multiply_slope)(int activation, ptrdiff_t n, const void *a, const void *slope, void *delta);
    /* z (rows, cols) without its bias becomes the output delta dC/dz; returns the summed cost and adds to
     * *score: rows classified correctly (outputs, for binary_cross_entropy), or the summed squared error */
    double (*cost_and_delta)(const fs_target *target, ptrdiff_t rows, ptrdiff_t cols, void *z, const void *bias,
                             double *score);
    /* out[j] = alpha sum_r d[r, j] + beta out[j] */
    void (*column_sums)(ptrdiff_t rows, ptrdiff_t cols, const void *d, ptrdiff_t ld, double alpha, double beta,
                        void *out);
    /* one optimizer step on a (rows, cols) tile of w; g has its own ld, the optimizer's slots share w's */
    void (*update)(const fs_rule *rule, ptrdiff_t rows, ptrdiff_t cols, void *w, ptrdiff_t ld, const void *g,
                   ptrdiff_t ldg, void *slot_1, void *slot_2);
    /* y = f(x) elementwise for the tests of accuracy: "exp", "expm1", "tanh", "logistic", "log", "erfcx"... */
    int (*function)(const char *name, ptrdiff_t n, const void *x, void *y);
} fs_ops;

/* ---- instruction sets (isa.c) ---- */

/* Chooses the best instruction set of this CPU, or the one named; NULL on success, else the reason. */
const char *fs_isa_select(const char *name);
const char *fs_isa_name(void);
const char *fs_isa_available(void);               /* names, best first, separated by spaces */
const fs_ops *fs_operations(int is_double);

/* ---- BLAS (blas.c) ---- */

/* Opens the library at this path with local symbols, on one thread; NULL on success, else the reason. */
const char *fs_blas_load(const char *path);
const char *fs_blas_config(void);                 /* what the library says of itself, "" before loading */

/* ---- the thread team (team.c) ---- */

enum { FS_MAX_TEAM = 256 };

typedef struct fs_team fs_team;
typedef void (*fs_work)(void *job, fs_team *team, int rank);

/* Runs work on up to "size" threads, the caller being rank 0, and returns when all are done. Where the
 * system refuses a thread the team is smaller: work must ask fs_team_size. */
void fs_team_run(int size, fs_work work, void *job);
int fs_team_size(const fs_team *team);
void fs_team_barrier(fs_team *team);
double fs_seconds(void);                          /* monotonic clock */

#endif
