/* Elementary functions of float64 whose bits depend on no system's libm: schedules of rates go through them.
 *
 * Each works with sums of two float64, some 104 bits (Dekker 1971, "A floating-point technique for extending the available
 * precision"), and rounds once at the end, so that all but about one of 2^40 results are the correctly rounded ones. Only
 * additions, multiplications, divisions and exact functions are used, which IEEE 754 fixes.
 */
#include "elementary.h"

#include <math.h>

typedef struct { double high, low; } pair;               /* high is the sum of both, rounded */

static const pair LN2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
static const double HALF_PI[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
static const pair INVERSE_FACTORIALS[] = {            /* of 2 to 27 */
    {0x1.0000000000000p-1, 0x0.0p+0},
    {0x1.5555555555555p-3, 0x1.5555555555555p-57},
    {0x1.5555555555555p-5, 0x1.5555555555555p-59},
    {0x1.1111111111111p-7, 0x1.1111111111111p-63},
    {0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65},
    {0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-73},
    {0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-76},
    {0x1.71de3a556c734p-19, -0x1.c154f8ddc6c00p-73},
    {0x1.27e4fb7789f5cp-22, 0x1.cbbc05b4fa99ap-76},
    {0x1.ae64567f544e4p-26, -0x1.c062e06d1f209p-80},
    {0x1.1eed8eff8d898p-29, -0x1.2aec959e14c06p-83},
    {0x1.6124613a86d09p-33, 0x1.f28e0cc748ebep-87},
    {0x1.93974a8c07c9dp-37, 0x1.05d6f8a2efd1fp-92},
    {0x1.ae7f3e733b81fp-41, 0x1.1d8656b0ee8cbp-97},
    {0x1.ae7f3e733b81fp-45, 0x1.1d8656b0ee8cbp-101},
    {0x1.952c77030ad4ap-49, 0x1.ac981465ddc6cp-103},
    {0x1.6827863b97d97p-53, 0x1.eec01221a8b0bp-107},
    {0x1.2f49b46814157p-57, 0x1.2650f61dbdcb4p-112},
    {0x1.e542ba4020225p-62, 0x1.ea72b4afe3c2fp-120},
    {0x1.71b8ef6dcf572p-66, -0x1.d043ae40c4647p-120},
    {0x1.0ce396db7f853p-70, -0x1.aebcdbd20331cp-124},
    {0x1.761b41316381ap-75, -0x1.3423c7d91404fp-130},
    {0x1.f2cf01972f578p-80, -0x1.9ada5fcc1ab14p-135},
    {0x1.3f3ccdd165fa9p-84, -0x1.58ddadf344487p-139},
    {0x1.88e85fc6a4e5ap-89, -0x1.71c37ebd16540p-143},
    {0x1.d1ab1c2dccea3p-94, 0x1.054d0c78aea14p-149}};

static inline pair inverse_factorial(int n) { return INVERSE_FACTORIALS[n - 2]; }

/* ---- arithmetic ---- */

/* |a| >= |b|, or a = 0 */
static inline pair quick_sum(double a, double b) {
    const double sum = a + b;
    return (pair){sum, b - (sum - a)};
}

static inline pair two_sum(double a, double b) {
    const double sum = a + b, part = sum - a;
    return (pair){sum, (a - (sum - part)) + (b - part)};
}

static inline pair split(double a) {
    const double scaled = 0x1p27 * a + a, high = scaled - (scaled - a);
    return (pair){high, a - high};
}

static inline pair two_product(double a, double b) {
    const pair s = split(a), t = split(b);
    const double product = a * b;
    return (pair){product, ((s.high * t.high - product) + s.high * t.low + s.low * t.high) + s.low * t.low};
}

static inline pair negative(pair a) { return (pair){-a.high, -a.low}; }

static inline pair add(pair a, pair b) {
    const pair high = two_sum(a.high, b.high), low = two_sum(a.low, b.low);
    const pair sum = quick_sum(high.high, high.low + low.high);
    return quick_sum(sum.high, sum.low + low.low);
}

static inline pair multiply(pair a, pair b) {
    const pair product = two_product(a.high, b.high);
    return quick_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

static inline pair scaled(pair a, double power_of_two) { return (pair){a.high * power_of_two, a.low * power_of_two}; }

static inline pair divide(pair a, pair b) {
    const double first = a.high / b.high;
    const pair rest = add(a, negative(multiply((pair){first, 0}, b)));
    return quick_sum(first, (rest.high + rest.low) / b.high);
}

/* ---- exp and log ---- */

/* exp(r) - 1 for |r| < 0.36: of r / 512 by its series, then doubled nine times by exp(2 r) - 1 = p (p + 2). */
static pair expm1_of(pair r) {
    enum { TERMS = 9, DOUBLINGS = 9 };
    const pair part = scaled(r, 0x1p-9);
    pair sum = inverse_factorial(TERMS);
    for (int n = TERMS - 1; n >= 2; n--)
        sum = add(multiply(sum, part), inverse_factorial(n));
    sum = add(multiply(multiply(sum, part), part), part);
    for (int i = 0; i < DOUBLINGS; i++)
        sum = add(multiply(sum, sum), scaled(sum, 2));
    return sum;
}

static double exp_of(pair x) {
    if (!(x.high < 710))
        return x.high + INFINITY;                       /* or NaN */
    if (x.high < -746)
        return 0;
    const double power = floor(x.high / LN2.high + 0.5);
    const pair r = add(add(x, negative(two_product(power, LN2.high))), negative(two_product(power, LN2.low)));
    const pair result = add((pair){1, 0}, expm1_of(r));
    return ldexp(result.high, (int)power);
}

/* For 0 < x < infinity: the logarithm of x / 2^e, between the roots of 1/2 and 2, by its series, mended by Halley's step of
 * exp(y) = m, and the logarithm of 2^e. */
static pair log_of(double x) {
    int power;
    double m = frexp(x, &power);
    if (m < 0.70710678118654752) {
        m *= 2;
        power--;
    }
    const double s = (m - 1) / (m + 1), square = s * s;
    double y = 0;
    for (int n = 21; n >= 1; n -= 2)
        y = y * square + 1.0 / n;
    y *= 2 * s;
    const pair p = expm1_of((pair){y, 0}), rest = add((pair){m - 1, 0}, negative(p));
    const pair step = divide(rest, add(p, (pair){m + 1, 0}));
    const pair log_m = add((pair){y, 0}, scaled(step, 2));
    return add(add(two_product(power, LN2.high), two_product(power, LN2.low)), log_m);
}

double fs_exp(double x) { return exp_of((pair){x, 0}); }

double fs_log(double x) {
    if (!(x > 0) || x == INFINITY)
        return x == 0 ? -INFINITY : x > 0 ? INFINITY : NAN;
    return log_of(x).high;
}

double fs_log2(double x) {
    if (!(x > 0) || x == INFINITY)
        return fs_log(x);
    return divide(log_of(x), LN2).high;
}

double fs_pow(double x, double y) {
    if (y == 0 || x == 1)
        return 1;
    if (!(x > 0) || x == INFINITY || !isfinite(y)) {
        if (isnan(x) || isnan(y) || x < 0)
            return NAN;
        if (!isfinite(y))
            return (y > 0) == (x > 1) ? INFINITY : 0;
        return (y > 0) == (x > 0) ? INFINITY : 0;       /* x is 0 or infinite */
    }
    const pair log_x = log_of(x);
    if (fabs(y) > 0x1p60)                               /* beyond every result, and splitting it could overflow */
        return (y > 0) == (x > 1) ? INFINITY : 0;
    return exp_of(multiply(log_x, (pair){y, 0}));
}

/* ---- cos ---- */

static pair series(pair r, int first, int last) {       /* sum of (-1)^n r^(2n + first) / (2n + first)! up to r^last */
    const pair square = negative(multiply(r, r));
    pair sum = inverse_factorial(last);
    for (int n = last - 2; n >= 2; n -= 2)
        sum = add(multiply(sum, square), inverse_factorial(n));
    sum = add(multiply(sum, square), (pair){1, 0});
    return first ? multiply(sum, r) : sum;
}

double fs_cos(double x) {
    if (!(fabs(x) < 0x1p30))
        return NAN;
    const double quarters = floor(x / HALF_PI[0] + 0.5);
    pair r = {x, 0};
    for (int i = 0; i < 3; i++)
        r = add(r, negative(two_product(quarters, HALF_PI[i])));
    switch ((long long)quarters & 3) {
    case 0: return series(r, 0, 26).high;
    case 1: return -series(r, 1, 27).high;
    case 2: return -series(r, 0, 26).high;
    default: return series(r, 1, 27).high;
    }
}
