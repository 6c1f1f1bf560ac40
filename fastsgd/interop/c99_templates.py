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

#include <math.h>

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
    "exp": "exp{f}(a[i])",
}
SOFTMAX = """\
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
