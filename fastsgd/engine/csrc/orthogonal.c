/* Muon's step of a matrix, by a team: the direction that its rule has left in the gradient's place is made nearly
 * orthogonal (orthogonal.inc), and the matrix takes a step along it. */
#include "job.h"

#include <math.h>

enum { ITERATIONS = 5 };
static const double SMALLEST_NORM = 1e-7;          /* a gradient that vanishes is not blown up */

void fs_orthogonalize(const fs_job *job, fs_team *team, const fs_layer *layer, const fs_tensor *tensor,
                      const fs_rule *rule, int rank, int size) {
    const fs_ops *ops = job->ops;
    const fs_part own = fs_part_of(tensor, (int)(layer - job->net.layers), rank, size);
    fs_matrix matrix = job->work.matrix;
    matrix.rows = fs_max(tensor->rows, tensor->cols);
    matrix.cols = fs_min(tensor->rows, tensor->cols);
    matrix.ld = fs_padded(matrix.cols, ops->item);
    const fs_part share = fs_part_of_rows(matrix.rows, rank, size);

    fs_square_pieces(job, tensor, own, matrix.squares);
    fs_team_barrier(team);
    const double norm = sqrt(fs_sum(fs_pieces_in(tensor->rows), matrix.squares));
    ops->begin_matrix(&matrix, tensor, 1 / (norm < SMALLEST_NORM ? SMALLEST_NORM : norm), own.first, own.rows);
    for (int i = 0; i < ITERATIONS; i++) {
        fs_team_barrier(team);
        ops->gram(&matrix, rank, size);
        fs_team_barrier(team);
        ops->polynomial(&matrix, rank, size);
        fs_team_barrier(team);
        ops->iterate(&matrix, share.first, share.rows);
        void *x = matrix.x;
        matrix.x = matrix.next;
        matrix.next = x;
    }
    fs_team_barrier(team);
    ops->step_along(&matrix, tensor, rule, own.first, own.rows);
}
