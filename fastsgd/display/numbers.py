"""Numbers as people write them."""
import math


def plain(value: float, digits: int = 3) -> str:
    """A number as people write it: 0.9 or 1,500, powers of ten only where there would be many zeros.

    >>> plain(0.9), plain(1612.3), plain(2.5e-9)
    ('0.9', '1,610', '2.5e-9')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if not 1e-6 <= abs(rounded) < 1e7:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    text = f"{rounded:,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def noise_in_rows(noise_scale: float) -> str:
    """A gradient noise scale with its unit.

    >>> noise_in_rows(1612.3)
    '1,610 rows'
    """
    return "infinite (no gradient beyond the noise)" if noise_scale == math.inf else f"{plain(noise_scale)} rows"
