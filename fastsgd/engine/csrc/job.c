/* The parts of a step that every instruction set and dtype share. */
#include "job.h"

#include <math.h>
#include <string.h>

enum { PIECE_ROWS = 6 };      /* the height of a register tile */

/* ---- shares of the threads ---- */

ptrdiff_t fs_share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size) { return things * fs_min(rank, size) / size; }

ptrdiff_t fs_pieces_in(ptrdiff_t rows) { return (rows + PIECE_ROWS - 1) / PIECE_ROWS; }

fs_part fs_part_of(const fs_tensor *tensor, int l, int rank, int size) {
    const ptrdiff_t turn = (rank + l) % size, pieces = fs_pieces_in(tensor->rows);
    fs_part part = {0, 0};
    if (rank >= size)
        return part;
    if (tensor->rows == 1) {
        part.rows = turn == 0;
        return part;
    }
    part.first = fs_min(tensor->rows, PIECE_ROWS * fs_share(pieces, turn, size));
    part.rows = fs_min(tensor->rows, PIECE_ROWS * fs_share(pieces, turn + 1, size)) - part.first;
    return part;
}

/* ---- rows ---- */

static ptrdiff_t row_at(const fs_job *job, ptrdiff_t place) { return job->data.order ? job->data.order[place] : place; }

static fs_layer *output_of(const fs_job *job) { return &job->net.layers[job->net.depth - 1]; }

void fs_gather(fs_job *job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) {
    const fs_data *data = &job->data;
    const int64_t *order = data->order ? data->order + first : NULL;
    const int64_t *next = order && first + job->step.batch + n <= data->rows ? order + job->step.batch : NULL;
    const ptrdiff_t cols = data->target.cols;
    char *targets = (char *)job->work.targets + begin * cols * job->ops->item;
    if (!job->ops->gather(&data->input, order, next, first, &job->net.layers[0], begin, n))
        job->result.invalid_row = 1;
    if (data->target.labels) {
        for (ptrdiff_t i = 0; i < n; i++) {
            const int32_t label = data->target.labels[row_at(job, first + i)];
            const int valid = 0 <= label && label < data->target.classes;
            if (!valid)
                job->result.invalid_row = 1;
            job->work.labels[begin + i] = valid ? label : 0;
        }
    } else if (data->target.targets) {
        job->ops->gather_rows(data->target.targets, cols, order, first, n, targets);
    }
    if (data->smoothed)
        job->ops->smooth(n, cols, data->target.labels ? job->work.labels + begin : NULL, data->target.in_order,
                         data->smooth_keep, data->smooth_share, targets);
}

void fs_output_delta(fs_job *job, ptrdiff_t begin, ptrdiff_t n, ptrdiff_t step, double *cost, double *score, char *scratch) {
    const fs_layer *output = output_of(job);
    fs_target target = job->data.target;
    if (target.labels)
        target.labels = job->work.labels + begin;
    if (job->data.smoothed || !target.labels) {
        target.targets = (char *)job->work.targets + begin * target.cols * job->ops->item;
        if (target.loss == FS_CROSS_ENTROPY)
            target.labels = NULL;
    }
    if (target.aggressive) {
        job->ops->square_rows(&job->net.layers[0], begin, n, job->work.row_squares + begin);
        target.squares = job->work.row_squares + begin;
        target.rate = job->step.learning_rates[step];
    }
    job->ops->cost_and_delta(&target, output, begin, n, cost, score, scratch);
}

ptrdiff_t fs_delta_row_width(const fs_job *job) {
    ptrdiff_t numbers = -output_of(job)->outputs;
    for (int l = 0; l < job->net.depth; l++)
        numbers += 2 * job->net.layers[l].outputs;
    return numbers;
}

void fs_write_activations_and_deltas(const fs_job *job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) {
    const ptrdiff_t item = job->ops->item;
    char *out = (char *)job->work.out + first * fs_delta_row_width(job) * item;
    for (ptrdiff_t row = begin; row < begin + n; row++)
        for (int deltas = 0; deltas < 2; deltas++)
            for (int l = 0; l < job->net.depth - !deltas; l++) {
                const fs_layer *layer = &job->net.layers[l];
                const size_t size = (size_t)(layer->outputs * item);
                memcpy(out, (const char *)(deltas ? layer->delta : layer->a) + row * layer->ld * item, size);
                out += size;
            }
}

/* ---- weights of rows ---- */

double fs_weight_of(const fs_job *job, ptrdiff_t first, ptrdiff_t rows) {
    double total = 0;
    if (!job->data.sample_weight)
        return (double)rows;
    for (ptrdiff_t i = first; i < first + rows; i++)
        total += job->data.sample_weight[row_at(job, i)];
    return total;
}

