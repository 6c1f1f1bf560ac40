/* The C side of fastsgd: arithmetic on blocks of rows, the BLAS loader and the thread team.
 *
 * Nothing here allocates during a step, prints, or ends the process. The only mutable static state is
 * the loaded BLAS (blas.c), the instruction set chosen at import (isa.c), and the pool of threads (team.c).
 *
 * Arrays are row-major and arrive as void pointers: one table of operations (fs_ops) serves each dtype
 * and instruction set, all compiled from the same body (operations.inc and what it includes). "rows" and "cols"
 * count elements, as does "ld", the distance between the starts of two neighbouring rows.
 */
#ifndef FASTSGD_H
#define FASTSGD_H

#include "os.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- names shared with Python; _kernel.pyx exports them under their Python spelling ---- */

enum {                 /* activations; from FS_EXP on only at the output, from FS_SOFTMAX on of whole rows */
    FS_IDENTITY, FS_LOGISTIC, FS_TANH, FS_RELU, FS_LEAKY_RELU, FS_ELU, FS_GELU, FS_SILU, FS_SOFTPLUS,
    FS_SELU, FS_MISH, FS_HARD_SIGMOID, FS_HARD_SWISH, FS_HARD_TANH, FS_RELU6, FS_EXP,
    FS_SOFTMAX, FS_SORTED, FS_MEAN_AND_DEVIATION
};

/* whether the derivative is kept, as the value does not tell it */
static inline int fs_stores_slope(int activation) {
    return activation == FS_GELU || activation == FS_SILU || activation == FS_MISH || activation == FS_HARD_SWISH;
}

enum {                 /* losses; up to FS_GAUSSIAN_NLL of whole rows, the others of one output each */
    FS_CROSS_ENTROPY, FS_FOCAL, FS_GAUSSIAN_NLL,
    FS_BINARY_CROSS_ENTROPY, FS_SQUARED_ERROR, FS_ABSOLUTE_ERROR, FS_HUBER, FS_QUANTILE, FS_MEAN_QUANTILES,
    FS_POISSON, FS_GAMMA, FS_TWEEDIE,
    FS_HINGE, FS_SQUARED_HINGE, FS_MODIFIED_HUBER, FS_EPSILON_INSENSITIVE, FS_SQUARED_EPSILON_INSENSITIVE
};
enum {                 /* the optimizers' rules */
    FS_SGD, FS_ADAM, FS_ADAMW, FS_NADAMW, FS_SCHEDULE_FREE_ADAMW, FS_RMSPROP, FS_ADAGRAD, FS_LION,
    FS_MUON, FS_PASSIVE_AGGRESSIVE
};

/* ---- what one block of rows is compared with ---- */

typedef struct {
    int loss;
    int output;               /* activation of the output layer */
    const void *parameters;   /* (outputs,) huber: delta, quantile: tau, hinge: margin, focal: gamma ...; unused otherwise */
    const int32_t *labels;    /* (rows,) class of each row, or NULL */
    ptrdiff_t classes;        /* that labels number */
    int in_order;             /* a label is the number of the first outputs that should say yes, not the one output */
    const void *targets;      /* (rows, cols) where there are no labels, or where outputs say yes or no */
    ptrdiff_t cols;
    double *output_costs;     /* (outputs,) gains the costs of each output, without any weights; or NULL */
    double clip_delta;        /* largest entry of delta, 0 for no limit */
    const void *positive_weight;                /* (outputs,) what a label counts for its own output; or NULL */
    int aggressive, squared;  /* deltas become passive-aggressive steps, in the form that squares the cost */
    double rate;              /* the longest of these steps, or what tames it */
    const double *squares;    /* (rows,) of what the layer receives */
} fs_target;

/* ---- how one step changes a parameter; the formulas are in rules.inc ---- */

typedef struct {              /* what a rule carries from step to step besides its memory of each parameter */
    double cumulative_l1;     /* the sum of learning_rate * l1, for the optimizer's option of this name */
    double mu_product;        /* of NAdam's momenta mu_1 .. mu_t */
    double weight_sum;        /* of schedule-free's average: the squares of its rates */
} fs_carried;

