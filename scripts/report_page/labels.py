"""Labels beside points and at the ends of curves, never on each other."""
import math

# Directions in the order of preference, as (dx, dy) of the label's anchor.
DIRECTIONS = [(1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (0.8, -0.8), (-0.8, 0.8), (-0.8, -0.8)]
DISTANCES = [7, 11, 18, 28, 42]  # pixels from the point


def _overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _box(x, y, width, height, direction, distance):
    dx, dy = direction
    left = x + distance * dx - (width if dx < 0 else width / 2 if dx == 0 else 0)
    bottom = y + distance * dy - height / 2 + dy * height / 2
    return (left, bottom, left + width, bottom + height)


def place_beside_points(axes, points, obstacles=(), **style):
    """points: (x, y, text, colour, weight). Obstacles: boxes in pixels. Draws each text where it covers least, with a line if it is far."""
    figure = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    pixels = [axes.transData.transform((x, y)) for x, y, *_ in points]
    marks = [(px - 5, py - 5, px + 5, py + 5) for px, py in pixels]
    placed = []
    order = sorted(range(len(points)), key=lambda i: (points[i][4] != "bold", -pixels[i][0]))
    for i in order:
        x, y, text, colour, weight = points[i]
        drawn = axes.annotate(text, (x, y), color=colour, fontweight=weight, textcoords="figure pixels", xytext=(0, 0), annotation_clip=False,
                              va="bottom", ha="left", **style)
        extent = drawn.get_window_extent(renderer)
        width, height = extent.width, extent.height * 0.92
        best = None
        for reach, distance in enumerate(DISTANCES):
            distance += 4 if weight == "bold" else 0  # its mark has a ring
            for rank, direction in enumerate(DIRECTIONS):
                box = _box(*pixels[i], width, height, direction, distance)
                cost = 6 * sum(_overlap(box, other) for other in placed)
                cost += 3 * sum(_overlap(box, other) for other in marks)
                cost += 1.0 * sum(_overlap(box, other) for other in obstacles)
                inside = _overlap(box, (frame.x0, frame.y0, frame.x1, frame.y1))
                cost += 8 * (width * height - inside) + 12 * reach + 1.5 * rank
                if best is None or cost < best[0]:
                    best = (cost, box, distance, direction)
        _, box, distance, _ = best
        placed.append(box)
        drawn.xyann = (box[0], box[1])
        if distance > 15:
            _line(axes, pixels[i], box, colour)


def _line(axes, pixel, box, colour):
    nearest = (min(max(pixel[0], box[0]), box[2]), min(max(pixel[1], box[1]), box[3]))
    length = math.dist(pixel, nearest)
    if length < 9:
        return
    start = tuple(p + (n - p) * 6 / length for p, n in zip(pixel, nearest))
    inverse = axes.transData.inverted()
    (x0, y0), (x1, y1) = inverse.transform(start), inverse.transform(nearest)
    axes.plot([x0, x1], [y0, y1], color=colour, linewidth=0.6, zorder=1, scalex=False, scaley=False)


def spread(positions, gap):
    """Positions moved as little as needed to lie at least `gap` apart, in their order."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    groups = []  # [first index in order, members, centre]
    for rank in order:
        groups.append([[rank], positions[rank]])
        while len(groups) > 1 and _bottom(groups[-1], gap) < _top(groups[-2], gap) + gap:
            upper = groups.pop()
            lower = groups.pop()
            members = lower[0] + upper[0]
            centre = (lower[1] * len(lower[0]) + upper[1] * len(upper[0])) / len(members)
            groups.append([members, centre])
    result = list(positions)
    for members, centre in groups:
        for k, index in enumerate(members):
            result[index] = centre + (k - (len(members) - 1) / 2) * gap
    return result


def _bottom(group, gap):
    return group[1] - (len(group[0]) - 1) / 2 * gap


def _top(group, gap):
    return group[1] + (len(group[0]) - 1) / 2 * gap
