"""Numbers as people read them: sizes, spans of time, shares.

Covers: the words. Sizes are decimal, as on download pages and disks. See also: `documents`, where nothing is rounded.
"""

from __future__ import annotations

from typing import Final

_STEPS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000
_TENTHS_BELOW_S: Final = 10
"""Below it a tenth of a second is worth reading."""
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def size(amount_bytes: float) -> str:
    """Return a number of bytes in three figures: `98.4 MB`."""
    value, step = float(amount_bytes), 0
    # 999.5 would be written "1000": it belongs to the next unit.
    while value >= _THOUSAND - 0.5 and step < len(_STEPS) - 1:
        value, step = value / _THOUSAND, step + 1
    return f"{_three_figures(value) if step else int(value)} {_STEPS[step]}"


def rate(amount_bytes_s: float) -> str:
    """Return a speed of transfer: `12.1 MB/s`."""
    return f"{size(amount_bytes_s)}/s"


def span(time_s: float) -> str:
    """Return a span of time in at most two units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 1 h`."""
    if round(time_s, 1) < _TENTHS_BELOW_S:
        return f"{time_s:.1f} s"
    whole = round(time_s)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two(whole, _MINUTE_S, "min", 1, "s")
    if whole < _DAY_S:
        return _two(whole, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(whole, _DAY_S, "d", _HOUR_S, "h")


def moment(time_ms: int) -> str:
    """Return a moment in a sound: `0:01.20`, `1:02:03.00`."""
    minutes, rest_ms = divmod(time_ms, _MINUTE_S * _THOUSAND)
    seconds = f"{rest_ms // _THOUSAND:02}.{rest_ms % _THOUSAND // 10:02}"
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"


def percent(fraction: float) -> str:
    """Return a share, rounded down so that 100 % means done: `43 %`."""
    return f"{int(max(0.0, min(1.0, fraction)) * 100)} %"


def plural(number: int, noun: str) -> str:
    """Return `1 request` or `2 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _three_figures(value: float) -> str:
    whole = len(str(int(value)))
    return f"{value:.{max(0, 3 - whole)}f}"


def _two(whole: int, large_s: int, large: str, small_s: int, small: str) -> str:
    rest = whole % large_s // small_s
    return f"{whole // large_s} {large} {rest} {small}" if rest else f"{whole // large_s} {large}"
