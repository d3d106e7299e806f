"""The figures of what a run could keep: byte budgets and prices. As drawings.py: from the rows of a CSV, nothing computed but units."""
from matplotlib.ticker import FuncFormatter, MaxNLocator

import labels as placing
from drawings import distinct, key_above, new_figure, number
from theme import colour
from units import bytes_unit, time_unit

FRONTIER_KEY = [("curve", "predicted, every budget", "—"), ("named", "value with a name", "●"), ("dominated", "a budget is better", "○"), ("measured", "measured", "◆")]


def draw_frontier(axes, rows, unit, tooltips, names, prefix=""):
    """The curve as steps from the smallest to keeping everything, named values on or above it, measured cells dotted to their prediction."""
    of = lambda row, key: number(row[key]) / unit.scale if key == "peak_bytes" else 100 * (number(row[key]) - 1)
    curve = sorted((row for row in rows if row["kind"] == "curve"), key=lambda row: number(row["peak_bytes"]))
    x, y = [of(row, "peak_bytes") for row in curve], [of(row, "ratio") for row in curve]
    axes.plot(x, y, color=colour("muted"), linewidth=1.7, drawstyle="steps-post", solid_joinstyle="round", zorder=2)
    predicted = {row["value"]: of(row, "ratio") for row in rows if row["kind"] in ("named", "dominated")}
    for index, row in enumerate(rows):
        if row["kind"] == "curve":
            continue
        px, py = of(row, "peak_bytes"), of(row, "ratio")
        if row["kind"] == "measured":
            ink = colour(row["precision"])
            if row["low"]:
                axes.plot([px, px], [of(row, "low"), of(row, "high")], color=ink, linewidth=1, alpha=0.45, zorder=3)
            if row["value"] in predicted:
                axes.plot([px, px], [predicted[row["value"]], py], color=ink, linewidth=0.8, linestyle=(0, (1.2, 2)), zorder=2)
            mark, = axes.plot([px], [py], "D", markersize=5.6, markerfacecolor=ink, markeredgecolor=colour("paper"), markeredgewidth=0.7, zorder=5)
        else:
            best = row["kind"] == "named"
            mark, = axes.plot([px], [py], "o", markersize=6, markerfacecolor=colour("ink") if best else colour("paper"), markeredgecolor=colour("ink"),
                              markeredgewidth=1.2, zorder=4)
        mark.set_gid(f"{prefix}point{index}")
        beaten = f", no better than {row['no_better_than']}" if row["no_better_than"] else ""
        tooltips[f"{prefix}point{index}"] = (f"{row['label']}: {unit.text(number(row['peak_bytes']))} {unit.name}, "
                                             f"{names['measured'] if row['kind'] == 'measured' else 'predicted'} {signed_percent(py)}{beaten}")
    heights = [of(row, "ratio") for row in rows]
    room = 0.18 * (max(heights) - min(heights)) or 1
    axes.margins(x=0.06)
    axes.set_ylim(min(heights) - room, max(heights) + room)
    axes.grid(True)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: signed_percent(value, 0)))
    return x, y


def signed_percent(value, decimals=1):
    text = f"{abs(value):.{decimals}f}"
    return ("" if not text.strip("0.") else "+" if value > 0 else "−") + text + " %"