typedef struct {
    int kind;                 /* FS_SGD ... */
    int nesterov;
    int matches_rms;          /* Muon: its steps are as long as Adam's */
    int truncates_l1;         /* the optimizer's cumulative_l1: L1 as a penalty that weights pay when they are touched */
    double learning_rate;
    double momentum;          /* SGD, RMSprop, Muon */
    double beta_1, beta_2;    /* Adam; beta_2 is also RMSprop's rho */
    double epsilon;
    double weight_decay, l1, l2;
    double mu_decay;          /* NAdam: of 1 - mu_t / beta_1, in a step */
    double correction_1;      /* 1 - beta_1^t, of Adam's bias in step t; NAdam: (1 - mu_1 .. mu_(t+1)) / mu_(t+1) */
    double correction_2;      /* sqrt(1 - beta_2^t) */
    double gradient_share;    /* NAdam: (1 - mu_t) / (1 - mu_1 .. mu_t), of g itself beside its mean */
    double average_weight;    /* schedule-free: this step's part of weight_sum */
    fs_carried carried;       /* with this step */
    double clip_value;        /* largest entry of a gradient, 0 for no limit */
    double clip_factor;       /* what the gradient is multiplied by, so that its length has a limit; else 1 */
} fs_rule;

typedef struct {              /* what a rule asks of the step around it */
    int plain;                /* it may come down to w -= rate * g, which products do on their way */
    int decays_apart;         /* weight_decay acts on w and not on g */
    int whole_matrix;         /* it makes of g a direction; the step is made when the whole matrix has one (orthogonal.c) */
} fs_rule_traits;

extern const fs_rule_traits fs_traits[];        /* of FS_SGD ... (job.c) */

/* ---- where the rows of the data come from ---- */

typedef struct {
    const void *rows;         /* (rows, inputs) at distance ld: of the parameters' dtype, or uint8 where bytes is set */
    ptrdiff_t ld;
    int bytes;
    const void *scale, *offset;                 /* (inputs,) x * scale + offset is what the network sees; or NULL */
    const int64_t *indptr;    /* a CSR matrix: entries indptr[r] .. indptr[r + 1] of row r, or NULL */
    ptrdiff_t entries;        /* of all rows */
    const int32_t *indices;   /* their columns, increasing in each row */
    const void *values;
    const void *along[2];     /* (rows, inputs) contiguous: the network sees activation(rows + sum_i factor[i] along[i]); or NULL */
    double factor[2];
    int activation;
    /* what gather writes */
    void *copy;               /* (chunk, copy_ld) the rows, where they cannot be used where they lie; or NULL */
    ptrdiff_t copy_ld;
    uint64_t *bits;           /* (chunk, bits_ld) which entries of each row are not zero; NULL: nobody asks */
    ptrdiff_t bits_ld;
} fs_input;

/* ---- parameters: a matrix, or a row of as many numbers as a layer has columns ---- */

enum { FS_WEIGHT, FS_BIAS, FS_SCALE_FACTOR, FS_ENCODING, FS_EMBEDDING, FS_ADAPTER, FS_ACTIVATION, FS_GAIN, FS_SHIFT, FS_RUNNING };   /* roles */
enum { FS_MAX_SLOTS = 3 };

typedef struct {
    int role;
    ptrdiff_t rows, cols;
    ptrdiff_t offset;         /* where its first number lies in the flat parameters */
    void *value;              /* (rows, cols) */
    ptrdiff_t ld;             /* between the rows of value; those of the arrays below touch each other */
    void *home;               /* where value lies in the parameters, while the step works on a copy; or NULL */
    void *slots[FS_MAX_SLOTS];          /* the optimizer's memory, or NULL */
    void *gradient;           /* or NULL where none is kept */
    unsigned char *touched;   /* (rows,) where a step changes only rows that its batch has: whether it does; or NULL */
    int rule;                 /* FS_SGD ...: how it changes */
    double rate_factor;       /* of the learning rate, */
    double decay_factor;      /* of weight_decay, */
    double penalty_factor;    /* and of l1 and l2 */
    double unit;              /* the optimizer's parameters times this are the value; 1 but for the NTK parametrisation */
} fs_tensor;

/* ---- a matrix that is made nearly orthogonal (orthogonal.inc) ---- */

