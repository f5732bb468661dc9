"""Draws the distributions of the isolation benchmark as an SVG."""

import math

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 60
COLORS = {"alone": "#4c78a8", "partitions": "#2f9e44", "streams": "#d9480f"}
LABELS = {"alone": "64 SMs, the rest idle", "partitions": "64 SMs, a storm of products in the rest",
          "streams": "two ordinary streams, the same storm"}


def ticks(low, high):
    """1, 2 and 5 times powers of ten within the range."""
    power = math.floor(math.log10(low))
    while 10**power <= high:
        for step in (1, 2, 5):
            value = step * 10**power
            if low <= value <= high:
                yield value
        power += 1


def draw(quantiles):
    """`quantiles` maps a setting to microseconds at equal shares, the least first. The axis of time is logarithmic."""
    every = [value for values in quantiles.values() for value in values]
    low, high = min(every) * 0.9, max(every) * 1.1

    def x_of(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low) / math.log(high / low)

    def y_of(share):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{LEFT}" y="20" font-size="14">resnet18: share of calls that are done within a time</text>']
    for value in ticks(low, high):
        x = x_of(value)
        parts += [f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>',
                  f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g} us</text>']
    for share in (0, 0.5, 0.9, 1):
        y = y_of(share)
        parts += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>',
                  f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>']
    for number, (setting, values) in enumerate(quantiles.items()):
        points = " ".join(f"{x_of(value):.1f},{y_of(i / (len(values) - 1)):.1f}" for i, value in enumerate(values))
        color = COLORS[setting]
        x = LEFT + number * (WIDTH - LEFT - RIGHT) / 3
        parts += [f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>',
                  f'<rect x="{x:.0f}" y="{HEIGHT - 22}" width="10" height="10" fill="{color}"/>',
                  f'<text x="{x + 14:.0f}" y="{HEIGHT - 13}" font-size="10">{LABELS[setting]}</text>']
    return "\n".join([*parts, "</svg>"]) + "\n"
