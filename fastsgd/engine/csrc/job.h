/* A job: all that the threads of a team share while they make a pass. _plan.pxi binds it to Python's arrays, workspace.c lays
 * out its memory, the story of a step is in _kernel.pyx, its parts are in job.c, and the linear path is in linear_path.c. */
#ifndef FASTSGD_JOB_H
#define FASTSGD_JOB_H

#include "fastsgd.h"

#define FS_POLL_SECONDS 0.1   /* between two calls of a poll */
enum { FS_PREDICT, FS_COST, FS_DELTAS, FS_GRADIENT, FS_TRAIN };         /* each does all that those before it do */

typedef struct {              /* what rows go through between two meetings of all threads: layers forward, then back */
    int first, end;           /* forward */
    int top, bottom;          /* deltas of top are brought to bottom */
    int gathers, turns, ends; /* whether rows come in, are compared with their targets, and have all their deltas */
    fs_layer *met;            /* the layer that was met before; or NULL */
    int of;                   /* which figures of it are made there */
} fs_stage;

typedef struct {
    int depth;
    int lowest;               /* the first layer that has parameters: deltas below it are nobody's */
    int meetings;             /* layers whose rows depend on each other */
    fs_stage first_stage;     /* of a step's rows: all of it where there are none */
    fs_layer *layers;
    ptrdiff_t parameters;     /* how many */
    void *params;
    void *slots[FS_MAX_SLOTS];          /* the optimizer's memory, laid out like params */
    void *gradient;           /* laid out like params, where it has to outlive a tile; or NULL */
    void *average;            /* of the parameters, laid out like them; or NULL */
} fs_network;

typedef struct {
    fs_input input;
    int lists, skips, copies; /* the input comes in lists; its zeros are skipped; its rows are converted */
    ptrdiff_t all_rows, rows; /* of X and the targets; of the epoch */
    const int64_t *order;     /* which row comes when; NULL: as they lie */
    fs_target target;         /* labels or targets of all rows */
    const double *sample_weight;        /* (all_rows,) or NULL */
    int smoothed;             /* labels become targets, and a target t becomes keep t + share */
    double smooth_keep, smooth_share;
} fs_data;

typedef struct {
    ptrdiff_t batch, steps;
    ptrdiff_t block_rows, chunk_rows;   /* of the batch: FS_BLOCK_ROWS and FS_CHUNK_ROWS, or by the members that share it */
    fs_rule rule;
    double alpha;             /* l2 of a batch of weight 1 */
    const double *learning_rates, *averaging_weights;   /* (steps,) */
    const double *weight_decays;        /* (steps,) or NULL where it stays that of the rule */
    const double *powers[2];            /* of beta_1 (NAdam: of mu_decay, and one more) and beta_2 at each step; or NULL */
    double clip_norm, max_norm;         /* 0 for no limit */
    int weighted_steps;       /* a gradient is divided by the rows of its batch, not by their weights */
    uint64_t seed;            /* of dropout */
    ptrdiff_t steps_before;   /* t - 1 at the first step */
    ptrdiff_t block;          /* rows gathered at once: a batch's, or those of a few */
    ptrdiff_t flush_steps;    /* of the linear path, 0 for the general one */
    int average_is_weights;   /* the average equals the parameters */
} fs_step;

typedef struct {
    const void **rows;        /* (chunk,) of the data, where the first layer has each of them several times; or NULL */
    int32_t *labels;          /* (chunk,) in the order of the epoch; where members share a network once for each of them */
    void *targets;
    double *cost, *score;     /* (chunk,) of each row; (blocks,) in a forward pass */
    double *weight;           /* (chunk,) of each row, or NULL */
    double *squares;          /* (pieces,) of the gradient, or NULL */
    fs_matrix matrix;         /* its arrays suit the largest, and are NULL where no rule needs a whole matrix */
    double *row_squares;      /* (chunk,) of each row, where its step depends on them; or NULL */
    char *scratch;            /* of each thread */
    ptrdiff_t scratch_size;
    void *out;                /* (rows, outputs) predictions, or (rows, fs_delta_row_width) */
    int of_each;              /* they are (rows, members, outputs) */
    fs_linear linear;
    fs_row *line;             /* (batch,) the rows of a step of the linear path */
    int lists_rows;           /* whether they are lists */
    int32_t *line_index;      /* (batch, inputs) their entries, where zeros are skipped */
    void *line_value;
} fs_workspace;

typedef struct {              /* what rank 0 writes between the barriers */
    double cost, score;       /* of all batches; and of the present one */
    double batch_cost, batch_score;
    ptrdiff_t steps;
    fs_carried carried;       /* after these steps */
    int invalid_row;          /* a label, or a row of a CSR matrix, that cannot be */
} fs_result;

typedef struct fs_job fs_job;

typedef struct {              /* of the team and by Python */
    fs_thread_count team;
    ptrdiff_t next_block;     /* of a forward pass */
    unsigned long floats;     /* what fs_floats_flush found */
    double last_poll;
    void *poll;               /* what call_poll calls; or NULL */
    void (*call_poll)(fs_job *job, ptrdiff_t rows_done);
} fs_control;

struct fs_job {
    int mode;
    const fs_ops *ops;
    fs_network net;
    fs_data data;
    fs_step step;
    fs_workspace work;
    fs_result result;
    fs_control control;
};

typedef struct {              /* the rows that are in the workspace, a batch or a part of one */
    ptrdiff_t first, rows;    /* in the order of the epoch */
    ptrdiff_t step, done;     /* of the pass; and the rows of its batch that came before */
    int first_of_batch, last_of_batch;
    double batch_weight;      /* what its gradient is divided by: its rows, or the sum of their weights */
} fs_chunk;