typedef struct {
    ptrdiff_t rows, cols;     /* rows >= cols: those of a tensor, or of its transpose */
    ptrdiff_t ld;             /* between the rows of all that follows */
    void *x, *next;           /* (rows, cols) the present iterate and the next */
    void *gram, *polynomial;  /* (cols, cols) x^T x; what the next is x times */
    double *squares;          /* (pieces,) of the tensor's direction */
} fs_matrix;

/* ---- a layer: what it computes and where its numbers lie ---- */

enum {
    FS_DENSE, FS_DENSE_BLAS, FS_DENSE_SKIPPING, FS_DENSE_CSR, FS_SCALE, FS_AFFINE, FS_DENSE_MEMBERS, FS_COLUMNS,
    FS_PARAMETRIC_ACTIVATION, FS_LAYER_NORM, FS_BATCH_NORM, FS_ADD, FS_LAYER_KINDS
};
enum { FS_W, FS_B };          /* tensors of a dense layer: (inputs, outputs) and (outputs,) */
enum { FS_S, FS_AFFINE_SHIFT };                 /* of a scale, a parametric activation and an affine layer: (outputs,), or a row each member */
enum { FS_LAYER_GAIN, FS_LAYER_SHIFT, FS_RUNNING_MEAN, FS_RUNNING_VARIANCE };       /* of norms, (outputs,) each */
enum {                        /* of a batch norm: its figures, (outputs,) each; */
    FS_MEAN, FS_VARIANCE, FS_INVERSE,           /* of what it receives, the last 1 / deviation; */
    FS_DELTAS_SUM, FS_PRODUCTS_SUM,             /* of deltas, and of deltas times normal inputs; */
    FS_DELTAS_MEAN, FS_PRODUCTS_MEAN,           /* and what of them its rows take from each other's deltas */
    FS_FIGURES
};
enum { FS_OF_ROWS, FS_OF_DELTAS, FS_OF_RUNNING, FS_TO_RUNNING };        /* which are made, and of what */
enum { FS_MAX_TENSORS = 5 };

typedef struct fs_layer fs_layer;

typedef struct {              /* what a kind of layer does; chosen when a pass is planned */
    /* a = f(x W + b), times scale plus offset where there are such, and slope = f'(x W + b) where it is wanted */
    void (*forward)(const fs_layer *layer, ptrdiff_t begin, ptrdiff_t n);
    /* delta of the layer below = (delta W^T) * f' */
    void (*backward)(const fs_layer *layer, const fs_layer *below, ptrdiff_t begin, ptrdiff_t n, void *scratch);
    /* rows first .. first + rows of a tensor: "scale" times their gradient, summed over the batch and added to the one
     * kept where "more" says so; and with a rule the optimizer's step */
    void (*gradient)(const fs_layer *layer, int tensor, const fs_rule *rule, ptrdiff_t first, ptrdiff_t rows,
                     ptrdiff_t batch, double scale, int more, void *scratch);
    /* numbers of scratch that these need */
    ptrdiff_t (*scratch)(const fs_layer *layer);
    /* numbers of each row that forward keeps for them; or NULL */
    ptrdiff_t (*kept)(const fs_layer *layer);
    /* the kinds that take its place where its products are left to BLAS, where its input's zeros are marked by bits, and
     * where its input comes as lists; itself where there are no such */
    int on_blas, on_bits, on_lists;
    /* deltas of what a layer has inside, where it has such; NULL for others */
    void (*inward)(const fs_layer *layer, ptrdiff_t begin, ptrdiff_t n);
    /* where rows depend on each other: figures FS_OF_ROWS ... of columns first .. first + cols over all rows of the chunk;
     * NULL for others */
    void (*measure)(const fs_layer *layer, int what, ptrdiff_t first, ptrdiff_t cols, ptrdiff_t rows, void *scratch);
} fs_layer_ops;

enum { FS_IDENTITY_BASIS, FS_PIECEWISE, FS_WAVES, FS_COSINES };

