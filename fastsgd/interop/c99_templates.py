"""The C that to_c writes, to be filled in: {real} is float or double, {f} the suffix that goes with it."""

HEADER = """\
/* {title}
 *
 * {name}_predict computes a row of outputs from a row of inputs.
 * {meaning}
 * It allocates nothing and may run in any number of threads at once. Link with -lm.
{memory} */
#ifndef {NAME}_H
#define {NAME}_H

#ifdef __cplusplus
extern "C" {{
#endif

#define {NAME}_INPUTS {inputs}
#define {NAME}_OUTPUTS {outputs}
{scratch}#define {NAME}_CHECKSUM 0x{checksum:08x}u    /* {file}.c has the same */

{signature};
{more}
#ifdef __cplusplus
}}
#endif

#endif
"""
MEMORY = """\
 *
 * What it keeps between the layers is more than a stack should bear: the caller passes memory for it, one array for
 * each thread, which need not be set to anything.
"""
SOURCE = """\
#include "{file}.h"

{more_headers}#include <math.h>
{string_header}
#if {NAME}_CHECKSUM != 0x{checksum:08x}u
#error "{file}.c and {file}.h are of different networks"
#endif

"""
SCALE = """\
static void {name}_scale(const {real} *restrict x, {real} *restrict out)
{{
    for (int i = 0; i < {NAME}_INPUTS; i++)
        out[i] = {scaled};
}}

"""
SCALE_OUTPUT = """\
static void {name}_scale_output({real} *out)
{{
    for (int i = 0; i < {NAME}_OUTPUTS; i++)
        out[i] = {scaled};
}}

"""
DENSE = """\
/* out = x W + b, where W has a row for each input and a column for each output */
static void {name}_dense(const {real} *restrict x, int inputs, const {real} *restrict W, const {real} *restrict b,
    int outputs, {real} *restrict out)
{{
    for (int j = 0; j < outputs; j++)
        out[j] = b[j];
    for (int i = 0; i < inputs; i++, W += outputs)
        for (int j = 0; j < outputs; j++)
            out[j] += x[i] * W[j];
}}

"""
AVERAGE = """\
/* Adds what a member predicts to out, and after the last makes it the mean. */
static void {name}_average(const {real} *a, int member, {real} *out)
{{
    for (int i = 0; i < {NAME}_OUTPUTS; i++) {{
        out[i] = member ? out[i] + a[i] : a[i];
        if (member == {members} - 1)
            out[i] /= {members};
    }}
}}

"""
LAYERS = {         # other than dense ones; but for the first out may be x
    "adapted_dense": """\
/* out = ((x r) W) s + b, without s where there is none */
static void {name}_adapted_dense(const {real} *restrict x, int inputs, const {real} *restrict W,
    const {real} *restrict r, const {real} *restrict s, const {real} *restrict b, int outputs, {real} *restrict out)
{{
    for (int j = 0; j < outputs; j++)
        out[j] = 0;
    for (int i = 0; i < inputs; i++, W += outputs)
        for (int j = 0; j < outputs; j++)
            out[j] += x[i] * r[i] * W[j];
    for (int j = 0; j < outputs; j++)
        out[j] = (s ? out[j] * s[j] : out[j]) + b[j];
}}

""",
    "multiply": """\
static void {name}_multiply(const {real} *x, const {real} *s, int n, {real} *out)
{{
    for (int i = 0; i < n; i++)
        out[i] = x[i] * s[i];
}}

""",
    "layer_norm": """\
static void {name}_layer_norm(const {real} *x, const {real} *gain, const {real} *shift, {real} epsilon, int n,
    {real} *out)
{{
    {real} mean = 0, variance = 0, deviation;
    for (int i = 0; i < n; i++)
        mean += x[i];
    mean /= n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    deviation = sqrt{f}(variance / n + epsilon);
    for (int i = 0; i < n; i++)
        out[i] = (x[i] - mean) / deviation * gain[i] + shift[i];
}}

""",
    "batch_norm": """\
static void {name}_batch_norm(const {real} *x, const {real} *gain, const {real} *shift, const {real} *mean,
    const {real} *variance, {real} epsilon, int n, {real} *out)
{{
    for (int i = 0; i < n; i++)
        out[i] = (x[i] - mean[i]) / sqrt{f}(variance[i] + epsilon) * gain[i] + shift[i];
}}

""",
    "add": """\
static void {name}_add(const {real} *x, int n, {real} *out)
{{
    for (int i = 0; i < n; i++)
        out[i] += x[i];
}}

""",
}
PARAMETRIC = """\
static void {name}_parametric_{activation}(const {real} *a, const {real} *w, int n, {real} *out)
{{
    for (int i = 0; i < n; i++) {{
        {real} x = a[i], y = {expression};
        out[i] = x + w[i] * (y - x);
    }}
}}

"""
ELEMENTWISE = """\
static void {name}_{activation}({real} *a, int n)
{{
    for (int i = 0; i < n; i++)
        a[i] = {expression};
}}

"""
EXPRESSIONS = {
    "logistic": "1 / (1 + exp{f}(-a[i]))",
    "tanh": "tanh{f}(a[i])",
    "relu": "a[i] > 0 ? a[i] : 0",
    "leaky_relu": "a[i] > 0 ? a[i] : 0.01{f} * a[i]",
    "elu": "a[i] > 0 ? a[i] : expm1{f}(a[i])",
    "gelu": "0.5{f} * a[i] * erfc{f}(-0.70710678118654752{f} * a[i])",
    "silu": "a[i] / (1 + exp{f}(-a[i]))",
    "softplus": "(a[i] > 0 ? a[i] : 0) + log1p{f}(exp{f}(-fabs{f}(a[i])))",
    "selu": "a[i] > 0 ? 1.0507009873554805{f} * a[i] : 1.7580993408473768{f} * expm1{f}(a[i])",
    "mish": "a[i] * tanh{f}((a[i] > 0 ? a[i] : 0) + log1p{f}(exp{f}(-fabs{f}(a[i]))))",
    "hard_sigmoid": "a[i] <= -3 ? 0 : a[i] >= 3 ? 1 : (a[i] + 3) / 6",
    "hard_swish": "a[i] <= -3 ? 0 : a[i] >= 3 ? a[i] : a[i] * ((a[i] + 3) / 6)",
    "hard_tanh": "a[i] < -1 ? -1 : a[i] > 1 ? 1 : a[i]",
    "relu6": "a[i] < 0 ? 0 : a[i] > 6 ? 6 : a[i]",
    "exp": "exp{f}(a[i])",
}
WHOLE_ROWS = {
    "softmax": """\
static void {name}_softmax({real} *a, int n)
{{
    {real} largest = a[0], sum = 0;
    for (int i = 1; i < n; i++)
        largest = a[i] > largest ? a[i] : largest;
    for (int i = 0; i < n; i++) {{
        a[i] = exp{f}(a[i] - largest);
        sum += a[i];
    }}
    for (int i = 0; i < n; i++)
        a[i] /= sum;
}}

""",
    "sorted": """\
static void {name}_sorted({real} *a, int n)
{{
    for (int i = 1; i < n; i++) {{
        const {real} x = a[i];
        int at = i;
        for (; at > 0 && a[at - 1] > x; at--)
            a[at] = a[at - 1];
        a[at] = x;
    }}
}}

""",
    "mean_and_deviation": """\
static void {name}_mean_and_deviation({real} *a, int n)
{{
    for (int i = n / 2; i < n; i++)
        a[i] = exp{f}(a[i]);
}}

""",
}
FEATURES = """
/* The columns of x, in order:
{listed} */
extern const char *const {name}_columns[{NAME}_INPUTS];
"""
FEATURE_NAMES = """\
const char *const {name}_columns[{NAME}_INPUTS] = {{
{names}
}};
"""
CLASSES = """
/* The classes, in order:
{listed} */
#define {NAME}_CLASSES {classes}
extern const char *const {name}_classes[{NAME}_CLASSES];

/* {what} */
{classify};
"""
NAMES = """\
const char *const {name}_classes[{NAME}_CLASSES] = {{
{names}
}};

"""
CLASSIFY = {       # by what is said of a row
    "largest": """\
{classify}
{{
    int best = 0;

    {name}_predict(x, out{scratch_argument});
    for (int k = 1; k < {NAME}_OUTPUTS; k++)
        best = out[k] > out[best] ? k : best;
{share}    return best;
}}
""",
    "second": """\
{classify}
{{
    {real} a[1];

    {name}_predict(x, a{scratch_argument});
    out[1] = {each};
    out[0] = 1 - out[1];
    return a[0] > {threshold};
}}
""",
    "levels": """\
{classify}
{{
    int level = 0;

    {name}_predict(x, out + 1{scratch_argument});
    for (int k = 1; k < {NAME}_CLASSES; k++) {{    /* from the largest on: of classes above the first, the second ... */
        const {real} above = out[k];
        int at = k;
        level += above > {threshold};
        for (; at > 1 && out[at - 1] < above; at--)
            out[at] = out[at - 1];
        out[at] = above;
    }}
    out[0] = 1;
    for (int k = 0; k + 1 < {NAME}_CLASSES; k++)
        out[k] -= out[k + 1];
    return level;
}}
""",
    "side": """\
{classify}
{{
    {name}_predict(x, out{scratch_argument});
    return out[0] > 0;
}}
""",
    "each": """\
{classify}
{{
    {name}_predict(x, out{scratch_argument});
    for (int k = 0; k < {NAME}_OUTPUTS; k++)
        yes[k] = out[k] > {threshold};
}}
""",
}
SHARES = {         # one output as a probability
    "outputs": "{a}",
    "logistic": "1 / (1 + exp{f}(-{a}))",
    "clipped": "({a} > 1 ? 1 : {a} < -1 ? 0 : ({a} + 1) / 2)",
}
SHARED_LOGISTIC = """\
    for (int k = 0; k < {NAME}_OUTPUTS; k++)    /* softmax of logarithms, none of which is rounded to that of 0 */
        out[k] = (out[k] < 0 ? out[k] : 0) - log1p{f}(exp{f}(-fabs{f}(out[k])));
    {name}_softmax(out, {NAME}_OUTPUTS);
"""
SHARED = """\
    {real} sum = 0;
    for (int k = 0; k < {NAME}_OUTPUTS; k++) {{
        out[k] = {each};
        sum += out[k];
    }}
    for (int k = 0; k < {NAME}_OUTPUTS; k++)
        out[k] = sum > 0 ? out[k] / sum : ({real})1 / {NAME}_OUTPUTS;
"""
PREDICT = """\
{signature}
{{
{body}
}}
"""
# ---- a table's own values ----

