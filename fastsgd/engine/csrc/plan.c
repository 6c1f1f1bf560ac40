/* The plan of a pass: all that is chosen before it begins, from the network, the batch and the CPU's caches. It decides how
 * long the pass takes; no bit of the result depends on it. _plan.pxi binds the job before, workspace.c lays out its memory
 * after. docs/explanation/decisions.md has the measurements behind the numbers here. */
#include "job.h"

enum {
    COPYING_ROWS = 2048,      /* of a pass, for which copies of W with padded rows pay; */
    CONFLICTING_ROWS = 512,   /* and where its own rows, whole pages long, meet in a few sets of the cache */
    LINEAR_BLOCK = 16,        /* rows that the linear path gathers at once, and how far ahead others are fetched */
    WIDE_ROW = 256,           /* bytes of a row of numbers, from which on it pays that rows begin at cache lines */
    LINE = 64,                /* bytes of a cache line */
    FEWEST_WEIGHT_ROWS = 48   /* whole register tiles and whole cache lines */
};

/* The first layer skips zeros where less than this of its input is not zero; where it is narrow, less of it must be, and
 * less still in small batches. */
static const double SKIP_DENSITY = 0.3, SKIP_DENSITY_PER_OUTPUT = 0.0125;

/* ---- how many steps, blocks and threads ---- */

void fs_count_steps(fs_job *job) {
    job->step.batch = fs_min(job->step.batch, job->data.rows);
    job->step.steps = (job->data.rows + job->step.batch - 1) / job->step.batch;
}

ptrdiff_t fs_blocks_of(const fs_job *job) { return (job->data.rows + job->step.block_rows - 1) / job->step.block_rows; }

/* more than this would find nothing to do */
static int most_threads(const fs_job *job) {
    ptrdiff_t most = fs_blocks_of(job);
    if (job->mode >= FS_GRADIENT) {
        most = fs_min(job->step.batch, job->step.chunk_rows);
        for (int l = 0; l < job->net.depth; l++)
            most = fs_max(most, job->net.layers[l].inputs);
        most = fs_pieces_in(most);
    }
    return (int)fs_min(most, FS_MAX_TEAM);
}

/* ---- who computes a layer's products ---- */

void fs_choose_kind(const fs_job *job, fs_layer *layer, int kind) {
    layer->kind = kind;
    layer->ops = &job->ops->layers[kind];
}

/* the part of its input that may be not zero, so that leaving out the rest saves time */
static double skip_limit(const fs_job *job, const fs_layer *layer) {
    const double narrow = SKIP_DENSITY_PER_OUTPUT * (double)layer->outputs * (double)fs_min(job->step.batch, 32) / 32;
    return layer->outputs < 64 && narrow < SKIP_DENSITY ? narrow : SKIP_DENSITY;
}

int fs_skipping_pays(const fs_job *job) {
    enum { SAMPLE = 32 };
    const fs_layer *layer = &job->net.layers[0];
    const ptrdiff_t sample = fs_min(job->data.all_rows, SAMPLE);
    const double limit = skip_limit(job, layer);
    ptrdiff_t found = 0;
    for (ptrdiff_t i = 0; i < sample; i++)
        found += job->ops->count_nonzero(&job->data.input, i * job->data.all_rows / sample, layer->inputs);
    return sample >= 8 && (double)found < limit * (double)(sample * layer->inputs);
}

/* The first dense layer behind columns leaves out the zeros of their one-hot features where there are many. Scales between
 * them leave zeros as they are. */
static void skip_one_hot_features(fs_job *job) {
    fs_columns *columns = job->net.layers[0].columns;
    int l = 1;
    if (!columns)
        return;
    for (; l < job->net.depth - 1 && job->net.layers[l].kind == FS_SCALE; l++)
        ;
    fs_layer *layer = &job->net.layers[l];
    const ptrdiff_t features = job->net.layers[0].outputs, one_of = columns->one_hots + columns->embedded * columns->width;
    ptrdiff_t others = features - columns->embedded * columns->width;       /* of numbers */
    for (ptrdiff_t i = 0; i < columns->one_hots; i++)
        others -= columns->one_hot_levels[i];
    if (layer->kind == FS_DENSE && layer->copies == 1 &&
        (double)(others + one_of) < skip_limit(job, layer) * (double)features) {
        fs_choose_kind(job, layer, layer->ops->on_bits);
        columns->skips = layer;
    }
}

/* ---- where rows begin ---- */

ptrdiff_t fs_padded(ptrdiff_t cols, ptrdiff_t item) {
    const ptrdiff_t line = LINE / item;
    ptrdiff_t ld = cols * item >= WIDE_ROW ? (cols + line - 1) / line * line : cols;
    if (ld * item % 512 == 0)
        ld += line;                                     /* or a column's entries would meet in a few sets of the cache */
    return ld;
}

void fs_pad_activations(fs_job *job) {
    for (int l = 0; l < job->net.depth; l++) {
        fs_layer *layer = &job->net.layers[l];
        layer->ld = l == job->net.depth - 1 ? layer->outputs : fs_padded(layer->outputs, job->ops->item);
    }
}

/* Copies of W whose rows begin at cache lines, an odd number of lines apart, unless W stays in L1 however its rows lie. */
static void pad_weight_rows(fs_job *job) {
    const ptrdiff_t item = job->ops->item, line = LINE / item;
    FS_EACH_TENSOR(job, layer, tensor) {
        const ptrdiff_t lines = (tensor->cols + line - 1) / line, odd = tensor->rows * lines * LINE > fs_caches()->l1d;
        const int conflicts = tensor->cols * item % 4096 == 0;
        if (tensor->role == FS_WEIGHT && tensor->cols * item >= WIDE_ROW && layer->kind != FS_DENSE_BLAS &&
            job->data.rows >= (conflicts ? CONFLICTING_ROWS : COPYING_ROWS))
            tensor->ld = (odd ? lines | 1 : lines) * line;
    }
}

/* ---- blocks ---- */

/* The weights' phase goes over the rows of its batch once for each panel of columns. What it takes of them at a time is
 * to stay in a quarter of L2, beside delta and W on their way. */
static void choose_weight_rows(fs_job *job) {
    const ptrdiff_t column = fs_min(job->step.block * fs_members(job), FS_CHUNK_ROWS) * job->ops->item;
    const ptrdiff_t rows = fs_caches()->l2 / 4 / column / FEWEST_WEIGHT_ROWS * FEWEST_WEIGHT_ROWS;
    for (int l = 0; l < job->net.depth; l++)
        job->net.layers[l].weight_rows = fs_max(rows, FEWEST_WEIGHT_ROWS);
}

/* ---- all of it ---- */

int fs_plan(fs_job *job, int threads) {
    const int linear = job->step.flush_steps != 0;
    fs_count_steps(job);
    if (job->mode == FS_TRAIN && !job->net.average && !linear)
        pad_weight_rows(job);
    job->step.block = fs_min(job->step.batch, job->step.chunk_rows);
    if (linear)
        job->step.block = job->step.batch * fs_max(1, LINEAR_BLOCK / job->step.batch);
    /* On the linear path each row decides for itself: its sums depend on it, and must not on what else is in X. */
    if (job->data.skips)
        job->data.skips = linear ? job->net.layers[0].outputs > 1 : fs_skipping_pays(job);
    skip_one_hot_features(job);
    choose_weight_rows(job);
    return linear ? 1 : (int)fs_min(fs_max(1, threads), most_threads(job));
}
