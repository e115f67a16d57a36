# SPDX-License-Identifier: GPL-2.0-or-later
"""A plot of lines, both axes logarithmic, as SVG."""

import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 860, 480, 70, 50, 190, 60
COLOURS = ("#0b62a4", "#2e8b57", "#b03a2e", "#d68910", "#7d3c98")


def decades(low, high):
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


def draw(lines, title, x_title, y_title):
    """lines: name → [(x, y)], all above zero."""
    points = [p for line in lines.values() for p in line]
    xs, ys = decades(*extremes(p[0] for p in points)), decades(*extremes(p[1] for p in points))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    at_x = lambda v: LEFT + wide * (math.log10(v) - xs[0]) / max(1, xs[-1] - xs[0])
    at_y = lambda v: TOP + high - high * (math.log10(v) - ys[0]) / max(1, ys[-1] - ys[0])
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 26, title, size=16),
        text(LEFT + wide / 2, HEIGHT - 16, x_title, "middle"),
        text(18, TOP + high / 2, y_title, "middle", turned=True),
    ]
    for power in xs:
        x = at_x(10**power)
        out.append(stroke([(x, TOP), (x, TOP + high)], "#ddd", 1))
        out.append(text(x, TOP + high + 20, f"{10**power:,}", "middle"))
    for power in ys:
        y = at_y(10**power)
        out.append(stroke([(LEFT, y), (LEFT + wide, y)], "#ddd", 1))
        out.append(text(LEFT - 8, y + 4, f"{10**power:,}", "end"))
    taken = []
    for (name, line), colour in zip(lines.items(), COLOURS):
        at = [(at_x(x), at_y(y)) for x, y in line]
        out.append(stroke(at, colour, 2))
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in at]
        y = at[-1][1]
        while any(abs(y - other) < 15 for other in taken):
            y += 1
        taken.append(y)
        out.append(text(LEFT + wide + 12, y + 4, name, colour=colour))
    return "\n".join([*out, "</svg>\n"])


def extremes(values):
    values = list(values)
    return min(values), max(values)


def stroke(points, colour, width):
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def text(x, y, words, anchor="start", colour="#222", size=13, turned=False):
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"{turn}>'
        f"{words}</text>"
    )
