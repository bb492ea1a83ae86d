#!/usr/bin/env python3
"""Proving time of the networks here against multiply–accumulates and against committed cells, as an SVG.

    kiln compile … --json > compile.json
    kiln prove … --json > prove.json
    python3 plot.py add "LeNet-5" compile.json prove.json     notes the figures in measured.json, beside this file
    python3 plot.py draw                                      draws measured.svg from it

Both axes are logarithmic. Needs nothing but Python. Times are CPU time, which other work on the machine disturbs least.
"""

import json
import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTED = HERE / "measured.json"
WIDTH, HEIGHT, GAP, BORDER = 430, 360, 70, 60
INK, FAINT = "#222", "#ddd"


def noted():
    return json.loads(NOTED.read_text()) if NOTED.exists() else []


def add(name, compiled, proven):
    layout = json.loads(Path(compiled).read_text())["layout"]
    proof = json.loads(Path(proven).read_text())
    entry = {
        "name": name,
        "multiply_accumulates": layout["multiply_accumulates"],
        "cells": layout["small_cells"] + layout["full_cells"],
        "rows": 1 << layout["k"],
        "cpu_s": round(proof["used"]["cpu_s"], 3),
        "wall_s": round(proof["used"]["wall_s"], 3),
        "peak_mib": round(proof["used"]["peak_rss_bytes"] / 2**20),
        "proof_bytes": proof["proof_bytes"],
    }
    entries = [other for other in noted() if other["name"] != name] + [entry]
    entries.sort(key=lambda entry: entry["cells"])
    NOTED.write_text("[\n" + ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n")


def slope(points):
    """Of the straight line nearest to the points, by least squares."""
    x, y = (sum(values) / len(points) for values in zip(*points))
    spread = sum((p[0] - x) ** 2 for p in points)
    return sum((p[0] - x) * (p[1] - y) for p in points) / spread if spread else 0.0


def correlation(points):
    x, y = (sum(values) / len(points) for values in zip(*points))
    both = sum((p[0] - x) * (p[1] - y) for p in points)
    return both / math.sqrt(sum((p[0] - x) ** 2 for p in points) * sum((p[1] - y) ** 2 for p in points))


def panel(left, entries, key, title):
    points = [(math.log10(entry[key]), math.log10(entry["cpu_s"])) for entry in entries]
    low_x, high_x = math.floor(min(p[0] for p in points)), math.ceil(max(p[0] for p in points))
    low_y, high_y = math.floor(min(p[1] for p in points)), math.ceil(max(p[1] for p in points))
    at_x = lambda x: left + BORDER + (x - low_x) / (high_x - low_x) * WIDTH
    at_y = lambda y: BORDER + (high_y - y) / (high_y - low_y) * HEIGHT
    label = lambda x, y, text, more="": f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>'
    parts = []
    for x in range(low_x, high_x + 1):
        parts.append(f'<path d="M{at_x(x):.1f} {BORDER}v{HEIGHT}" stroke="{FAINT}"/>')
        parts.append(label(at_x(x), BORDER + HEIGHT + 18, f"10<tspan dy='-5' font-size='9'>{x}</tspan>", 'text-anchor="middle"'))
    for y in range(low_y, high_y + 1):
        parts.append(f'<path d="M{left + BORDER} {at_y(y):.1f}h{WIDTH}" stroke="{FAINT}"/>')
        parts.append(label(left + BORDER - 8, at_y(y) + 4, f"{10.0**y:g} s", 'text-anchor="end"'))
    written = []
    for entry, (x, y) in sorted(zip(entries, points), key=lambda pair: -pair[1][1]):
        right = x > (low_x + high_x) / 2
        parts.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="4" fill="#06c"/>')
        # Crowded names stand in a list beside their points, with a line to each.
        place = at_x(x) + (-60 if right else 8), at_y(y) + 4
        while any(abs(place[0] - other[0]) < 110 and abs(place[1] - other[1]) < 13 for other in written):
            place = place[0], place[1] + 1
        written.append(place)
        if right:
            parts.append(f'<path d="M{place[0] + 2:.1f} {place[1] - 4:.1f}L{at_x(x):.1f} {at_y(y):.1f}" stroke="#999"/>')
        parts.append(label(*place, entry["name"], 'text-anchor="end"' if right else ""))
    fit = f"slope {slope(points):.2f}, correlation {correlation(points):.3f}"
    middle = left + BORDER + WIDTH / 2
    parts.append(label(middle, BORDER - 30, title, 'text-anchor="middle" font-weight="bold"'))
    parts.append(label(middle, BORDER - 12, fit, 'text-anchor="middle" fill="#666"'))
    return parts


def draw():
    entries = noted()
    total = (2 * (WIDTH + BORDER) + GAP, HEIGHT + 2 * BORDER)
    parts = panel(0, entries, "multiply_accumulates", "CPU time of proving against multiply–accumulates")
    parts += panel(WIDTH + GAP + BORDER // 2, entries, "cells", "CPU time of proving against committed cells")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" font-family="sans-serif" font-size="12" fill="{INK}">'
    background = f'<rect width="{total[0]}" height="{total[1]}" fill="#fff"/>'
    (HERE / "measured.svg").write_text("\n".join([head, background, *parts, "</svg>"]) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["add", name, compiled, proven]:
            add(name, compiled, proven)
        case ["draw"]:
            draw()
        case _:
            sys.exit(__doc__)