typedef struct {              /* how a first layer encodes the columns of a table; fastsgd/layers/columns.py */
    ptrdiff_t numbers;        /* columns that hold such, in the order of their features: */
    const int32_t *number_at; /* (numbers,) where they are */
    ptrdiff_t number_features;
    int basis, relu, shortcut;
    ptrdiff_t terms, outputs; /* of the basis; of the map for each column, 0: no map */
    ptrdiff_t angles;         /* terms whose frequencies are trained, or 0 */
    const int32_t *term_columns;                /* (terms,) how many columns have each term, where there is no map */
    const void *slope, *offset, *lowest, *highest;      /* (terms, numbers) of a piecewise-linear basis */
    int frequencies, phases, weights, biases, embeddings;       /* which tensors they are, -1: none */
    ptrdiff_t one_hots, embedded;
    const int32_t *one_hot_at, *one_hot_levels; /* (one_hots,) columns, and how many codes they have */
    const int32_t *embedded_at, *embedded_levels, *first_row;   /* (embedded,) and where their rows begin */
    ptrdiff_t width;          /* of an embedding */
    int lazy;
    /* what a step keeps */
    void *kept_basis;         /* (chunk, terms, numbers) or NULL */
    void *angle_delta;        /* (chunk, angles, numbers): first sines, then dC/d angle; or NULL */
    int32_t *head, *next;     /* (rows of embeddings,) the first row of the chunk that has each, plus 1; and whose it has next */
    ptrdiff_t next_ld;
    uint64_t *bits;           /* (chunk, bits_ld) which features of each row are not zero; NULL: nobody asks */
    ptrdiff_t bits_ld;
    fs_layer *skips;          /* the layer that leaves those out which are; or NULL */
} fs_columns;

struct fs_layer {
    const fs_layer_ops *ops;
    int kind;                 /* FS_DENSE ... */
    int number;               /* of the layer of the architecture that it is, or is a part of */
    ptrdiff_t inputs, outputs;
    ptrdiff_t copies;         /* how many times it has each row: once, or from the first layer of members on once for each */
    ptrdiff_t weight_rows;    /* of W, that are collected at a time */
    int activation;
    int drops_units;          /* whether dropout would act on it */
    const int32_t *drops;     /* (steps,) of 65,536 units those that are dropped on average; or NULL */
    int tensors;              /* how many there are */
    fs_columns *columns;      /* of FS_COLUMNS, else NULL */
    const void **x;           /* (chunk,) the row each row of the chunk receives */
    int fetches;              /* rows are prefetched while those before them are multiplied */
    const void **x_next;      /* (chunk,) the row that stands there in the next batch, to be prefetched; or NULL */
    const int32_t **x_index;  /* (chunk,) where x holds a list of the entries that are not zero: their columns; or NULL */
    int32_t *x_count;         /* (chunk,) and their number */
    const uint64_t **x_bits;  /* (chunk,) where x holds whole rows: a bit for each entry that is not zero; or NULL */
    void *a;                  /* (chunk, outputs) f(x W + b) */
    void *slope;              /* (chunk, outputs) f'(x W + b), where the value a does not tell it; or NULL */
    const void *scale, *offset;                 /* (outputs,) what a prediction is multiplied by, then added to it; or NULL */
    void *delta;              /* (chunk, outputs) dC/dz */
    ptrdiff_t ld;             /* between the rows of a, slope and delta */
    void *kept;               /* (chunk, ops->kept) what forward keeps of each row; or NULL */
    int function;             /* of a parametric activation: FS_RELU ... */
    double epsilon;           /* of a norm */
    double momentum;          /* of a batch norm: how far its running figures move in a step; */
    int in_training;          /* whether its figures are those of the chunk; */
    void *figures;            /* (FS_FIGURES, outputs) */
    const fs_layer *start;    /* of an add: the first layer of its block, whose input it adds to its own */
    const fs_layer *add;      /* takes what this layer gives as the input of its block, and has a delta for it; or NULL */
    const fs_layer *next_add; /* of an add: another whose block begins where this one's does; or NULL */
    fs_tensor tensor[FS_MAX_TENSORS];           /* last, so that a copy can leave out those that a layer has not */
};

static inline void fs_copy_layer(fs_layer *to, const fs_layer *from) {
    memcpy(to, from, offsetof(fs_layer, tensor) + (size_t)from->tensors * sizeof(fs_tensor));
}

