/* The memory of a pass: what a job's pointers point to, in one block that Python owns. */
#include "job.h"

#include <string.h>

/* ---- copies of W with padded rows ---- */

void fs_copy_padded(fs_job *job, int there) {
    FS_EACH_TENSOR(job, layer, tensor) {
        const ptrdiff_t size = tensor->cols * job->ops->item, apart = tensor->ld * job->ops->item;
        for (ptrdiff_t i = 0; tensor->home && i < tensor->rows; i++) {
            char *home = (char *)tensor->home + i * size, *copy = (char *)tensor->value + i * apart;
            memcpy(there ? copy : home, there ? home : copy, (size_t)size);
        }
    }
}

/* ---- memory ---- */

void *fs_arena_alloc(char *base, ptrdiff_t *used, ptrdiff_t size) {
    const ptrdiff_t at = *used;
    *used += (size + 63) / 64 * 64;
    return base ? base + at : NULL;
}

static void *within(void *base, ptrdiff_t offset) { return base ? (char *)base + offset : NULL; }

void fs_bind_parameters(fs_job *job) {
    FS_EACH_TENSOR(job, layer, tensor) {
        const ptrdiff_t at = tensor->offset * job->ops->item;
        tensor->value = within(job->net.params, at);
        tensor->gradient = within(job->net.gradient, at);
        for (int s = 0; s < FS_MAX_SLOTS; s++)
            tensor->slots[s] = within(job->net.slots[s], at);
    }
}

/* what gather writes of the first layer's rows beside where they lie */
static void bind_rows(fs_job *job, char *base, ptrdiff_t *used, ptrdiff_t rows) {
    const fs_data *data = &job->data;
    const ptrdiff_t pointers = rows * (ptrdiff_t)sizeof(void *);
    fs_layer *layer = &job->net.layers[0];
    fs_input *input = &job->data.input;
    const int on_blas = layer->kind == FS_DENSE_BLAS;
    if (layer->copies > 1)
        job->work.rows = fs_arena_alloc(base, used, pointers);
    if (data->lists) {
        layer->x_index = fs_arena_alloc(base, used, pointers);
        layer->x_count = fs_arena_alloc(base, used, rows * (ptrdiff_t)sizeof(int32_t));
    }
    layer->fetches = layer->kind == FS_DENSE && !data->copies && !data->skips;
    if (job->mode == FS_TRAIN && data->order && !data->lists && !data->copies && !on_blas && !job->step.flush_steps)
        layer->x_next = fs_arena_alloc(base, used, pointers);
    if (data->skips) {
        fs_choose_kind(job, layer, layer->ops->on_bits);
        layer->x_bits = fs_arena_alloc(base, used, pointers);
        input->bits_ld = (layer->inputs + 63) / 64;
        input->bits = fs_arena_alloc(base, used, rows * input->bits_ld * (ptrdiff_t)sizeof(uint64_t));
    }
    if (data->copies || (on_blas && data->order)) {
        input->copy_ld = layer->inputs + 64 / job->ops->item;
        input->copy = fs_arena_alloc(base, used, rows * input->copy_ld * job->ops->item);
    }
}

/* what layer l keeps of each row */
static void bind_layer(fs_job *job, char *base, ptrdiff_t *used, ptrdiff_t batch_rows, int l) {
    fs_layer *layer = &job->net.layers[l], *below = layer - 1;
    const ptrdiff_t rows = batch_rows * layer->copies;
    const ptrdiff_t item = job->ops->item, size = rows * layer->ld * item;
    const int is_last = l == job->net.depth - 1;
    layer->x = fs_arena_alloc(base, used, rows * (ptrdiff_t)sizeof(void *));
    if (job->mode >= FS_DELTAS && (fs_stores_slope(layer->activation) || layer->drops))
        layer->slope = fs_arena_alloc(base, used, size);
    if (layer->ops->measure)
        layer->figures = fs_arena_alloc(base, used, FS_FIGURES * layer->outputs * item);
    if (job->mode >= FS_DELTAS && layer->ops->kept)
        layer->kept = fs_arena_alloc(base, used, rows * layer->ops->kept(layer) * item);
    if (job->mode >= FS_DELTAS || (job->mode == FS_COST && is_last))
        layer->delta = fs_arena_alloc(base, used, size);
    layer->a = is_last && (layer->delta || layer->copies == 1) ? layer->delta : fs_arena_alloc(base, used, size);
    for (ptrdiff_t r = 0; l > 0 && base && r < rows; r++)
        layer->x[r] = (const char *)below->a + r * below->copies / layer->copies * below->ld * item;
    job->work.scratch_size = fs_max(job->work.scratch_size, (layer->ops->scratch(layer) * item + 127) / 64 * 64);
}

/* whether the gradient of a step outlives its tiles */
static int keeps_gradient(const fs_job *job) {
    return job->mode == FS_TRAIN && (job->step.batch > job->step.chunk_rows || job->step.clip_norm > 0);
}

/* The lists of rows by level, all empty; and where a step changes only rows of the table that its batch has, which they
 * are in a gradient that is kept: none, so that all of it is 0. */
