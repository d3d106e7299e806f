"""Rules that reading the source decides. Each yields lines FILE:LINE: what, and why."""
import fnmatch
import re
import socket

# Lowest first; those on one row do not know each other.
LAYERS = [
    ["model/base"],
    ["model/program"],
    ["model/cpu", "model/cuda"],
    ["model/operations"],
    ["model/execution", "model/layers"],
    ["model/techniques"],
    ["model/training"],
    ["profiles"],
    ["reports"],
    ["harness"],
]
RANK = {folder: rank for rank, row in enumerate(LAYERS) for folder in row}
ORDER = " < ".join("|".join(folder.removeprefix("model/") for folder in row) for row in LAYERS)

# What only some files may include: what, which files, why.
PLACES = [
    (r"toml\+\+/", "harness/matrix*.* profiles/cards.*", "TOML is read for the matrix and for cards alone"),
    (r"nlohmann/", "model/base/json.* reports/*.* harness/commands/*.cpp harness/environment.* harness/worker*.* harness/coordinator*.* "
     "profiles/perfetto*.* model/training/safetensors.* model/training/saved_state.* model/training/hf_*.* "
     "model/training/byte_pair_tokenizer.*",
     "JSON is for records, visits, writers, --json, saved state, traces and the files of others"),
    (r"(oneapi/)?dnnl", "model/cpu/*", "oneDNN is known to model/cpu alone"),
    (r"omp\.h", "model/cpu/*", "threads are model/cpu's"),
    (r"cupti", "profiles/capture/*", "CUPTI is known to profiles/capture alone"),
    (r"nvtx3/", "profiles/ranges.*", "NVTX is known to profiles/ranges alone"),
    (r"(cudnn|cublas)", "model/cuda/* model/operations/*/*_cuda.cu", "cuDNN and cuBLASLt belong to model/cuda and *_cuda.cu"),
    (r"pcre2", "model/training/byte_pair_tokenizer.*", "PCRE2 cuts words for GPT-2's tokens and nothing else"),
    (r"zlib\.h", "profiles/perfetto.*", "only traces are compressed"),
    (r"CLI/", "harness/*", "the command line is the harness's"),
]

# Words that do not belong: which files, which words, why. A comment counts: it would tell of what the code must not know.
WORDS = [
    ("model/layers/*", r"(?i)recompute|checkpoint|micro|accum|bf16|fp16|scale_loss|nvtx|cuda", "a layer knows no technique and no machine"),
    ("model/operations/*_body.h", r"threadIdx|blockIdx|__shared__|__syncthreads|std::exp\b", "a body is written once, for every machine"),
    ("model/[oe]*.cu*", r"__shared__|<<<|\basm\b", "what host SIMT cannot take as it stands is in model/cuda/device.cuh alone"),
    ("model/*", r"if \(!?\w*recompute", "recomputation is a keep-set, never a branch"),
    ("*", r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "finish it or leave it out"),
    ("*", r"(?<![\w.}])/(work|home|root)/\w|bash[_]jobs", "a path of one machine"),
    ("*", r"(?i)\bissue #?\d|\b(this|a|an|another) agent\b", "the project speaks of itself alone"),
]
NOT_PROSE = ("tests/golden/*", "LICENSE", "reports/published/*")


def layer_of(name):
    return next((folder for folder in RANK if name.startswith(folder + "/")), None)


def layers(tree):
    """Includes are written from the root, name a file that is there, and go strictly down or stay in their folder."""
    for name in tree.code:
        for line, path, quoted in tree.includes(name):
            if not quoted:
                continue
            if not tree.exists(path) or ".." in path:
                yield f'{name}:{line}: "{path}": includes are written from the root, and no such file is there'
                continue
            why = why_not(name, path)
            if why:
                yield f'{name}:{line}: "{path}": {why}'


def why_not(name, path):
    here, there = layer_of(name), layer_of(path)
    if here is None or here == there:
        return None  # tests, and the fellows in a folder
    if there is None:
        return f"{path} belongs to no layer"
    if RANK[there] >= RANK[here]:
        return f"goes up ({ORDER})"
    if here == "model/layers" and there not in ("model/base", "model/program"):
        match = re.fullmatch(r"model/operations/(\w+)/(\w+)\.h", path)
        if not match or match[1] != match[2]:
            return "layers see only NAME.h of operations, program and base"
    if here == "reports" and there == "profiles" and path not in ("profiles/trace_model.h", "profiles/ledger.h"):
        return "of profiles, reports see only the trace model and the ledger"
    return None


def places(tree):
    """Libraries are included only where they belong (tests are free)."""
    for name in tree.code:
        if name.startswith("tests/"):
            continue
        for line, path, quoted in tree.includes(name):
            for what, where, why in PLACES:
                if not quoted and re.match(what, path) and not any(fnmatch.fnmatch(name, w) for w in where.split()):
                    yield f"{name}:{line}: <{path}>: {why}"


