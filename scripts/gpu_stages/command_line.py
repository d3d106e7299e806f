"""The words of scripts/gpu: what they choose, and the three things it does: run stages, be a stage's own process, list them."""
import argparse
import pathlib
import sys

import files
import pack
import results
import runner
from setting import RUN_SCHEMA, setting_of
from stage import Context


def stages_named(parser, option, text, stages):
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [stage.name for stage in stages]
    for name in names:
        if name not in known:
            parser.error(f"{option} {name}: no such stage; there are {', '.join(known)}")
    if not names:
        parser.error(f"{option}: a stage is needed, of {', '.join(known)}")
    return names


def limits_of(parser, given, stages):
    limits = {}
    for text in given:
        name, _, seconds = text.partition("=")
        stages_named(parser, "--limit", name, stages)
        if not seconds.isdigit() or int(seconds) == 0:
            parser.error(f"--limit {text}: NAME=SECONDS is needed, a whole number of them")
        limits[name] = float(seconds)
    return limits


def minutes(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError(f"'{text}': minutes above 0 are needed")
    return value


def parser_of(description):
    parser = argparse.ArgumentParser(prog="scripts/gpu", description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/gpu"), help="the results (default: runs/gpu)")
    parser.add_argument("--device", help="cuda or cuda:N (default: cuda)")
    parser.add_argument("--minutes", type=minutes, default=25.0, help="for all stages of this call together (default: 25)")
    parser.add_argument("--only", metavar="A,B", help="these stages, in this order, and what they need")
    parser.add_argument("--from", dest="first", metavar="A", help="this stage and those after it")
    parser.add_argument("--again", metavar="A,B", default="", help="run these anew though they are done")
    parser.add_argument("--limit", action="append", default=[], metavar="A=S", help="seconds of a stage")
    parser.add_argument("--archive", type=pathlib.Path, metavar="FILE.tar.gz", help="after every stage: all results as one file")
    parser.add_argument("--list", action="store_true", help="the stages, their limits, and how far each is in --out")
    parser.add_argument("--rehearse", action="store_true", help="without a card: on the simulated one where its program is, else the CPU")
    parser.add_argument("--build", type=pathlib.Path, help="a folder with programs that are there already (default: builds its own)")
    parser.add_argument("--unpacked", type=pathlib.Path, metavar="FOLDER", help="run the programs of a pack (found by itself inside one)")
    parser.add_argument("--pack", type=pathlib.Path, metavar="FOLDER", help="make FOLDER and FOLDER.tar.xz for a bare machine, run nothing")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has torch or jax (default: this one)")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    return parser


def chosen_stages(parser, options, stages):
    if options.only and options.first:
        parser.error("--only and --from exclude each other")
    if options.only:
        return stages_named(parser, "--only", options.only, stages)
    names = [stage.name for stage in stages]
    if not options.first:
        return names
    first = stages_named(parser, "--from", options.first, stages)
    if len(first) > 1:
        parser.error("--from: one stage is needed")
    return names[names.index(first[0]):]


def begin(setting):
    """Makes OUT, or says why it cannot be gone on with."""
    hinders = files.what_hinders_writing(setting.out)
    if hinders:
        raise runner.UsageError(f"--out {setting.out}: cannot be written: {hinders}")
    kept, _ = files.read_json(setting.out / "run.json", RUN_SCHEMA)
    if kept is not None and kept.get("device") != setting.device:
        raise runner.UsageError(f"--out {setting.out}: holds results of --device {kept.get('device')}, this is {setting.device}; "
                                "another folder is needed")
    files.write_json(setting.out / "run.json", {"schema": RUN_SCHEMA, "device": setting.device, "rehearsal": setting.rehearsal,
                                                "commit": setting.commit})


def print_list(setting, stages):
    for stage in stages:
        result = results.read(setting.out / "stages" / stage.name)
        print(f"{stage.name:<12} {stage.limit_s:>4.0f} s  {result.state:<11} {stage.help}")


def main(stages, script, description, arguments=None):
    """The exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = parser_of(description)
    options = parser.parse_args(arguments)
    options.limits = limits_of(parser, options.limit, stages)
    chosen = chosen_stages(parser, options, stages)
    again = stages_named(parser, "--again", options.again, stages) if options.again else []
    try:
        if options.pack:
            return pack.make(options.pack, pathlib.Path(script).resolve().parents[1])
        setting = setting_of(options, script, arguments, again)
        if options.list:
            print_list(setting, stages)
            return 0
        if options.inside:
            stage = next(stage for stage in stages if stage.name == options.inside[0])
            runner.stage_process(stage, Context(setting, stage.name, float(options.inside[1])))
        begin(setting)
        stages_run = runner.Runner(stages, setting, say=lambda text: print(text, flush=True))
        status = stages_run.run(chosen)
    except runner.UsageError as error:
        print(f"scripts/gpu: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"scripts/gpu: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 3
    print(stages_run.summary(), end="")
    return status