static void bind_embeddings(fs_job *job, char *base, ptrdiff_t *used, ptrdiff_t rows) {
    fs_columns *columns = job->net.layers[0].columns;
    fs_tensor *table = &job->net.layers[0].tensor[columns->embeddings];
    const ptrdiff_t index = sizeof(int32_t), numbers = table->rows * table->cols;
    columns->lazy = columns->lazy && job->mode == FS_TRAIN;
    columns->next_ld = rows;
    columns->next = fs_arena_alloc(base, used, columns->embedded * rows * index);
    columns->head = fs_arena_alloc(base, used, table->rows * index);
    if (columns->lazy && keeps_gradient(job))
        table->touched = fs_arena_alloc(base, used, table->rows);
    if (base)
        memset(columns->head, 0, (size_t)(table->rows * index));
    if (base && table->touched) {
        memset(table->touched, 0, (size_t)table->rows);
        memset((char *)job->net.gradient + table->offset * job->ops->item, 0, (size_t)(numbers * job->ops->item));
    }
}

/* what the first layer keeps of each row beside its features, where it encodes columns */
static void bind_columns(fs_job *job, char *base, ptrdiff_t *used, ptrdiff_t rows) {
    fs_columns *columns = job->net.layers[0].columns;
    const ptrdiff_t size = rows * columns->numbers * job->ops->item;
    if (job->mode >= FS_DELTAS && columns->outputs)
        columns->kept_basis = fs_arena_alloc(base, used, size * columns->terms);
    if (job->mode >= FS_DELTAS && columns->angles)
        columns->angle_delta = fs_arena_alloc(base, used, size * columns->angles);
    if (job->mode >= FS_GRADIENT && columns->embedded)
        bind_embeddings(job, base, used, rows);
    if (columns->skips) {
        columns->bits_ld = (columns->skips->inputs + 63) / 64;
        columns->bits = fs_arena_alloc(base, used, rows * columns->bits_ld * (ptrdiff_t)sizeof(uint64_t));
        columns->skips->x_bits = fs_arena_alloc(base, used, rows * (ptrdiff_t)sizeof(void *));
        for (ptrdiff_t r = 0; base && r < rows; r++)
            columns->skips->x_bits[r] = columns->bits + r * columns->bits_ld;
    }
}

/* for rules that need whole matrices: their directions, and what makes one of them after the other orthogonal */
static void bind_matrices(fs_job *job, char *base, ptrdiff_t *used) {
    const ptrdiff_t item = job->ops->item;
    fs_matrix *matrix = &job->work.matrix;
    ptrdiff_t iterate = 0, gram = 0, pieces = 0;
    FS_EACH_TENSOR(job, layer, tensor) {
        const ptrdiff_t cols = fs_min(tensor->rows, tensor->cols), size = fs_padded(cols, item) * item;
        if (!fs_traits[tensor->rule].whole_matrix)
            continue;
        if (!keeps_gradient(job))
            tensor->gradient = fs_arena_alloc(base, used, tensor->rows * tensor->cols * item);
        iterate = fs_max(iterate, fs_max(tensor->rows, tensor->cols) * size);
        gram = fs_max(gram, cols * size);
        pieces = fs_max(pieces, fs_pieces_in(tensor->rows));
    }
    if (!pieces)
        return;
    matrix->x = fs_arena_alloc(base, used, iterate);
    matrix->next = fs_arena_alloc(base, used, iterate);
    matrix->gram = fs_arena_alloc(base, used, gram);
    matrix->polynomial = fs_arena_alloc(base, used, gram);
    matrix->squares = fs_arena_alloc(base, used, pieces * (ptrdiff_t)sizeof(double));
}

ptrdiff_t fs_bind_workspace(fs_job *job, char *base, int threads) {
    const ptrdiff_t item = job->ops->item, number = sizeof(double);
    const int whole_batches = job->mode >= FS_GRADIENT;
    const ptrdiff_t rows = whole_batches ? job->step.block : threads * job->step.block_rows;
    const ptrdiff_t all_rows = rows * fs_members(job), costs = whole_batches ? all_rows : fs_blocks_of(job);
    fs_workspace *work = &job->work;
    ptrdiff_t used = 0;
    if (job->mode >= FS_COST) {
        work->cost = fs_arena_alloc(base, &used, costs * number);
        work->score = fs_arena_alloc(base, &used, costs * number);
        work->labels = fs_arena_alloc(base, &used, all_rows * (ptrdiff_t)sizeof(int32_t));
        work->targets = fs_arena_alloc(base, &used, all_rows * job->data.target.cols * item);
    }
    if (job->data.target.aggressive)
        work->row_squares = fs_arena_alloc(base, &used, rows * number);
    if (whole_batches && job->data.sample_weight)
        work->weight = fs_arena_alloc(base, &used, all_rows * number);
    if (job->step.clip_norm > 0)
        work->squares = fs_arena_alloc(base, &used, fs_pieces(job) * number);
    bind_rows(job, base, &used, rows);
    if (keeps_gradient(job))
        job->net.gradient = fs_arena_alloc(base, &used, job->net.parameters * item);
    if (job->net.layers[0].columns)
        bind_columns(job, base, &used, rows);
    for (int l = 0; l < job->net.depth; l++)
        bind_layer(job, base, &used, rows, l);
    if (job->mode >= FS_COST)                           /* logits, transposed */
        work->scratch_size = fs_max(work->scratch_size, FS_BLOCK_ROWS * job->net.layers[job->net.depth - 1].outputs * item);
    work->scratch = fs_arena_alloc(base, &used, threads * work->scratch_size);
    fs_bind_parameters(job);
    bind_matrices(job, base, &used);
    FS_EACH_TENSOR(job, layer, tensor)
        if (tensor->ld != tensor->cols) {
            tensor->home = tensor->value;
            tensor->value = fs_arena_alloc(base, &used, tensor->rows * tensor->ld * item);
        }
    if (job->step.flush_steps)
        fs_bind_linear(job, base, &used);
    return used;
}