TABLE = """
/* A row of the table that the network predicts {targets} from.
 *
 * {says} It returns -1
 * where it cannot tell: a number is too large, or it is missing in a column that does not say how that is written.
 */
typedef struct {{
{members}
}} {name}_row;

#define {NAME}_COLUMNS {columns}
{row_scratch}extern const char *const {name}_columns[{NAME}_COLUMNS];             /* their names, in this order */
extern const char *const *const {name}_levels[{NAME}_COLUMNS];       /* of texts, a null pointer after the last */
extern const double {name}_means[{NAME}_COLUMNS], {name}_scales[{NAME}_COLUMNS];     /* of numbers */

{row_signature};
"""
SAYS_CLASS = """\
{name}_classify_row returns the place of its class in {name}_classes; out gets the probability of each."""
SAYS_QUANTITIES = "{name}_predict_row returns 0; out gets the predictions in the targets' own units."
LEVELS = """\
static const char *const {name}_levels_{i}[] = {{
{levels}
}};
"""
SPELLING = """\
typedef struct {{
    const char *text;
    int level;
}} {name}_spelling;
"""
SPELLINGS = """\
static const {name}_spelling {name}_spellings_{i}[] = {{
{spellings}
}};
"""
COLUMNS = """\
const char *const {name}_columns[{NAME}_COLUMNS] = {{
{names}
}};

const char *const *const {name}_levels[{NAME}_COLUMNS] = {{
{pointers}
}};

const double {name}_means[{NAME}_COLUMNS] = {{
{means}
}};

const double {name}_scales[{NAME}_COLUMNS] = {{
{scales}
}};
"""
LESS = """\
/* a - b, exactly as long as a double holds the difference */
#define {name}_less(a, b) ((a) >= (b) ? (double)((unsigned long long)(a) - (unsigned long long)(b)) : \\
                           -(double)((unsigned long long)(b) - (unsigned long long)(a)))
"""
NUMBER = """\
/* Standardises a number, or what stands for it where it is missing; whether that can be used. */
static int {name}_number(double value, double mean, double scale, double fill, {real} *x)
{{
    double z = ((isfinite(value) ? value : fill) - mean) / scale;

    if (!(fabs(z) <= {MAX}))
        return 0;
    *x = ({real})z;
    return 1;
}}
"""
LEVEL = """\
/* The place of a text among the levels, that of others where it is none of them, and that of missing ones. */
static int {name}_level(const char *text, const char *const *levels, {spelled}int other, int missing)
{{
    if (!text)
        return missing;
    for (int k = 0; levels[k]; k++)
        if (!strcmp(text, levels[k]))
            return k;
{as_spelled}    return other;
}}
"""
AS_SPELLED = """\
    for (int k = 0; spellings && spellings[k].text; k++)
        if (!strcmp(text, spellings[k].text))
            return spellings[k].level;
"""
PARTS = """\
/* Days since the first, year, month, day, weekday from Monday on, and hour of a time; whether it can be used. */
static int {name}_parts(long long time, long long first, long long fill, int fills, double parts[6])
{{
    const long long a_day = 86400000000ll, furthest = 1ll << 62;
    long long day, rest, era, year, month;

    if (time == LLONG_MIN && fills)
        time = fill;
    if (time < -furthest || time > furthest)
        return 0;
    day = time / a_day - (time % a_day < 0);
    rest = time - day * a_day;
    parts[0] = (double)(time - first) / 86400e6;
    parts[4] = (double)(((day + 3) % 7 + 7) % 7);
    parts[5] = (double)(rest / 3600000000ll);
    /* Years that begin in March, in eras of 400: a leap day is the last day of a year, and of an era. */
    day += 719468;
    era = day / 146097 - (day % 146097 < 0);
    day -= era * 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153;
    parts[3] = (double)(day - (153 * month + 2) / 5 + 1);
    parts[2] = (double)(month < 10 ? month + 3 : month - 9);
    parts[1] = (double)(era * 400 + year + (month >= 10));
    return 1;
}}
"""
ENCODE = """\
static int {name}_encode(const {name}_row *row, {real} *x)
{{
    int fine = 1{code};{parts}

    for (int i = 0; i < {NAME}_INPUTS; i++)
        x[i] = 0;
{encoded}
    return fine;
}}
"""
CLASSIFY_ROW = """\
{row_signature}
{{
    {x}

    return {name}_encode(row, x) ? {name}_classify(x, out{argument}) : -1;
}}
"""
IN_ORDER = """\
    for (int i = 2; i < {NAME}_OUTPUTS; i++) {{        /* quantiles, behind the mean */
        double quantile = out[i];
        int k = i;
        for (; k > 1 && out[k - 1] > quantile; k--)
            out[k] = out[k - 1];
        out[k] = quantile;
    }}"""
WITHIN = """\
    for (int i = 0; i < {NAME}_OUTPUTS; i++)           /* what the training rows had */
        out[i] = out[i] < {low} ? {low} : out[i] > {high} ? {high} : out[i];"""
PREDICT_ROW = """\
{row_signature}
{{
    {x}
    {real} a[{NAME}_OUTPUTS];

    if (!{name}_encode(row, x))
        return -1;
    {name}_predict(x, a{argument});
{units}
    return 0;
}}
"""
