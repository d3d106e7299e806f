"""Makes RUN/report/index.html and figures/*.svg from RUN/report/{report.json, figures/*.csv}. Shows numbers, computes none: units of axes are all it scales."""
import csv
import json
import os
import re
import sys
from pathlib import Path

import jinja2
from markupsafe import Markup

import drawings
import drawings_choices
import theme

SCHEMA = "stepscope.report/1"
DRAWINGS = drawings.ALL | drawings_choices.ALL


class UsageError(Exception):
    pass


def read_report(folder):
    file = folder / "report.json"
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"{file}: cannot be read; `stepscope report {folder.parent}` writes it")
    except ValueError as error:
        raise UsageError(f"{file}: not JSON: {error}")
    if report.get("schema") != SCHEMA:
        raise UsageError(f'{file}: key "schema": found {json.dumps(report.get("schema"))}, expected "{SCHEMA}"')
    return report


def read_csv(file):
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError:
        raise UsageError(f"{file}: cannot be read, though report.json names it")


def draw_figures(report, folder):
    for section in report["sections"]:
        for block in section["blocks"]:
            if block["kind"] != "figure":
                continue
            figure = block["figure"]
            draw = DRAWINGS.get(figure["name"])
            if draw is None:
                raise UsageError(f'report.json: figure "{figure["name"]}" has no drawing; known: {", ".join(DRAWINGS)}')
            rows = read_csv(folder / figure["csv"])
            drawn = draw(rows, figure["labels"])
            if report["simulated"]:
                theme.watermark(drawn, "SIMULATED")
            svg = theme.themed_svg(drawn, figure["name"], figure["title"])
            write_atomically((folder / figure["csv"]).with_suffix(".svg"), theme.standalone(svg))
            figure["svg"] = Markup(svg)


def unbroken(text):
    """A number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=(?:%|[KMG]i?B|B|ns|µs|ms|s|ms/GiB)(?:\W|$))", "\u00a0", text)


def page_of(report):
    here = Path(__file__).parent
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters["unbroken"] = unbroken
    return environment.get_template("page.html.j2").render(
        report=report,
        colours=Markup(theme.css_variables()),
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        script=Markup((here / "page.js").read_text(encoding="utf-8")),
    )


def write_atomically(file, text):
    temporary = file.with_name(file.name + ".partial")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)


def main(arguments):
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageError("use: scripts/report RUN, where RUN is the folder of a run")
    folder = Path(arguments[0]) / "report"
    report = read_report(folder)
    draw_figures(report, folder)
    write_atomically(folder / "index.html", page_of(report))
    print(folder / "index.html")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        print(f"scripts/report: {error}", file=sys.stderr)
        sys.exit(2)