def words(tree):
    """Words that tell that something is in the wrong place, unfinished, or of one machine."""
    machine = socket.gethostname()
    told = [(files, re.compile(what), why) for files, what, why in WORDS]
    if len(machine) > 5 and re.search(r"\d", machine):
        told.append(("*", re.compile(rf"\b{re.escape(machine)}\b"), "the name of this machine"))
    for name in tree.files:
        if any(fnmatch.fnmatch(name, pattern) for pattern in NOT_PROSE):
            continue
        rules = [(what, why) for files, what, why in told if fnmatch.fnmatch(name, files)]
        for number, line in enumerate(tree.lines(name), 1):
            for what, why in rules:
                match = what.search(line)
                if match:
                    yield f"{name}:{number}: '{match[0]}': {why}"


def operations(tree):
    """An operation is a folder with all its parts, and each of its kinds has a row in the list."""
    table = "\n".join(tree.lines("model/operations/list.cpp"))
    cuda_table = "\n".join(tree.lines("model/operations/list_cuda.cu"))
    for folder in sorted({name.split("/")[2] for name in tree.files if re.match(r"model/operations/\w+/", name)}):
        here = f"model/operations/{folder}"
        # The kinds of add and copy lie lower: differentiation itself sums gradients and fetches values with them.
        header = f"model/program/{folder}.h" if folder in ("add", "copy") else f"{here}/{folder}.h"
        parts = [header, header[:-2] + ".cpp", f"{here}/{folder}_body.h", f"{here}/{folder}_cpu.cpp"]
        for part in parts:
            if not tree.exists(part):
                yield f"{here}:1: {part} is missing: an operation has NAME.h, NAME.cpp, NAME_body.h and NAME_cpu.cpp"
        kinds = [(n, m[1]) for n, line in enumerate(tree.lines(header), 1) if (m := re.match(r"extern const OperationKind (\w+);", line))]
        if not kinds and tree.exists(header):
            yield f"{header}:1: declares no 'extern const OperationKind NAME_kind;'"
        for number, kind in kinds:
            if not re.search(rf"&{kind}\b", table):
                yield f"{header}:{number}: {kind} has no row in model/operations/list.cpp"
            if tree.exists(f"{here}/{folder}_cuda.cu") and not re.search(rf"&{kind}\b", cuda_table):
                yield f"{header}:{number}: {kind} has no row in model/operations/list_cuda.cu, but there is {folder}_cuda.cu"


def techniques(tree):
    """A technique is a file and a row; a helper is named after the technique that it helps."""
    table = "\n".join(tree.lines("model/techniques/list.cpp"))
    shared = {"list", "choice"}  # the list itself, and the value of an axis
    headers = [name for name in tree.files if re.fullmatch(r"model/techniques/\w+\.h", name)]
    declared = {}
    for header in headers:
        for number, line in enumerate(tree.lines(header), 1):
            match = re.match(r"extern const Technique (\w+);", line)
            if match:
                declared[header.split("/")[-1][:-2]] = match[1]
                if not re.search(rf"\b{match[1]}\b", table):
                    yield f"{header}:{number}: {match[1]} has no row in model/techniques/list.cpp"
    for header in headers:
        name = header.split("/")[-1][:-2]
        if name not in shared and not any(name == one or name.startswith(one + "_") for one in declared):
            yield f"{header}:1: declares no 'extern const Technique {name}_technique;' and helps none by its name"


def types(tree):
    """Every type of a header has a name of its own: two of one name in one namespace are linked as one, without a word."""
    first = {}
    for name in tree.code:
        if not name.endswith((".h", ".cuh")) or name.startswith("tests/"):
            continue
        for number, line in enumerate(tree.lines(name), 1):
            match = re.match(r"(?:struct|class|enum class)\s+(\w+)[^;]*\{", line)
            if not match:
                continue
            where = first.setdefault(match[1], f"{name}:{number}")
            if where != f"{name}:{number}":
                yield f"{name}:{number}: {match[1]} is a type of {where} too: the linker takes one for the other"


def sizes(tree):
    """Long files and long functions, as questions."""
    for name in tree.code:
        lines = tree.lines(name)
        if len(lines) > 401:
            yield f"question: {name}:1: {len(lines) - 1} lines; is it one subject?"
        start = None
        for number, line in enumerate(lines, 1):
            if re.match(r"(?!namespace|struct|class|enum|union|extern)[A-Za-z].*\{$", line):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start > 60:
                    yield f"question: {name}:{start}: a function of {number - start + 1} lines; does it do one thing?"
                start = None
