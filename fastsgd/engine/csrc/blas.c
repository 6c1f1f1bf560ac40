/* Opens the private OpenBLAS at run time.
 *
 * The library is opened by absolute path with local symbols, so it neither sees nor disturbs the copies
 * that NumPy and SciPy carry, and it runs on one thread: fastsgd's own team calls it concurrently.
 */
#include "fastsgd.h"
#include "blas.h"
#include "os.h"

#include <stdio.h>

fs_blas_table fs_blas;
static char error[8192];             /* which begins with a path */

static void *symbol(void *library, const char *name) {
    char prefixed[96];
    snprintf(prefixed, sizeof prefixed, "scipy_%s", name);
    void *found = fs_library_symbol(library, prefixed);
    return found ? found : fs_library_symbol(library, name);
}

const char *fs_blas_load(const char *path) {
    void *library = fs_library_open(path, error, sizeof error);
    if (!library)
        return error;
    fs_blas_table table = {0};
    *(void **)&table.sgemm = symbol(library, "cblas_sgemm");
    *(void **)&table.dgemm = symbol(library, "cblas_dgemm");
    void (*set_num_threads)(int);
    char *(*get_config)(void);
    *(void **)&set_num_threads = symbol(library, "openblas_set_num_threads");
    *(void **)&get_config = symbol(library, "openblas_get_config");
    if (!table.sgemm || !table.dgemm || !set_num_threads || !get_config) {
        snprintf(error, sizeof error, "%s lacks cblas_sgemm, cblas_dgemm, openblas_set_num_threads or "
                 "openblas_get_config: it is not OpenBLAS", path);
        fs_library_close(library);
        return error;
    }
    set_num_threads(1);
    table.config = get_config();
    fs_blas = table;
    return NULL;
}

const char *fs_blas_config(void) { return fs_blas.config ? fs_blas.config : ""; }
