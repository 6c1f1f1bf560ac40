/* The parts of a step that every instruction set and dtype share. */
#include "job.h"
#include "os.h"

#include <math.h>
#include <string.h>

enum { PIECE_ROWS = 6 };      /* the height of a register tile */

/* ---- shares of the threads ---- */

ptrdiff_t fs_share(ptrdiff_t things, ptrdiff_t rank, ptrdiff_t size) { return things * fs_min(rank, size) / size; }

ptrdiff_t fs_pieces_in(ptrdiff_t rows) { return (rows + PIECE_ROWS - 1) / PIECE_ROWS; }

fs_part fs_part_of_rows(ptrdiff_t rows, int turn, int size) {
    const ptrdiff_t pieces = fs_pieces_in(rows);
    const ptrdiff_t first = fs_min(rows, PIECE_ROWS * fs_share(pieces, turn, size));
    return (fs_part){first, fs_min(rows, PIECE_ROWS * fs_share(pieces, turn + 1, size)) - first};
}

fs_part fs_part_of(const fs_tensor *tensor, int l, int rank, int size) {
    const int turn = (rank + l) % size;
    if (rank >= size)
        return (fs_part){0, 0};
    if (tensor->rows == 1)
        return (fs_part){0, turn == 0};
    return fs_part_of_rows(tensor->rows, turn, size);
}

/* ---- rows ---- */

static ptrdiff_t row_at(const fs_job *job, ptrdiff_t place) { return job->data.order ? job->data.order[place] : place; }

static fs_layer *output_of(const fs_job *job) { return &job->net.layers[job->net.depth - 1]; }

ptrdiff_t fs_members(const fs_job *job) { return output_of(job)->copies; }

/* rows begin .. begin + n of the batch, where they lie, to the first layer that has each several times */
static void point_at_copies(fs_job *job, ptrdiff_t begin, ptrdiff_t n) {
    const fs_layer *layer = &job->net.layers[0];
    for (ptrdiff_t r = begin * layer->copies; r < (begin + n) * layer->copies; r++)
        layer->x[r] = job->work.rows[r / layer->copies];
}

/* n rows of so many bytes become "copies" of each, the last first, as they overwrite each other */
static void copy_rows(char *rows, ptrdiff_t n, ptrdiff_t copies, ptrdiff_t size) {
    for (ptrdiff_t r = n * copies - 1; copies > 1 && r > 0; r--)
        memmove(rows + r * size, rows + r / copies * size, (size_t)size);
}