typedef struct {              /* of the rows of a tensor, that one thread changes */
    ptrdiff_t first, rows;
} fs_part;

static inline ptrdiff_t fs_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fs_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

#define FS_EACH_TENSOR(job, layer, tensor) \
    for (fs_layer *layer = (job)->net.layers; layer < (job)->net.layers + (job)->net.depth; layer++) \
        for (fs_tensor *tensor = layer->tensor; tensor < layer->tensor + layer->tensors; tensor++)

/* ---- parts of a step (job.c) ---- */

ptrdiff_t fs_pieces_in(ptrdiff_t rows);         /* of a matrix: pieces of so many rows as a register tile is high */

/* where a thread's share of so many things begins; it is empty from rank "size" on */
ptrdiff_t fs_share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size);
/* whole pieces of a matrix; of layer l, as the odd one goes to another thread in each */
fs_part fs_part_of(const fs_tensor *tensor, int l, int rank, int size);
ptrdiff_t fs_members(const fs_job *job);        /* that share the network, and have each row once: 1 for other networks */
fs_part fs_part_of_rows(ptrdiff_t rows, int turn, int size);            /* the same of any rows, in turn */
/* rows first .. first + n of the epoch become rows begin .. begin + n of the workspace, with their targets */
void fs_gather(fs_job *job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n);
/* cost, score and delta of the output layer for rows begin .. begin + n of the workspace, all members' */
void fs_output_delta(fs_job *job, ptrdiff_t begin, ptrdiff_t n, ptrdiff_t step, double *cost, double *score, char *scratch);
/* costs, scores and output deltas of these rows, all members', the first of which is row "first" of the epoch, times their
 * weights; or costs and scores alone */
void fs_apply_sample_weight(fs_job *job, ptrdiff_t first, ptrdiff_t n, ptrdiff_t begin);
void fs_weight_costs(const fs_job *job, ptrdiff_t first, ptrdiff_t n, double *cost, double *score);
/* the sum of the weights of so many rows of the epoch */
double fs_weight_of(const fs_job *job, ptrdiff_t first, ptrdiff_t rows);
/* the coefficients of a step; "before" is what the rule carries from the step before it */
fs_rule fs_rule_of_step(const fs_job *job, ptrdiff_t step, double batch_weight, fs_carried before);
/* whether the step may be made; rank 0 adds up costs and says whether it is time to poll */
int fs_accumulate_cost(fs_job *job, fs_team *team, const fs_chunk *chunk, int rank, int size);
int fs_poll_is_due(const fs_job *job);
/* the squares of this thread's part of the gradient; each piece has its own sum, whoever makes it */
void fs_square_gradient(fs_job *job, int rank, int size);
void fs_square_pieces(const fs_job *job, const fs_tensor *tensor, fs_part part, double *squares);    /* of a tensor */
ptrdiff_t fs_pieces(const fs_job *job);         /* of the parameters that have a sum of their own */
/* what DELTAS writes of each row: hidden activations, then the deltas of all layers, side by side */
ptrdiff_t fs_delta_row_width(const fs_job *job);
void fs_write_activations_and_deltas(const fs_job *job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n);

/* ---- layers whose rows depend on each other ---- */

fs_stage fs_stage_of(const fs_job *job, int stage);      /* there are 2 meetings + 1 in a step */
/* this thread's share of a layer's figures of so many rows */
void fs_measure(const fs_job *job, const fs_layer *layer, int what, ptrdiff_t rows, int rank, int size);
void fs_measure_all(const fs_job *job, int what, ptrdiff_t rows, int rank, int size);      /* of all such layers */

/* ---- steps of whole matrices (orthogonal.c) ---- */

/* The step of a tensor whose gradient is a direction already; all of the team come here. */
void fs_orthogonalize(const fs_job *job, fs_team *team, const fs_layer *layer, const fs_tensor *tensor,
                      const fs_rule *rule, int rank, int size);

/* ---- networks without a hidden layer in small batches (linear_path.c) ---- */

void fs_linear_epoch(fs_job *job);

/* ---- the plan of a pass (plan.c) ---- */

/* Chooses everything but the input's kind and padding; returns how many of so many threads the pass can use. */
int fs_plan(fs_job *job, int threads);
void fs_choose_kind(const fs_job *job, fs_layer *layer, int kind);
ptrdiff_t fs_padded(ptrdiff_t cols, ptrdiff_t item);     /* a distance between rows that suits the cache */
void fs_pad_activations(fs_job *job);           /* that of what a layer computes */
void fs_count_steps(fs_job *job);               /* of the rows that were chosen, in batches not longer than all of them */
ptrdiff_t fs_blocks_of(const fs_job *job);
int fs_skipping_pays(const fs_job *job);        /* whether so much of a few rows is zero that leaving it out saves time */

/* ---- memory (workspace.c) ---- */

void fs_copy_padded(fs_job *job, int there);    /* between the parameters and these copies, there or back */
void fs_bind_parameters(fs_job *job);           /* each tensor to its part of the flat arrays */
/* Points the job's buffers into the memory at base; returns the bytes they take. With NULL it only measures. */
ptrdiff_t fs_bind_workspace(fs_job *job, char *base, int threads);
void *fs_arena_alloc(char *base, ptrdiff_t *used, ptrdiff_t size);      /* the next bytes of it, at a cache line */
void fs_bind_linear(fs_job *job, char *base, ptrdiff_t *used);          /* linear_path.c */

#endif
