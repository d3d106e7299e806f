"""Colours: one list for the page and the figures, light and dark. Figures are drawn in sentinel colours, which become CSS variables."""
import io
import re

import matplotlib

matplotlib.use("agg")  # measures texts; pages get SVG

# name: (light, dark). Hues keep apart under every common colour blindness; a family (state, arena) is one hue in steps of lightness.
COLOURS = {
    "paper": ("#ffffff", "#16181d"),
    "panel": ("#f6f7f9", "#1e2127"),
    "ink": ("#1d2129", "#e6e8ec"),
    "muted": ("#667080", "#98a1b0"),
    "grid": ("#e3e6eb", "#31363f"),
    "accent": ("#0b62a8", "#6db3ee"),
    "good": ("#0a7a5c", "#4fc7a1"),
    "bad": ("#b3431e", "#f19a72"),
    # precisions
    "fp32": ("#0b62a8", "#62aeee"),
    "bf16": ("#cc5a0c", "#f29a4e"),
    "fp16": ("#0a8a68", "#4cc9a0"),
    "fp8": ("#9c4f96", "#d78fd0"),
    "other": ("#667080", "#98a1b0"),
    # phases
    "prologue": ("#a39b4e", "#b9b268"),
    "forward": ("#3d9b8f", "#58b8ab"),
    "recompute": ("#c4566c", "#e17f93"),
    "backward": ("#5a5bb0", "#8b8ce0"),
    "update": ("#c9a53b", "#d9bb5e"),
    "between": ("#b9bfc9", "#59616e"),
    # memory: what stays, and what a step fills
    "state1": ("#264f73", "#3f7099"),
    "state2": ("#47789f", "#5a8fba"),
    "state3": ("#7ba3c4", "#7fadd2"),
    "state4": ("#a9c6de", "#a9cbe6"),
    "state5": ("#d3e2ee", "#d0e3f2"),
    "state6": ("#a0a8b0", "#8a939c"),
    "arena1": ("#b5651d", "#c9772c"),
    "arena2": ("#d48a3a", "#dd9a52"),
    "arena3": ("#e6b06a", "#e8b97c"),
    "arena4": ("#f0d0a0", "#f0d5ab"),
    "arena5": ("#dcd3c6", "#8f877a"),
}
SENTINELS = {name: f"#{index + 1:06x}" for index, name in enumerate(COLOURS)}

matplotlib.rcParams.update({
    "figure.dpi": 72,  # that of SVG, so that a measured pixel is a drawn one
    "savefig.dpi": "figure",
    "svg.fonttype": "none",
    "svg.hashsalt": "stepscope",
    "font.family": "DejaVu Sans",  # ships with matplotlib and is wide: what fits in it fits in the reader's font
    "font.size": 9,
    "text.color": SENTINELS["ink"],
    "axes.edgecolor": SENTINELS["grid"],
    "axes.labelcolor": SENTINELS["muted"],
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.labelsize": 9,
    "axes.unicode_minus": True,
    "grid.color": SENTINELS["grid"],
    "grid.linewidth": 0.7,
    "xtick.color": SENTINELS["grid"],
    "ytick.color": SENTINELS["grid"],
    "xtick.labelcolor": SENTINELS["muted"],
    "ytick.labelcolor": SENTINELS["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
})


def colour(name):
    """The sentinel of a named colour; unknown names are drawn as "other"."""
    return SENTINELS.get(name, SENTINELS["other"])


def css_variables():
    light = "".join(f"--{name}:{pair[0]};" for name, pair in COLOURS.items())
    dark = "".join(f"--{name}:{pair[1]};" for name, pair in COLOURS.items())
    return f":root{{color-scheme:light dark;{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}@media print{{:root{{color-scheme:light;{light}}}}}"


def watermark(figure, text):
    """Across the figure, so that one that is taken out of its page says it too."""
    figure.text(0.5, 0.5, text, fontsize=44, fontweight="bold", color=colour("bad"), alpha=0.22, rotation=12, ha="center", va="center", zorder=100)


def themed_svg(figure, name, title):
    """The figure as an <svg> to stand in the page: CSS colours, ids of its own, the page's font, points that name themselves."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    matplotlib.pyplot.close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"#0000[0-9a-f]{2}\b", lambda match: _variable(match.group(0)), svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg)
    for gid, text in getattr(figure, "tooltips", {}).items():
        svg = svg.replace(f'<g id="{name}-{gid}">', f'<g id="{name}-{gid}"><title>{_escaped(text)}</title>', 1)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
                  rf'<svg role="img" aria-label="{_escaped(title)}" \1 xmlns:xlink="http://www.w3.org/1999/xlink">', svg, count=1)


def standalone(svg):
    """A page's <svg> as a file of its own, light and dark: its colours, font and background come along."""
    style = f"<style>{css_variables()}:root{{--font:'DejaVu Sans',system-ui,sans-serif;background:var(--paper)}}</style>"
    head, body = svg.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{body}'


def _variable(sentinel):
    for name, value in SENTINELS.items():
        if value == sentinel:
            return f"var(--{name})"
    return sentinel


def _escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