def frontier(rows, names):
    unit = bytes_unit(max(number(row["peak_bytes"]) for row in rows))
    figure, axes = new_figure(4.6)
    figure.tooltips = {}
    x, y = draw_frontier(axes, rows, unit, figure.tooltips, names)
    axes.set_xlabel(f"{names['x']} ({unit.name})")
    axes.set_ylabel(names["y"])
    kinds = {row["kind"] for row in rows}
    precision = next((row["precision"] for row in rows if row["kind"] == "measured"), "other")
    inks = {"curve": colour("muted"), "measured": colour(precision)}
    key_above(axes, [(names.get(kind, text), inks.get(kind, colour("ink")), symbol) for kind, text, symbol in FRONTIER_KEY if kind in kinds])
    low, high = axes.get_ylim()
    axes.fill_between(x, y, [low] * len(x), step="post", color=colour("grid"), alpha=0.35, linewidth=0, zorder=0)
    at = lambda row: (number(row["peak_bytes"]) / unit.scale, 100 * (number(row["ratio"]) - 1))
    named = [row for row in rows if row["kind"] in ("named", "dominated")]
    points = [(*at(row), row["label"], colour("ink"), "normal") for row in named]
    points += [(*at(row), row["label"], colour(row["precision"]), "normal") for row in rows
               if row["kind"] == "measured" and row["value"] not in {other["value"] for other in named}]
    figure.canvas.draw()
    to_pixels = axes.transData.transform
    obstacles = [(px - 6, py - 6, px + 6, py + 6) for px, py in (to_pixels(at(row)) for row in rows if row["kind"] == "measured")]
    for row in rows:
        if row["kind"] == "measured" and row["low"]:
            (px, bottom), (_, top) = (to_pixels((at(row)[0], 100 * (number(row[key]) - 1))) for key in ("low", "high"))
            obstacles.append((px - 1.5, bottom, px + 1.5, top))
    obstacles += steps_in_pixels(x, y, to_pixels)
    placing.place_beside_points(axes, points, obstacles, fontsize=8.3)
    return figure


def steps_in_pixels(x, y, to_pixels):
    """Boxes along a curve of steps: each tread and each rise."""
    corners = [to_pixels(corner) for k in range(len(x) - 1) for corner in ((x[k], y[k]), (x[k + 1], y[k]), (x[k + 1], y[k + 1]))]
    return [(min(a[0], b[0]) - 1.5, min(a[1], b[1]) - 1.5, max(a[0], b[0]) + 1.5, max(a[1], b[1]) + 1.5) for a, b in zip(corners, corners[1:])]


def frontiers(rows, names):
    groups = distinct(rows, "group")
    figure, all_axes = new_figure(2.9, columns=max(len(groups), 2), squeeze=False)
    figure.tooltips = {}
    for axes in all_axes[0, len(groups):]:
        axes.set_visible(False)
    for index, (axes, group) in enumerate(zip(all_axes[0], groups)):
        mine = [row for row in rows if row["group"] == group]
        unit = bytes_unit(max(number(row["peak_bytes"]) for row in mine))
        draw_frontier(axes, mine, unit, figure.tooltips, names, f"panel{index}-")
        axes.set_title(group, loc="left", fontsize=9, fontweight="bold", pad=6)
        axes.set_xlabel(f"{names['x']} ({unit.name})")
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    all_axes[0, 0].set_ylabel(names["y"])
    return figure


def prices(rows, names):
    price = time_unit(max(number(row["ns_per_gib"]) for row in rows))
    figure, axes = new_figure(0.75 + 0.27 * len(rows))
    for y, row in enumerate(rows):
        value, pale = number(row["ns_per_gib"]), bool(row["no_better_than"])
        axes.barh(y, value / price.scale, height=0.66, color=colour("recompute"), alpha=0.38 if pale else 1)
        own, freed = time_unit(value), bytes_unit(number(row["freed_bytes"]))
        text = f"{own.text(value)} {own.name}/GiB, frees {freed.text(number(row['freed_bytes']))} {freed.name}"
        axes.annotate(text, (value / price.scale, y), textcoords="offset points", xytext=(5, 0), va="center", fontsize=8.5,
                      color=colour("muted") if pale else colour("ink"))
    axes.set_yticks(range(len(rows)), [row["target"] for row in rows])
    axes.tick_params(axis="y", labelcolor=colour("ink"))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max(number(row["ns_per_gib"]) for row in rows) / price.scale * 1.34)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{names['x']} ({price.name}/GiB)")
    return figure


ALL = {draw.__name__: draw for draw in (frontier, frontiers, prices)}
