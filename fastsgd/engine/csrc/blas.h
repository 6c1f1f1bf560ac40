/* The table of BLAS functions that blas.c fills and operations.inc calls. */
#ifndef FASTSGD_BLAS_H
#define FASTSGD_BLAS_H

enum { BLAS_ROW_MAJOR = 101, BLAS_NO_TRANS = 111, BLAS_TRANS = 112 };

typedef struct {
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                  const float *b, int ldb, float beta, float *c, int ldc);
    void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
                  const double *b, int ldb, double beta, double *c, int ldc);
    const char *config;
} fs_blas_table;

extern fs_blas_table fs_blas;

#endif
