/* Networks without a hidden layer in small batches: steps on one thread that cost the entries of their rows.
 *
 * The general path touches every weight in every step. Here what a step does to all weights (L2, weight decay, the running
 * average, cumulative L1) is kept in a few numbers, fs_linear, and applied to the weights that a row uses; linear.inc has a
 * worked example. All of it is flushed into the parameters, the optimizer's memory and the average at the end of a pass and
 * after every flush_steps, counted from the beginning of the run. A pass may pause only there, so that a run that was
 * interrupted resumes to the same bits as one that was not.
 *
 * The steps are those of reference.py up to rounding, but for cumulative L1 together with L2 (linear.inc).
 */
#include "job.h"

#include <math.h>
#include <string.h>

static const double SMALLEST_SCALE = 1e-9, MAX_AVERAGE = 1e20;
static const double MAX_CANCELLED = 16;        /* a v / b over W: beyond, the average is a small difference of large numbers */

static void flush(fs_job *job) {
    fs_linear *linear = &job->work.linear;
    job->ops->linear_flush(linear, job->step.average_is_weights);
    linear->scale = linear->average_b = 1;
    linear->average_a = linear->l1_pending = 0;
}

/* Row "at" of the workspace as the i-th of the step, in a list where that is shorter. */
static void point_at_row(fs_job *job, ptrdiff_t at, ptrdiff_t i) {
    const fs_layer *layer = &job->net.layers[0];
    fs_row *row = &job->work.line[i];
    if (job->data.skips) {
        job->ops->list_row(layer, at, job->work.line_index + i * layer->inputs,
                           (char *)job->work.line_value + i * layer->inputs * job->ops->item, row);
        return;
    }
    row->value = layer->x[at];
    row->index = job->data.lists ? layer->x_index[at] : NULL;
    row->count = job->data.lists ? layer->x_count[at] : layer->inputs;
}

/* Asks for the row at this place of the epoch, which is gathered soon, and for what tells of a later one. */
static void fetch_ahead(const fs_job *job, ptrdiff_t place) {
    const fs_data *data = &job->data;
    if (place < data->rows)
        job->ops->fetch(&data->input, data->order ? data->order[place] : place, job->net.layers[0].inputs);
    place += job->step.block;
    if (!data->order || place >= data->rows)
        return;
    const ptrdiff_t row = data->order[place];
    if (data->input.indptr)
        fs_fetch(data->input.indptr + row);
    if (data->target.labels)
        fs_fetch(data->target.labels + row);
    else if (data->target.targets)
        fs_fetch((const char *)data->target.targets + row * data->target.cols * job->ops->item);
    if (data->sample_weight)
        fs_fetch(data->sample_weight + row);
}

/* What the step does to all weights before its rows change some; the average makes ready for its weight. */
static void shrink_and_average(fs_job *job, double shrink, double weight) {
    fs_linear *linear = &job->work.linear;
    const size_t size = (size_t)(linear->inputs * linear->outputs * job->ops->item);
    if (job->net.average) {
        if (weight == 1) {
            job->step.average_is_weights = 1;
            linear->average_a = 0;
            linear->average_b = 1;
        } else if (job->step.average_is_weights) {
            job->step.average_is_weights = 0;
            linear->average_a = linear->scale;
            linear->average_b = 1;
            memset(linear->average, 0, size);
        }
    }
    if (shrink == 0)
        return;
    if (shrink >= 1 || linear->scale * (1 - shrink) < SMALLEST_SCALE)
        flush(job);
    if (shrink >= 1)
        memset(linear->w, 0, size);
    else
        linear->scale *= 1 - shrink;
}

