/* Elementary functions of float64, the same bits on every system (elementary.c). */
#ifndef FASTSGD_ELEMENTARY_H
#define FASTSGD_ELEMENTARY_H

double fs_exp(double x);
double fs_log(double x);
double fs_log2(double x);
double fs_pow(double x, double y);              /* NaN where x is below 0 */
double fs_cos(double x);                        /* NaN from 2^30 on, in either direction */

#endif