/* ---- a network without a hidden layer, whose steps touch what they must (linear.inc) ---- */

typedef struct {              /* entries of a row: in a list, or all of them where index is NULL */
    const int32_t *index;
    const void *value;
    ptrdiff_t count;
} fs_row;

typedef struct {
    ptrdiff_t inputs, outputs;
    void *w, *b;              /* (inputs, outputs) v, the weights divided by scale; (outputs,) */
    double scale;
    void *average, *average_biases;             /* their shapes, or NULL */
    double average_a, average_b;                /* the average of the weights is (average + a v) / b */
    void *l1_applied;         /* (inputs, outputs) of cumulative L1 what each weight has paid, in units of W; or NULL */
    void *l1_synced_at;       /* (inputs, outputs) l1_pending when a weight last paid; or NULL where scale stays 1 */
    double cumulative_l1;     /* asked of every weight so far, in units of W */
    double l1_pending;        /* asked of every weight since the last flush, in units of v */
} fs_linear;

/* ---- the operations of one dtype on one instruction set ---- */

enum {
    FS_BLOCK_ROWS = 128,      /* rows begin .. begin + n of a chunk are at most so many */
    FS_CHUNK_ROWS = 1024,     /* and a chunk has at most so many; a larger batch accumulates its gradient */
    FS_MEMBERS_ROWS = 512     /* and one of members that share weights, which keep more of each row; 1,024 takes 10 % longer */
};