/* The step on rows first .. first + n of the epoch, which are rows at .. at + n of the workspace; or 0. */
static int linear_step(fs_job *job, ptrdiff_t step, ptrdiff_t first, ptrdiff_t at, ptrdiff_t n) {
    fs_linear *linear = &job->work.linear;
    const fs_layer *layer = &job->net.layers[0];
    const fs_rule *rule = &job->step.rule;
    const ptrdiff_t apart = layer->outputs * job->ops->item;
    char *delta = (char *)layer->delta + at * apart;
    double rate = job->step.learning_rates[step];
    const double asked = rate * rule->l1, bias_rate = rate * layer->tensor[FS_B].rate_factor;
    const double weight = job->net.average ? job->step.averaging_weights[step] : 0;

    for (ptrdiff_t i = 0; i < n; i++) {
        fetch_ahead(job, first + i + job->step.block);
        point_at_row(job, at + i, i);
    }
    if (linear->l1_applied && job->work.lists_rows)
        for (ptrdiff_t i = 0; i < n; i++)
            job->ops->sync_l1_row(linear, &job->work.line[i]);
    for (ptrdiff_t i = 0; i < n; i++)
        job->ops->linear_forward(linear, &job->work.line[i], delta + i * apart);
    fs_output_delta(job, at, n, step, job->work.cost + at, job->work.score + at, job->work.scratch);
    if (job->work.weight)
        fs_apply_sample_weight(job, first, n, at);
    const double cost = n == 1 ? job->work.cost[at] : fs_sum(n, job->work.cost + at);
    job->result.cost += cost;
    job->result.score += n == 1 ? job->work.score[at] : fs_sum(n, job->work.score + at);
    if (!isfinite(cost) || job->result.invalid_row)
        return 0;
    job->result.steps++;

    const double divisor = job->step.weighted_steps || !job->work.weight ? (double)n : fs_weight_of(job, first, n);
    const double share = divisor > 0 ? 1 / divisor : 0;
    const double shrink = rate * (rule->l2 + job->step.alpha * share + rule->weight_decay);
    if (rule->kind == FS_PASSIVE_AGGRESSIVE)            /* whose deltas are steps already */
        rate = 1;
    shrink_and_average(job, shrink, weight);
    for (ptrdiff_t i = 0; i < n; i++)
        job->ops->linear_update(linear, &job->work.line[i], -rate * share / linear->scale, delta + i * apart,
                                job->work.scratch);
    const double left = 1 - bias_rate * rule->weight_decay;
    job->ops->linear_biases(linear, n, rate * layer->tensor[FS_B].rate_factor * share, left > 0 ? left : 0, weight, delta);
    if (job->net.average && !job->step.average_is_weights) {
        linear->average_b /= 1 - weight;
        linear->average_a += weight * linear->average_b * linear->scale;
    }
    if (linear->l1_applied) {
        linear->cumulative_l1 += asked;
        job->result.carried.cumulative_l1 = linear->cumulative_l1;
        linear->l1_pending += asked / linear->scale;
        for (ptrdiff_t i = 0; i < n; i++)
            job->ops->truncate_row(linear, &job->work.line[i]);
    }
    if (linear->average_b > MAX_AVERAGE || linear->average_a > MAX_CANCELLED * linear->average_b * linear->scale)
        flush(job);
    return 1;
}

void fs_linear_epoch(fs_job *job) {
    job->work.linear.scale = job->work.linear.average_b = 1;
    job->work.linear.cumulative_l1 = job->result.carried.cumulative_l1;
    for (ptrdiff_t first = 0, step = 0, rows; first < job->data.rows; first += rows) {
        rows = job->data.rows - first < job->step.block ? job->data.rows - first : job->step.block;
        fs_gather(job, first, 0, rows);
        for (ptrdiff_t at = 0, n; at < rows; at += n) {
            n = rows - at < job->step.batch ? rows - at : job->step.batch;
            if (!linear_step(job, step, first + at, at, n)) {
                flush(job);
                return;
            }
            step++;
            if ((job->step.steps_before + step) % job->step.flush_steps)
                continue;
            flush(job);
            if (fs_poll_is_due(job)) {
                job->control.call_poll(job, first + at + n);
                if (job->control.team.stop || job->control.team.pause)
                    return;
            }
        }
    }
    flush(job);
}

void fs_bind_linear(fs_job *job, char *base, ptrdiff_t *used) {
    const fs_layer *layer = &job->net.layers[0];
    fs_linear *linear = &job->work.linear;
    const ptrdiff_t item = job->ops->item, size = layer->inputs * layer->outputs * item, batch = job->step.batch;
    job->work.line = fs_arena_alloc(base, used, batch * (ptrdiff_t)sizeof(fs_row));
    if (job->data.skips) {
        job->work.line_index = fs_arena_alloc(base, used, batch * layer->inputs * (ptrdiff_t)sizeof(int32_t));
        job->work.line_value = fs_arena_alloc(base, used, batch * layer->inputs * item);
    }
    job->work.lists_rows = job->data.lists || job->data.skips;
    linear->inputs = layer->inputs;
    linear->outputs = layer->outputs;
    linear->w = layer->tensor[FS_W].value;
    linear->b = layer->tensor[FS_B].value;
    linear->average = job->net.average;
    linear->average_biases = job->net.average ? (char *)job->net.average + size : NULL;
    if (!job->step.rule.truncates_l1 || job->step.rule.l1 <= 0)
        return;
    linear->l1_applied = layer->tensor[FS_W].slots[0];
    if (job->step.rule.l2 + job->step.alpha + job->step.rule.weight_decay > 0) {
        linear->l1_synced_at = fs_arena_alloc(base, used, size);
        if (base)
            memset(linear->l1_synced_at, 0, (size_t)size);
    }
}