void fs_gather(fs_job *job, ptrdiff_t first, ptrdiff_t begin, ptrdiff_t n) {
    const fs_data *data = &job->data;
    const int64_t *order = data->order ? data->order + first : NULL;
    const int64_t *next = order && first + job->step.batch + n <= data->rows ? order + job->step.batch : NULL;
    const ptrdiff_t cols = data->target.cols, size = cols * job->ops->item, members = fs_members(job);
    char *targets = (char *)job->work.targets + begin * members * size;
    int32_t *labels = job->work.labels + begin * members;
    const fs_layer *layer = &job->net.layers[0];
    const void **to = layer->copies > 1 ? job->work.rows : layer->x;
    if (!job->ops->gather(&data->input, order, next, first, layer, to, begin, n))
        job->result.invalid_row = 1;
    if (layer->copies > 1)
        point_at_copies(job, begin, n);
    if (data->target.labels) {
        for (ptrdiff_t i = 0; i < n * members; i++) {
            const int32_t label = data->target.labels[row_at(job, first + i / members)];
            const int valid = 0 <= label && label < data->target.classes;
            if (!valid)
                job->result.invalid_row = 1;
            labels[i] = valid ? label : 0;
        }
    } else if (data->target.targets) {
        job->ops->gather_rows(data->target.targets, cols, order, first, n, targets);
        copy_rows(targets, n, members, size);
    }
    if (data->smoothed)
        job->ops->smooth(n * members, cols, data->target.labels ? labels : NULL, data->target.in_order,
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
    const ptrdiff_t members = fs_members(job);
    for (ptrdiff_t i = 0; i < n * members; i++) {
        const double weight = job->data.sample_weight[row_at(job, first + i / members)];
        cost[i] = weight != 0 ? weight * cost[i] : 0;       /* 0 times an infinite cost is 0 here */
        score[i] = weight != 0 ? weight * score[i] : 0;
    }
}

void fs_apply_sample_weight(fs_job *job, ptrdiff_t first, ptrdiff_t n, ptrdiff_t begin) {
    const fs_layer *output = output_of(job);
    const ptrdiff_t members = fs_members(job), at = begin * members;
    for (ptrdiff_t i = 0; i < n * members; i++)
        job->work.weight[at + i] = job->data.sample_weight[row_at(job, first + i / members)];
    fs_weight_costs(job, first, n, job->work.cost + at, job->work.score + at);
    job->ops->apply_sample_weight(n * members, output->outputs, output->ld, job->work.weight + at,
                                  (char *)output->delta + at * output->ld * job->ops->item);
}

/* ---- layers whose rows depend on each other ---- */

/* the layer that is the n-th of them from below */
static int met_as(const fs_job *job, int n) {
    int l = 0;
    for (; n > 0 || !job->net.layers[l].ops->measure; l++)
        n -= job->net.layers[l].ops->measure != NULL;
    return l;
}

fs_stage fs_stage_of(const fs_job *job, int stage) {
    const int meetings = job->net.meetings, depth = job->net.depth, back = 2 * meetings - stage;
    fs_stage of = {.first = depth, .end = depth, .gathers = stage == 0, .turns = back == meetings, .ends = back == 0,
                   .of = stage <= meetings ? FS_OF_ROWS : FS_OF_DELTAS};
    if (stage <= meetings) {
        of.first = stage ? met_as(job, stage - 1) : 0;
        of.end = stage < meetings ? met_as(job, stage) : depth;
    }
    if (stage >= meetings) {
        of.top = stage > meetings ? met_as(job, back) : depth - 1;
        of.bottom = back ? met_as(job, back - 1) : job->net.lowest;
    }
    if (stage)
        of.met = &job->net.layers[stage <= meetings ? of.first : of.top];
    return of;
}

void fs_measure(const fs_job *job, const fs_layer *layer, int what, ptrdiff_t rows, int rank, int size) {
    const ptrdiff_t first = fs_share(layer->outputs, rank, size), end = fs_share(layer->outputs, rank + 1, size);
    if (first < end)
        layer->ops->measure(layer, what, first, end - first, rows, job->work.scratch + rank * job->work.scratch_size);
}

void fs_measure_all(const fs_job *job, int what, ptrdiff_t rows, int rank, int size) {
    for (int l = 0; job->net.meetings && l < job->net.depth; l++)
        if (job->net.layers[l].ops->measure)
            fs_measure(job, &job->net.layers[l], what, rows, rank, size);
}

/* ---- the step ---- */

const fs_rule_traits fs_traits[] = {
    [FS_SGD] = {.plain = 1},
    [FS_ADAM] = {0},
    [FS_ADAMW] = {.decays_apart = 1},
    [FS_NADAMW] = {.decays_apart = 1},
    [FS_SCHEDULE_FREE_ADAMW] = {.decays_apart = 1},
    [FS_RMSPROP] = {0},
    [FS_ADAGRAD] = {0},
    [FS_LION] = {.decays_apart = 1},
    [FS_MUON] = {.decays_apart = 1, .whole_matrix = 1},
    [FS_PASSIVE_AGGRESSIVE] = {.plain = 1},
};

/* Dozat 2016, with PyTorch's warm-up: powers are of mu_decay, at this step and the next. */
static void correct_nadam(fs_rule *rule, const double *powers) {
    const double mu = rule->beta_1 * (1 - 0.5 * powers[0]), next = rule->beta_1 * (1 - 0.5 * powers[1]);
    rule->carried.mu_product *= mu;
    rule->gradient_share = (1 - mu) / (1 - rule->carried.mu_product);
    rule->correction_1 = (1 - rule->carried.mu_product * next) / next;       /* infinite where beta_1 is 0 */
}

/* Defazio et al. 2024: the rate is the corrected one, its square the weight. */
static void weigh_schedule_free(fs_rule *rule) {
    const double rate = rule->learning_rate * rule->correction_2, weight = rate * rate;
    rule->carried.weight_sum += weight;
    rule->average_weight = weight > 0 ? weight / rule->carried.weight_sum : 0;
}

fs_rule fs_rule_of_step(const fs_job *job, ptrdiff_t step, double batch_weight, fs_carried before) {
    fs_rule rule = job->step.rule;
    if (job->mode != FS_TRAIN)
        return rule;
    rule.learning_rate = job->step.learning_rates[step];
    if (job->step.weight_decays)
        rule.weight_decay = job->step.weight_decays[step];
    rule.carried = before;
    rule.carried.cumulative_l1 += rule.learning_rate * rule.l1 * rule.truncates_l1;
    rule.correction_1 = rule.correction_2 = rule.clip_factor = 1;
    if (batch_weight > 0)
        rule.l2 += job->step.alpha / batch_weight;
    switch (rule.kind) {
    case FS_ADAM:
    case FS_ADAMW:
    case FS_MUON:                                       /* for what AdamW changes */
        rule.correction_1 = 1 - job->step.powers[0][step];
        rule.correction_2 = sqrt(1 - job->step.powers[1][step]);
        break;
    case FS_NADAMW:
        correct_nadam(&rule, job->step.powers[0] + step);
        rule.correction_2 = sqrt(1 - job->step.powers[1][step]);
        break;
    case FS_SCHEDULE_FREE_ADAMW:
        rule.correction_2 = sqrt(1 - job->step.powers[1][step]);
        weigh_schedule_free(&rule);
        break;
    case FS_PASSIVE_AGGRESSIVE:               /* the deltas are steps already; the rate is left to the penalties */
        rule.l1 *= rule.learning_rate;
        rule.l2 *= rule.learning_rate;
        rule.weight_decay *= rule.learning_rate;
        rule.learning_rate = 1;
        break;
    }
    return rule;
}

int fs_poll_is_due(const fs_job *job) {
    return job->control.poll && fs_seconds() - job->control.last_poll >= FS_POLL_SECONDS;
}

int fs_accumulate_cost(fs_job *job, fs_team *team, const fs_chunk *chunk, int rank, int size) {
    fs_result *result = &job->result;
    const ptrdiff_t members = fs_members(job);
    const double cost = fs_sum(chunk->rows * members, job->work.cost) / (double)members;
    const int ok = isfinite(cost) && !result->invalid_row;
    if (rank != 0)
        return ok;
    if (chunk->first_of_batch)
        result->batch_cost = result->batch_score = 0;
    result->batch_cost += cost;
    result->batch_score += fs_sum(chunk->rows * members, job->work.score) / (double)members;
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

void fs_square_pieces(const fs_job *job, const fs_tensor *tensor, fs_part part, double *squares) {
    const ptrdiff_t end = fs_pieces_in(part.first + part.rows);
    for (ptrdiff_t piece = part.first / PIECE_ROWS; piece < end; piece++) {
        const ptrdiff_t row = piece * PIECE_ROWS;
        squares[piece] = job->ops->sum_of_squares(fs_min(PIECE_ROWS, tensor->rows - row) * tensor->cols,
                                                  (const char *)tensor->gradient + row * tensor->cols * job->ops->item);
    }
}

void fs_square_gradient(fs_job *job, int rank, int size) {
    double *squares = job->work.squares;
    FS_EACH_TENSOR(job, layer, tensor) {
        fs_square_pieces(job, tensor, fs_part_of(tensor, (int)(layer - job->net.layers), rank, size), squares);
        squares += fs_pieces_in(tensor->rows);
    }
}