void fs_weight_costs(const fs_job *job, ptrdiff_t first, ptrdiff_t n, double *cost, double *score) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const double weight = job->data.sample_weight[row_at(job, first + i)];
        cost[i] = weight != 0 ? weight * cost[i] : 0;       /* 0 times an infinite cost is 0 here */
        score[i] = weight != 0 ? weight * score[i] : 0;
    }
}

void fs_apply_sample_weight(fs_job *job, ptrdiff_t first, ptrdiff_t n, ptrdiff_t begin) {
    const fs_layer *output = output_of(job);
    for (ptrdiff_t i = 0; i < n; i++)
        job->work.weight[begin + i] = job->data.sample_weight[row_at(job, first + i)];
    fs_weight_costs(job, first, n, job->work.cost + begin, job->work.score + begin);
    job->ops->apply_sample_weight(n, output->outputs, output->ld, job->work.weight + begin,
                                  (char *)output->delta + begin * output->ld * job->ops->item);
}

/* ---- the step ---- */

double fs_cumulative_l1_after(const fs_job *job, ptrdiff_t steps) {
    double cumulative_l1 = job->step.cumulative_l1;
    if (job->mode == FS_TRAIN)
        for (ptrdiff_t step = 0; step < steps; step++)
            cumulative_l1 += job->step.learning_rates[step] * job->step.rule.l1 * job->step.rule.truncates_l1;
    return cumulative_l1;
}

fs_rule fs_rule_of_step(const fs_job *job, ptrdiff_t step, double batch_weight) {
    fs_rule rule = job->step.rule;
    const double t = (double)(job->step.steps_before + step + 1);
    if (job->mode != FS_TRAIN)
        return rule;
    rule.learning_rate = job->step.learning_rates[step];
    rule.correction_1 = 1 - pow(rule.beta_1, t);
    rule.correction_2 = sqrt(1 - pow(rule.beta_2, t));
    rule.clip_factor = 1;
    if (batch_weight > 0)
        rule.l2 += job->step.alpha / batch_weight;
    if (rule.kind == FS_PASSIVE_AGGRESSIVE) {           /* the deltas are steps already; the rate is left to the penalties */
        rule.l1 *= rule.learning_rate;
        rule.l2 *= rule.learning_rate;
        rule.weight_decay *= rule.learning_rate;
        rule.learning_rate = 1;
    }
    return rule;
}

int fs_poll_is_due(const fs_job *job) {
    return job->control.poll && fs_seconds() - job->control.last_poll >= FS_POLL_SECONDS;
}

int fs_accumulate_cost(fs_job *job, fs_team *team, const fs_chunk *chunk, int rank, int size) {
    fs_result *result = &job->result;
    const double cost = fs_sum(chunk->rows, job->work.cost);
    const int ok = isfinite(cost) && !result->invalid_row;
    if (rank != 0)
        return ok;
    if (chunk->first_of_batch)
        result->batch_cost = result->batch_score = 0;
    result->batch_cost += cost;
    result->batch_score += fs_sum(chunk->rows, job->work.score);
    if (chunk->last_of_batch || !ok) {
        result->cost += result->batch_cost;
        result->score += result->batch_score;
        result->steps += ok;
        if (ok && job->control.team.whole > 1)
            fs_check_contention(&job->control.team, team, chunk->step, size);
    }
    job->control.team.poll_due = fs_poll_is_due(job);
    return ok;
}

ptrdiff_t fs_pieces(const fs_job *job) {
    ptrdiff_t pieces = 0;
    FS_EACH_TENSOR(job, layer, tensor)
        pieces += fs_pieces_in(tensor->rows);
    return pieces;
}

void fs_square_gradient(fs_job *job, int rank, int size) {
    double *squares = job->work.squares;
    FS_EACH_TENSOR(job, layer, tensor) {
        const fs_part part = fs_part_of(tensor, layer->number, rank, size);
        const ptrdiff_t end = fs_pieces_in(part.first + part.rows);
        for (ptrdiff_t piece = part.first / PIECE_ROWS; piece < end; piece++) {
            const ptrdiff_t row = piece * PIECE_ROWS;
            squares[piece] = job->ops->sum_of_squares(
                fs_min(PIECE_ROWS, tensor->rows - row) * tensor->cols,
                (const char *)tensor->gradient + row * tensor->cols * job->ops->item);
        }
        squares += fs_pieces_in(tensor->rows);
    }
}