typedef struct {
    ptrdiff_t item;           /* bytes of a number */
    /* points x, mostly layer 0's own, at the rows wanted, row i of the block being order[i], or first + i without an order;
     * returns 0 where a CSR matrix has a column that the layer has not, or a category a code */
    int (*gather)(const fs_input *input, const int64_t *order, const int64_t *next, ptrdiff_t first,
                  const fs_layer *layer, const void **x, ptrdiff_t begin, ptrdiff_t n);
    /* whether the columns of categories in n rows that touch each other hold nothing but their codes */
    int (*codes_are_valid)(const fs_layer *layer, ptrdiff_t n, const void *rows);
    /* out[i] = the same rows of an array x whose rows touch each other */
    void (*gather_rows)(const void *x, ptrdiff_t cols, const int64_t *order, ptrdiff_t first, ptrdiff_t n, void *out);
    /* how many numbers of a dense row are not zero */
    ptrdiff_t (*count_nonzero)(const fs_input *input, ptrdiff_t row, ptrdiff_t cols);
    const fs_layer_ops *layers;                 /* one for each kind of layer */
    /* zeros and enlarges units of a layer with a slope, "drop" of 65,536 zeros; row begin is row "row" of its batch */
    void (*dropout)(const fs_layer *layer, int drop, uint64_t seed, uint64_t step, ptrdiff_t row, ptrdiff_t begin, ptrdiff_t n);
    /* layer->a holds z of the output layer and its delta receives dC/dz (they may be the same array); cost and score
     * (n,) receive each row's. A score is 1 for a row classified correctly, the number of outputs that are right for
     * other classifiers without labels, or the squared error summed over the outputs */
    void (*cost_and_delta)(const fs_target *target, const fs_layer *layer, ptrdiff_t begin, ptrdiff_t n, double *cost,
                           double *score, void *scratch);
    /* targets (n, cols) = keep * targets + share, where those that labels stand for, if there are any, are 1 and else 0 */
    void (*smooth)(ptrdiff_t n, ptrdiff_t cols, const int32_t *labels, int in_order, double keep, double share,
                   void *targets);
    /* the sum of squares of each row that layer 0 receives, (n,) */
    void (*square_rows)(const fs_layer *layer, ptrdiff_t begin, ptrdiff_t n, double *squares);
    /* delta (n, cols) of each row times its weight */
    void (*apply_sample_weight)(ptrdiff_t n, ptrdiff_t cols, ptrdiff_t ld, const double *weight, void *delta);
    /* what a whole gradient allows: its squares; and the optimizer's step of rows of a tensor */
    double (*sum_of_squares)(ptrdiff_t n, const void *x);
    void (*apply_gradient)(const fs_tensor *tensor, const fs_rule *rule, ptrdiff_t first, ptrdiff_t rows);
    /* Newton-Schulz: x from rows of a tensor's gradient, multiplied by a factor; a thread's part of x^T x, of the
     * polynomial, and rows of the next x; the step of rows of a tensor along x */
    void (*begin_matrix)(const fs_matrix *matrix, const fs_tensor *tensor, double factor, ptrdiff_t first,
                         ptrdiff_t rows);
    void (*gram)(const fs_matrix *matrix, int rank, int size);
    void (*polynomial)(const fs_matrix *matrix, int rank, int size);
    void (*iterate)(const fs_matrix *matrix, ptrdiff_t first, ptrdiff_t rows);
    void (*step_along)(const fs_matrix *matrix, const fs_tensor *tensor, const fs_rule *rule, ptrdiff_t first,
                       ptrdiff_t rows);
    /* columns of a matrix, each at most so long */
    void (*constrain)(const fs_tensor *tensor, ptrdiff_t first, ptrdiff_t cols, double max_norm);
    /* average += weight (w - average) */
    void (*average)(ptrdiff_t n, double weight, const void *w, void *average);
    /* out (n, cols) = the mean of so many rows of a, side by side, for each row */
    void (*mean_of_members)(ptrdiff_t n, ptrdiff_t members, ptrdiff_t cols, const void *a, void *out);
    /* what steps of a network without a hidden layer are made of: rows fetched ahead, rows as lists; one row's outputs z;
     * v += rate delta x, with scratch for the outputs; b = left b - rate sum delta, and its average; weights that pay
     * cumulative L1 before and after a step; and everything that is pending applied */
    void (*fetch)(const fs_input *input, ptrdiff_t row, ptrdiff_t cols);
    void (*list_row)(const fs_layer *layer, ptrdiff_t at, int32_t *index, void *value, fs_row *row);
    void (*linear_forward)(const fs_linear *linear, const fs_row *row, void *z);
    void (*linear_update)(const fs_linear *linear, const fs_row *row, double rate, const void *delta, void *scratch);
    void (*linear_biases)(const fs_linear *linear, ptrdiff_t rows, double rate, double left, double weight,
                          const void *delta);
    void (*sync_l1_row)(const fs_linear *linear, const fs_row *row);
    void (*truncate_row)(const fs_linear *linear, const fs_row *row);
    void (*linear_flush)(const fs_linear *linear, int average_is_weights);
    /* y = f(x) elementwise for the tests of accuracy: "exp", "expm1", "tanh", "logistic", "log", "erfcx"... */
    int (*function)(const char *name, ptrdiff_t n, const void *x, void *y);
    /* whether there is neither NaN nor infinity */
    int (*all_finite)(ptrdiff_t n, const void *x);
    /* runs multiply-adds in registers, and returns how many floating-point operations they were */
    double (*multiply_adds)(ptrdiff_t rounds);
    /* base^t, base^(t + 1) ... of a base from 0 to 1, correctly rounded, (count,); 0 below 2^-64, which is nothing beside
     * the 1 that they are taken from */
    void (*powers)(double base, uint64_t t, ptrdiff_t count, double *out);
} fs_ops;

double fs_sum(ptrdiff_t n, const double *values);  /* in an order that n alone decides */
void fs_touch(ptrdiff_t size, const void *memory);      /* reads a byte of every page of so many bytes */

/* Philox 4x64-10 (Salmon, Moraes, Dror and Shaw 2011), NumPy's: random words (4 blocks,) that are a function of the seed
 * and of four counters, the first of which goes up from block to block. */
void fs_philox(uint64_t seed, uint64_t block, uint64_t layer, uint64_t step, int blocks, uint64_t *words);

/* ---- instruction sets (isa.c) ---- */

/* Chooses the best instruction set of this CPU, or the one named; NULL on success, else the reason. */
const char *fs_isa_select(const char *name);
const char *fs_isa_name(void);
const char *fs_isa_available(void);               /* names, best first, separated by spaces */
const fs_ops *fs_operations(int is_double);

/* ---- caches (caches.c) ---- */

typedef struct {              /* bytes of a core's data caches; l3: 0 where there is none */
    ptrdiff_t l1d, l2, l3;
} fs_cache_sizes;

