"""OUT/summary.txt: a screen of 80 columns and 24 lines that says how far the stages are."""
WIDTH, HEIGHT = 80, 24
FIGURE = WIDTH - 33


def clipped(text, width):
    text = " ".join(text.split())
    return text if len(text) <= width else text[:width - 1] + "…"


def row(result, commit):
    told = result.figure if result.state == "done" else "; ".join(part for part in (result.reason, result.figure) if part)
    if result.state == "done" and commit and result.commit and result.commit != commit:
        told = f"[{result.commit[:7]}] {told}"
    seconds = f"{result.seconds:.0f} s" if result.state not in ("waiting", "stopped", "running") else ""
    return f"{clipped(result.stage, 12):<12} {result.state:<11} {seconds:>6}  {clipped(told, FIGURE)}".rstrip()


def text(title, results, commit, left_s=None):
    """Always fits: stages beyond the screen are counted in its last line."""
    counts = {}
    for result in results:
        counts[result.state] = counts.get(result.state, 0) + 1
    tail = ", ".join(f"{count} {state}" for state, count in counts.items())
    if left_s is not None:
        tail += f"; {max(0, left_s) / 60:.1f} minutes left"
    rows = [row(result, commit) for result in results]
    room = HEIGHT - 4
    if len(rows) > room:
        rows = rows[:room - 1] + [f"... and {len(rows) - room + 1} more"]
    heading = f"{'stage':<12} {'state':<11} {'time':>6}  what counts"
    return "\n".join([clipped(title, WIDTH), heading, *rows, clipped(tail, WIDTH), ""])

