"""The figures, each drawn from the rows of its CSV: names, units and colours are chosen here, numbers are not."""
import math
import statistics

from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

import labels as placing
from theme import colour
from units import bytes_unit, time_unit, tokens_unit

WIDTH = 9.6  # inches: the page's column, so that a point of text is the same everywhere
STATE = ["parameters", "copies", "gradients", "moments", "batch", "control", "control block", "state"]
PHASE_ORDER = ["prologue", "forward", "recompute", "backward", "update", "between operations"]
PHASES = {"between operations": "between"}


def number(text):
    return float(text) if text else None


def distinct(rows, key):
    return list(dict.fromkeys(row[key] for row in rows))


def new_figure(height, columns=1, **options):
    figure, axes = pyplot.subplots(1, columns, figsize=(WIDTH, height), constrained_layout=True, **options)
    figure.set_constrained_layout_pads(w_pad=0.02, h_pad=0.02, wspace=0.04)
    return figure, axes


def category_colours(categories):
    """State in one hue, what a step fills in another, each from dark to light in the order of the stack."""
    colours, used = {}, {"state": 0, "arena": 0}
    for category in categories:
        family = "state" if category in STATE else "arena"
        used[family] = min(6 if family == "state" else 5, used[family] + 1)
        colours[category] = colour(f"{family}{used[family]}")
    return colours


def key_above(axes, entries):
    """Names in their colours above the axes, in one line (two if need be): the key of a stack, in its order."""
    figure = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    x, line, drawn = 0.0, 0, []
    for name, fill, *symbol in entries:
        text = axes.annotate(name, (0, 1), xycoords="axes fraction", fontsize=8.5, color=colour("ink"), annotation_clip=False,
                             textcoords="offset pixels", xytext=(0, 0), va="bottom")
        width = text.get_window_extent(renderer).width
        if x + width + 16 > frame.width and x > 0:
            x, line = 0.0, line + 1
        drawn.append((text, x, line, fill, symbol[0] if symbol else "■"))
        x += width + 34
    for text, left, row, fill, symbol in drawn:
        y = 8 + (line - row) * 17
        text.xyann = (left + 14, y)
        axes.annotate(symbol, (0, 1), xycoords="axes fraction", fontsize=9, color=fill, annotation_clip=False, textcoords="offset pixels",
                      xytext=(left, y), va="bottom")


def stacked_rows(rows, key, start, size, total, unit, colours, x_title):
    """One horizontal stacked bar for each label, its total written at the end."""
    names = distinct(rows, "label")
    height = 0.9 + 0.27 * len(names)
    figure, axes = new_figure(height)
    for row in rows:
        y = names.index(row["label"])
        if number(row[size]) > 0:
            axes.barh(y, number(row[size]) / unit.scale, left=number(row[start]) / unit.scale, height=0.68, color=colours[row[key]],
                      edgecolor=colour("paper"), linewidth=0.5)
    for y, name in enumerate(names):
        whole = next(number(row[total]) for row in rows if row["label"] == name)
        axes.annotate(unit.text(whole), (whole / unit.scale, y), textcoords="offset points", xytext=(4, 0), va="center", fontsize=8.5,
                      color=colour("ink"))
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelcolor=colour("ink"))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{x_title} ({unit.name})")
    axes.margins(x=0.06)
    axes.set_xlim(left=0)
    key_above(axes, [(name, colours[name]) for name in colours if any(number(row[size]) > 0 for row in rows if row[key] == name)])
    return figure