const fs_cache_sizes *fs_caches(void);
/* Finds them out, by one thread, that which imports; 1 where the CPU says them. */
int fs_caches_find(void);
/* Has plans go by these sizes. */
void fs_caches_set(ptrdiff_t l1d, ptrdiff_t l2, ptrdiff_t l3);

/* ---- BLAS (blas.c) ---- */

/* Opens the library at this path with local symbols, on one thread; NULL on success, else the reason. */
const char *fs_blas_load(const char *path);
const char *fs_blas_config(void);                 /* what the library says of itself, "" before loading */

/* ---- the thread team (team.c) ---- */

enum { FS_MAX_TEAM = 256 };

typedef struct fs_team fs_team;
typedef void (*fs_work)(void *job, fs_team *team, int rank);

/* Once, before any team: has forks of the process leave the threads behind. */
void fs_team_prepare(void);
/* Runs work on up to "size" threads, the caller being rank 0, and returns when all are done. Where the
 * system refuses a thread the team is smaller: work must ask fs_team_size. */
void fs_team_run(int size, fs_work work, void *job);
int fs_team_size(const fs_team *team);
void fs_team_barrier(fs_team *team);
/* From the next barrier on only the ranks below size meet: each of them says so before it comes there, and the others
 * return from their work. */
void fs_team_shrink(fs_team *team, int size);
/* For rank 0, where it may have run Python: whether this is now the child of a fork, where it is alone in the team, as the
 * others stayed with the parent. */
int fs_team_handle_fork(fs_team *team);
double fs_team_waited(const fs_team *team);       /* seconds of all ranks in waits at barriers that took long */

/* ---- how many threads a pass keeps (thread_count.c) ---- */

typedef struct {              /* of one pass, which begins with zeros but for "steps", "forward_only" and "fixed" */
    ptrdiff_t steps, first_step;      /* of the pass; and where the present team begins */
    int forward_only;                 /* no thread waits for another before the end */
    int fixed;                        /* it has just the threads asked for, whatever other processes do */
    int poll_due, stop, pause;        /* Python is asked; ends the pass at once; ends it after the present step */
    int whole;                        /* the threads that it would have */
    int backing_off;                  /* with fewer */
    int change_team;                  /* after the present step another team continues */
    double done;                      /* forward_only: when rank 0 had finished */
    /* smaller teams are tried in the first steps */
    int trial_wanted, trial_over;
    int trial_size, fastest;          /* that makes the next step, 0: the whole team; and the fastest so far */
    int tried_steps;                  /* that this size has made */
    double last_step, quickest, to_beat;        /* seconds */
    /* the present window of steps */
    int stale;                        /* they waited for something else */
    double since, waited;             /* when it began, and the waits by then */
    ptrdiff_t window_step;            /* its first step */
    double pace;                      /* seconds of a step before the back-off, 0: not known */
} fs_thread_count;

/* The pass, by one team after another, of at most so many threads; where it "adapts" smaller teams are tried too. */
void fs_run_adaptively(fs_thread_count *pass, int size, int adapts, fs_work work, void *job);
/* Once a step, by rank 0: says in change_team whether the next step should be another team's. */
void fs_check_contention(fs_thread_count *pass, fs_team *team, ptrdiff_t step, int size);

/* Numbers 0, 1, ... for whoever asks, one each; and none below this from now on. */
static inline ptrdiff_t fs_next(ptrdiff_t *number) { return __atomic_fetch_add(number, 1, __ATOMIC_RELAXED); }
static inline void fs_continue_from(ptrdiff_t *number, ptrdiff_t value) { __atomic_store_n(number, value, __ATOMIC_RELAXED); }

/* Has results that would be denormal be zero on this thread, and takes operands that are for zero; returns what
 * fs_floats_restore takes back. */
unsigned long fs_floats_flush(void);
void fs_floats_restore(unsigned long before);

/* Asks for the line of memory that this lies in. */
static inline void fs_fetch(const void *line) { __builtin_prefetch(line, 0, 3); }

/* A limit on every team, 0 for none, that threadpoolctl reads and sets (machine.py). */
FS_EXPORT int fastsgd_get_num_threads(void);
FS_EXPORT void fastsgd_set_num_threads(int threads);

#endif