def time_memory(rows, names):
    memory = bytes_unit(max(number(row["peak_bytes"]) for row in rows))
    time = time_unit(max(number(row["time_ns"] or "0") for row in rows))
    figure, axes = new_figure(5.2)
    figure.tooltips = {}
    budgets = [row for row in rows if row["precision"] == "budget"]
    rows = [row for row in rows if row["precision"] != "budget"]
    points = []
    x_of = lambda row: number(row["peak_bytes"]) / memory.scale
    y_of = lambda row: number(row["time_ns"]) / time.scale
    frontier = sorted((row for row in rows if row["on_frontier"] == "1"), key=x_of)
    axes.plot([x_of(row) for row in frontier], [y_of(row) for row in frontier], color=colour("muted"), alpha=0.35, linewidth=2.2, zorder=1)
    for index, row in enumerate(rows):
        ink = colour(row["precision"])
        x, y, best = x_of(row), y_of(row), row["on_frontier"] == "1"
        if row["low_ns"]:
            axes.plot([x, x], [number(row["low_ns"]) / time.scale, number(row["high_ns"]) / time.scale], color=ink, linewidth=1, alpha=0.45, zorder=2)
        mark, = axes.plot([x], [y], "o", markersize=7 if best else 5.5, markerfacecolor=ink if best else colour("paper"), markeredgecolor=ink,
                          markeredgewidth=1.3, zorder=3)
        mark.set_gid(f"point{index}")
        figure.tooltips[f"point{index}"] = f"{row['label']}: {time.text(number(row['time_ns']))} {time.name}, {memory.text(number(row['peak_bytes']))} {memory.name}"
        if row["is_reference"] == "1" or row["is_recommended"] == "1":
            axes.plot([x], [y], "o", markersize=13, markerfacecolor="none", markeredgecolor=ink, markeredgewidth=1.1, zorder=3)
        if row["is_labelled"] == "1":
            role = " · recommended" if row["is_recommended"] == "1" else " · reference" if row["is_reference"] == "1" else ""
            points.append((x, y, row["label"] + role, ink, "bold" if role else "normal"))
    wide = max(map(x_of, rows)) > 8 * min(map(x_of, rows)), max(map(y_of, rows)) > 8 * min(map(y_of, rows))
    axes.margins(x=0.09, y=0.1)
    bars = [(number(row["low_ns"]) / time.scale, number(row["high_ns"]) / time.scale) for row in rows if row["low_ns"]]
    frame_to_points(axes, [y_of(row) for row in rows], bars, logarithmic=wide[1])
    for is_wide, scale, axis in ((wide[0], axes.set_xscale, axes.xaxis), (wide[1], axes.set_yscale, axes.yaxis)):
        if is_wide:
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.grid(True)
    axes.set_xlabel(f"{names['x']} ({memory.name})")
    axes.set_ylabel(f"{names['y']} ({time.name})")
    for row in budgets:
        axes.axvline(x_of(row), color=colour("muted"), linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(row["label"], (x_of(row), 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points", ha="center",
                      va="bottom", fontsize=8.3, color=colour("muted"), annotation_clip=False)
    figure.canvas.draw()
    obstacles = []
    for row in rows:
        if row["low_ns"]:
            x, low = axes.transData.transform((x_of(row), number(row["low_ns"]) / time.scale))
            _, high = axes.transData.transform((x_of(row), number(row["high_ns"]) / time.scale))
            obstacles.append((x - 1.5, low, x + 1.5, high))
    placing.place_beside_points(axes, points, obstacles, fontsize=8.3)
    return figure


def frame_to_points(axes, heights, bars, logarithmic):
    """The frame follows the points and the bars of usual width; one that is much wider is cut, so that points fill half of it."""
    usual = 3 * statistics.median(high - low for low, high in bars) if bars else 0
    inside = [end for bar in bars if bar[1] - bar[0] <= usual for end in bar]
    beside = 0.5 * max(max(heights) - min(heights), 0.25 * max(heights))
    low = max(min(heights + inside), min(heights) - beside)
    high = min(max(heights + inside), max(heights) + beside)
    bars_low, bars_high = axes.get_ylim()
    if logarithmic:
        axes.set_ylim(max(bars_low, low / 1.5), min(bars_high, high * 1.5))
        return
    room = 0.35 * (max(heights) - min(heights)) or 0.1 * high
    axes.set_ylim(max(bars_low, low - room, 0), min(bars_high, high + room))


def techniques(rows, names):
    keys = list(dict.fromkeys((row["axis"], row["change"]) for row in rows))
    positions, at, headings = {}, 0.0, []
    for index, (axis, change) in enumerate(keys):
        if index == 0 or keys[index - 1][0] != axis:
            at += 0.9
            headings.append((at - 0.72, axis))
        positions[axis, change] = at
        at += 1
    figure, (left, right) = new_figure(0.7 + 0.34 * at, columns=2, sharey=True)
    for axes, middle, low, high, title in ((left, "time_ratio", "time_low", "time_high", names["x"]),
                                           (right, "memory_ratio", None, None, names["x2"])):
        axes.axvline(1, color=colour("muted"), linewidth=0.9, zorder=1)
        for row in rows:
            if not row[middle]:
                continue
            y, value = positions[row["axis"], row["change"]], number(row[middle])
            if row["kind"] == "pair":
                axes.plot([value], [y + 0.2], "o", markersize=4, color=colour("muted"), alpha=0.5, markeredgewidth=0, zorder=2)
                continue
            if low and row[low]:
                axes.plot([number(row[low]), number(row[high])], [y, y], color=colour("accent"), linewidth=2.2, alpha=0.55, zorder=3)
            axes.plot([value], [y], "o", markersize=7, color=colour("accent"), markeredgecolor=colour("paper"), zorder=4)
            axes.annotate(f"{value:.2f}×", (1.0, y), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8.5,
                          color=colour("ink"), textcoords="offset points", xytext=(0, 0))
        middles = [number(row[middle]) for row in rows if row[middle]] + [1]
        values = [number(row[column]) for row in rows for column in (low, high) if column and row[column]] + middles
        beside = 0.6 * max(max(middles) - min(middles), 0.1)  # a bar that is much wider than all points is cut
        least, most = max(min(values), min(middles) - beside), min(max(values), max(middles) + beside)
        spread = most - least or 0.1
        axes.set_xlim(least - 0.06 * spread, most + 0.22 * spread)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{title} (× the cell without it)")
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    left.set_yticks(list(positions.values()), [change for _, change in keys])
    left.tick_params(axis="y", labelcolor=colour("ink"))
    left.set_ylim(at - 0.3, -0.15)
    for y, axis in headings:
        left.annotate(axis, (0, y), xycoords=("axes fraction", "data"), xytext=(-6, 0), textcoords="offset points", ha="right", va="center",
                      fontsize=8.5, color=colour("muted"), fontstyle="italic", annotation_clip=False)
    return figure


def memory_categories(rows, names):
    unit = bytes_unit(max(number(row["total_bytes"]) for row in rows))
    return stacked_rows(rows, "category", "start_bytes", "bytes", "total_bytes", unit, category_colours(distinct(rows, "category")), names["x"])


def time_phases(rows, names):
    unit = time_unit(max(number(row["total_ns"]) for row in rows))
    colours = {phase: colour(PHASES.get(phase, phase)) for phase in PHASE_ORDER}
    return stacked_rows(rows, "phase", "start_ns", "time_ns", "total_ns", unit, colours, names["x"])


def memory_timeline(rows, names):
    cells = distinct(rows, "label")
    unit = bytes_unit(max(number(row["live_bytes"]) for row in rows))
    figure, all_axes = pyplot.subplots(len(cells), 1, figsize=(WIDTH, 0.6 + 2.3 * len(cells)), constrained_layout=True, sharey=True, squeeze=False)
    figure.set_constrained_layout_pads(h_pad=0.05)
    top = max(number(row["live_bytes"]) for row in rows) / unit.scale
    for axes, cell in zip(all_axes[:, 0], cells):
        mine = [row for row in rows if row["label"] == cell]
        x = [number(row["operation"]) for row in mine]
        y = [number(row["live_bytes"]) / unit.scale for row in mine]
        axes.fill_between(x, y, step="mid", color=colour("arena2"), alpha=0.35, linewidth=0)
        axes.step(x, y, where="mid", color=colour("arena1"), linewidth=1.2)
        draw_phases(axes, mine, top)
        peak = next(row for row in mine if row["is_peak"] == "1")
        peak_x, peak_y = number(peak["operation"]), number(peak["live_bytes"]) / unit.scale
        axes.plot([peak_x], [peak_y], "o", markersize=6, color=colour("arena1"), markeredgecolor=colour("paper"), zorder=4)
        to_left = peak_x > 0.6 * x[-1]
        axes.annotate(f"peak {unit.text(number(peak['live_bytes']))} {unit.name}", (peak_x, peak_y), xytext=(-9 if to_left else 9, 9),
                      textcoords="offset points", ha="right" if to_left else "left", va="center", fontsize=8.5, fontweight="bold")
        state = bytes_unit(number(peak["state_bytes"]))
        axes.set_title(f"{cell}", loc="left", fontsize=9, fontweight="bold", pad=4)
        axes.set_title(f"above a state of {state.text(number(peak['state_bytes']))} {state.name}", loc="right", fontsize=8.5, color=colour("muted"), pad=4)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(0, top * 1.22)
        axes.grid(axis="y")
        axes.set_ylabel(f"{names['y']} ({unit.name})")
    all_axes[-1, 0].set_xlabel(names["x"])
    return figure


def draw_phases(axes, rows, top):
    """A strip above the curve: where each phase begins and ends. A phase too short for its name stays without."""
    edges = [(0, rows[0]["phase"])]
    for index in range(1, len(rows)):
        if rows[index]["phase"] != rows[index - 1]["phase"]:
            edges.append((index, rows[index]["phase"]))
    for k, (first, phase) in enumerate(edges):
        last = edges[k + 1][0] if k + 1 < len(edges) else len(rows) - 1
        begin, end = number(rows[first]["operation"]), number(rows[last]["operation"])
        axes.fill_between([begin, end], [top * 1.17] * 2, [top * 1.22] * 2, color=colour(phase), linewidth=0)
        if k > 0:
            axes.axvline(begin, color=colour("grid"), linewidth=0.8, zorder=0)
        if (end - begin) > 0.09 * number(rows[-1]["operation"]):
            axes.annotate(phase, ((begin + end) / 2, top * 1.155), ha="center", va="top", fontsize=8, color=colour("muted"))


def time_operations(rows, names):
    operations = distinct(rows, "operation")
    roles = distinct(rows, "role")
    unit = time_unit(max(number(row["total_ns"]) for row in rows))
    figure, axes = new_figure(0.9 + 0.15 * (len(roles) + 0.9) * len(operations))
    colours = {phase: colour(PHASES.get(phase, phase)) for phase in PHASE_ORDER if any(row["phase"] == phase for row in rows)}
    height = 0.8 / len(roles)
    for row in rows:
        y = operations.index(row["operation"]) + (roles.index(row["role"]) - (len(roles) - 1) / 2) * height
        axes.barh(y, number(row["time_ns"]) / unit.scale, left=number(row["start_ns"]) / unit.scale, height=height * 0.86,
                  color=colours[row["phase"]], edgecolor=colour("paper"), linewidth=0.5)
    for operation in operations:
        for role in roles:
            mine = [row for row in rows if row["operation"] == operation and row["role"] == role]
            if not mine:
                continue
            y = operations.index(operation) + (roles.index(role) - (len(roles) - 1) / 2) * height
            whole = number(mine[0]["total_ns"])
            name = f"  {role}, {mine[0]['label']}" if operation == operations[0] else ""
            axes.annotate(unit.text(whole) + name, (whole / unit.scale, y), textcoords="offset points", xytext=(4, 0), va="center", fontsize=8,
                          color=colour("ink") if role == roles[0] else colour("muted"))
    axes.set_yticks(range(len(operations)), operations)
    axes.tick_params(axis="y", labelcolor=colour("ink"))
    axes.set_ylim(len(operations) - 0.45, -0.6)
    axes.set_xlim(0, max(number(row["total_ns"]) for row in rows) / unit.scale * 1.32)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{names['x']} ({unit.name})")
    key_above(axes, list(colours.items()))
    return figure


def roofline(rows, names):
    """Rates against FLOPs a byte, both logarithmic; ceilings are lines that end where their rows say."""
    giga = 1e9
    figure, axes = new_figure(5.0)
    figure.tooltips = {}
    axes.set_xscale("log")
    axes.set_yscale("log")
    lines = [row for row in rows if row["kind"] != "point"]
    points = [row for row in rows if row["kind"] == "point"]
    ends = lambda row: ([number(row["intensity"]), number(row["end_intensity"])], [number(row["flops_per_second"]) / giga, number(row["end_flops_per_second"]) / giga])
    for row in lines:
        x, y = ends(row)
        axes.plot(x, y, color=colour(row["precision"] if row["kind"] == "peak" else "muted"), linewidth=1.3 if row["kind"] == "peak" else 1.0, zorder=1)
    labelled = []
    for index, row in enumerate(points):
        x, y, ink, best = number(row["intensity"]), number(row["flops_per_second"]) / giga, colour(row["precision"]), row["role"] == "fastest"
        mark, = axes.plot([x], [y], "o", markersize=6.5 if best else 5.5, markerfacecolor=ink if best else colour("paper"), markeredgecolor=ink, markeredgewidth=1.3,
                          zorder=3)
        name = row["operation"] + ("" if row["phase"] in ("forward", "backward") else f" ({row['phase']})")
        mark.set_gid(f"point{index}")
        figure.tooltips[f"point{index}"] = f"{row['label']}: {name}, {y:.1f} GFLOP/s, {x:.1f} FLOPs a byte"
        if best or not any(other["role"] == "fastest" for other in points):
            labelled.append((x, y, name, ink, "normal"))
    low = min(number(row["flops_per_second"]) for row in points) / giga
    high = max(ends(row)[1][1] for row in lines)
    axes.set_ylim(low / 2.5, high * 2)
    axes.set_xlim(min(ends(row)[0][0] for row in lines), max(ends(row)[0][1] for row in lines))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(True)
    axes.set_xlabel(names["x"])
    axes.set_ylabel(f"{names['y']} (GFLOP/s)")
    figure.canvas.draw()
    obstacles = name_ceilings(axes, lines, ends)
    placing.place_beside_points(axes, labelled, obstacles, fontsize=8.3)
    return figure


def predicted_time(rows, names):
    """Measured against predicted, both axes alike: the line where they agree, a band about it, and every cell with its interval."""
    cells = [row for row in rows if row["kind"] == "cell"]
    right = [row for row in rows if row["kind"] == "right"]
    unit = time_unit(max(number(row["measured_ns"]) for row in cells))
    figure, axes = new_figure(5.6)
    figure.tooltips = {}
    of = lambda row, key: number(row[key]) / unit.scale
    line = [of(row, "predicted_ns") for row in right]
    axes.fill_between(line, [of(row, "low_ns") for row in right], [of(row, "high_ns") for row in right], color=colour("accent"), alpha=0.09, linewidth=0, zorder=0)
    axes.plot(line, line, color=colour("muted"), linewidth=1.0, zorder=1)
    labelled = []
    for index, row in enumerate(cells):
        x, y, ink = of(row, "predicted_ns"), of(row, "measured_ns"), colour(row["precision"])
        if row["low_ns"]:
            axes.plot([x, x], [of(row, "low_ns"), of(row, "high_ns")], color=ink, linewidth=1, alpha=0.45, zorder=2)
        mark, = axes.plot([x], [y], "o", markersize=6.5, markerfacecolor=ink, markeredgecolor=colour("paper"), markeredgewidth=0.8, zorder=3)
        mark.set_gid(f"point{index}")
        figure.tooltips[f"point{index}"] = (f"{row['label']}: predicted {unit.text(number(row['predicted_ns']))} {unit.name}, "
                                            f"{names['measured']} {unit.text(number(row['measured_ns']))} {unit.name} ({row['error']})")
        if row["is_labelled"] == "1":
            labelled.append((x, y, row["label"], ink, "normal"))
    if line[-1] > 8 * line[0]:
        for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.set_xlim(line[0], line[-1])
    axes.set_ylim(line[0], line[-1])
    axes.grid(True)
    axes.set_xlabel(f"{names['x']} ({unit.name})")
    axes.set_ylabel(f"{names['y']} ({unit.name})")
    figure.canvas.draw()
    to_pixels = axes.transData.transform
    bars = [(*to_pixels((of(row, "predicted_ns"), of(row, "low_ns"))), *to_pixels((of(row, "predicted_ns"), of(row, "high_ns")))) for row in cells if row["low_ns"]]
    (x0, y0), (x1, y1) = to_pixels((line[0], line[0])), to_pixels((line[-1], line[-1]))
    steps = 60
    diagonal = [(x0 + (x1 - x0) * k / steps - 2, y0 + (y1 - y0) * k / steps - 2, x0 + (x1 - x0) * k / steps + 4, y0 + (y1 - y0) * k / steps + 4) for k in range(steps)]
    placing.place_beside_points(axes, labelled, [(a - 1.5, b, c + 1.5, d) for a, b, c, d in bars] + diagonal, fontsize=8.3)
    return figure


def name_ceilings(axes, lines, ends):
    """Peaks are named above their right end, bandwidths along the line where it comes into the frame. Gives the boxes they take."""
    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    boxes = []
    for row in lines:
        (x0, x1), (y0, y1) = ends(row)
        if row["kind"] == "peak":
            text = axes.annotate(row["label"], (x1, y1), textcoords="offset points", xytext=(-2, 3), ha="right", va="bottom", fontsize=8.3, color=colour(row["precision"]))
        else:
            start, end = axes.transData.transform((x0, y0)), axes.transData.transform((x1, y1))
            slope = (end[1] - start[1]) / (end[0] - start[0])
            left = max(start[0], start[0] + (frame.y0 - start[1]) / slope) + 8
            angle = math.degrees(math.atan(slope))
            text = axes.annotate(row["label"], (left, start[1] + slope * (left - start[0])), xycoords="figure pixels", textcoords="offset points", xytext=(0, 3), ha="left",
                                 va="bottom", fontsize=8.3, color=colour("muted"), rotation=angle, rotation_mode="anchor",
                                 bbox={"facecolor": colour("paper"), "edgecolor": "none", "pad": 0.6})
        box = text.get_window_extent(renderer)
        boxes.append((box.x0, box.y0, box.x1, box.y1))
    return boxes


def difference(rows, names):
    unit = time_unit(max(abs(number(row[key])) for row in rows for key in ("start_ns", "end_ns")))
    parts = unit.for_parts(max(abs(number(row["difference_ns"])) for row in rows if row["kind"] != "total"))
    figure, axes = new_figure(0.7 + 0.28 * len(rows))
    for y, row in enumerate(rows):
        start, end = number(row["start_ns"]) / unit.scale, number(row["end_ns"]) / unit.scale
        if row["kind"] == "total":
            fill, text = colour("muted"), f"{unit.text(number(row['difference_ns']))} {unit.name}"
        else:
            saved = number(row["difference_ns"]) < 0
            fill = colour("between") if row["kind"] == "residual" else colour("good") if saved else colour("bad")
            text = ("" if saved else "+") + parts.text(number(row["difference_ns"]))
        axes.barh(y, end - start, left=start, height=0.66, color=fill)
        if y + 1 < len(rows):
            axes.plot([end, end], [y + 0.33, y + 0.67], color=colour("muted"), linewidth=0.7)
        axes.annotate(text, (max(start, end), y), textcoords="offset points", xytext=(4, 0), va="center", fontsize=8.5,
                      fontweight="bold" if row["kind"] == "total" else "normal")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.tick_params(axis="y", labelcolor=colour("ink"))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]) if any(number(row["end_ns"]) < 0 for row in rows) else 0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{names['x']} ({unit.name})")
    return figure


def ratios(rows, names):
    figure, axes = new_figure(0.9 + 0.3 * len(rows))
    axes.axvspan(1 / 1.01, 1.01, color=colour("muted"), alpha=0.18, linewidth=0, zorder=0)
    axes.axvline(1, color=colour("muted"), linewidth=0.9, zorder=1)
    inks = {"slower": colour("bad"), "faster": colour("good")}
    for y, row in enumerate(rows):
        ink = inks.get(row["verdict"], colour("ink"))
        if row["low"]:
            axes.plot([number(row["low"]), number(row["high"])], [y, y], color=ink, linewidth=1.4, alpha=0.6, zorder=2)
        filled = row["verdict"] in inks
        axes.plot([number(row["ratio"])], [y], "o", markersize=6, markerfacecolor=ink if filled else colour("paper"), markeredgecolor=ink,
                  markeredgewidth=1.3, zorder=3)
        axes.annotate(row["verdict"], (max(number(row["high"] or row["ratio"]), number(row["ratio"])), y), textcoords="offset points", xytext=(6, 0),
                      va="center", fontsize=8.3, color=ink)
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.tick_params(axis="y", labelcolor=colour("ink"))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.16)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(names["x"])
    return figure


def learning(rows, names):
    cells = distinct(rows, "label")
    time = time_unit(max(number(row["elapsed_ns"]) for row in rows))
    tokens = tokens_unit(max(number(row["tokens"]) for row in rows))
    figure, (left, right) = new_figure(4.2, columns=2, sharey=True)
    dashes = [(None, None), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2)]
    used, ends = {}, []
    for cell in cells:
        train = [row for row in rows if row["label"] == cell and row["kind"] == "train" and row["loss"]]
        validation = [row for row in rows if row["label"] == cell and row["kind"] == "validation" and row["loss"]]
        ink = colour(train[0]["precision"])
        dash = dashes[used.setdefault(train[0]["precision"], 0) % len(dashes)]
        used[train[0]["precision"]] += 1
        for axes, key, unit in ((left, "tokens", tokens), (right, "elapsed_ns", time)):
            x = [number(row[key]) / unit.scale for row in train]
            axes.plot(x, [number(row["loss"]) for row in train], color=ink, linewidth=0.5, alpha=0.3)
            line, = axes.plot(x, [number(row["smoothed_loss"]) for row in train], color=ink, linewidth=1.6)
            if dash[0]:
                line.set_dashes(dash)
            axes.plot([number(row[key]) / unit.scale for row in validation], [number(row["loss"]) for row in validation], "o", markersize=4.5,
                      markerfacecolor=colour("paper"), markeredgecolor=ink, markeredgewidth=1.2)
        ends.append((x[-1], number(train[-1]["smoothed_loss"]), cell, ink))
    left.set_xlabel(f"{names['x']} ({tokens.name})" if tokens.name != "tokens" else names["x"])
    right.set_xlabel(f"{names['x2']} ({time.name})")
    left.set_ylabel(names["y"])
    for axes in (left, right):
        axes.grid(True)
        axes.set_xlim(left=0)
    name_curves(right, ends)
    return figure


def name_curves(axes, ends):
    """Names to the right of the axes at the height where their curves end, kept apart, each joined to its end."""
    axes.figure.canvas.draw()
    gap = 15
    heights = placing.spread([axes.transData.transform((x, y))[1] for x, y, *_ in ends], gap)
    for (x, y, name, ink), pixel in zip(ends, heights):
        at = axes.transData.inverted().transform((0, pixel))[1]
        axes.annotate(name, (x, y), xytext=(1.03, at), textcoords=("axes fraction", "data"), va="center", ha="left", fontsize=8.5, color=ink,
                      annotation_clip=False, arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.6, "alpha": 0.6, "shrinkB": 0})


ALL = {draw.__name__: draw for draw in (time_memory, techniques, memory_categories, memory_timeline, time_phases, time_operations, roofline, predicted_time, difference, ratios, learning)}
