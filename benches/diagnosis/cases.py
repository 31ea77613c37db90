"""Cases of known truth, and what tracebook says of them.

A directory of cases has a `labels.json`: an array with `case`, `file`, `system`, `inject_unix_nano`, `fault_end_unix_nano`,
`service`, `fault_type`, `category`, and perhaps `accept`, a list of further right answers. It may have a `quiet.json`, an array
with `case`, `file`, `system`, `start_unix_nano`, `end_unix_nano` of windows in which nothing is wrong. A case without anything
before its fault (`spans_before_injection` 0) is compared with the directory's `baseline_*` file.
"""

import datetime
import json
import pathlib
import subprocess

SECOND = 1_000_000_000
# Where the part before a fault is cut off: what is under way when it begins belongs to neither side.
MARGIN = 2 * SECOND


class Failed(Exception):
    """tracebook did not do the job."""


def load(directory):
    """The cases and quiet windows of a directory, each with the path of its file."""
    directory = pathlib.Path(directory)

    def read(name):
        path = directory / name
        entries = json.loads(path.read_text()) if path.exists() else []
        for entry in entries:
            entry["path"], entry["set"] = directory / entry["file"], directory.name
            for key in ("inject_unix_nano", "fault_end_unix_nano", "start_unix_nano", "end_unix_nano"):
                if key in entry:
                    entry[key] = int(entry[key])
        return entries

    cases, quiet = read("labels.json"), read("quiet.json")
    baselines = sorted(directory.glob("baseline_*"))
    for case in cases:
        if case.get("spans_before_injection") == 0:
            case["baseline"] = baselines[0] if baselines else None
    return cases, quiet


def rfc3339(nanos):
    moment = datetime.datetime.fromtimestamp(nanos // SECOND, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos % SECOND:09d}Z"


def duration(nanos):
    seconds = max(1, nanos // SECOND)
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def ask(tracebook, arguments):
    """The culprits of a comparison, best first."""
    command = [tracebook, "--quiet", "diff", *map(str, arguments), "--format", "json"]
    done = subprocess.run(command, capture_output=True)
    # 1 says that something changed.
    if done.returncode not in (0, 1):
        raise Failed(done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}")
    culprits = json.loads(done.stdout).get("culprits") or []
    return sorted(culprits, key=lambda c: c.get("rank", 0))


def split(tracebook, path, at, lasts):
    """What is to blame for what happened from `at` on, compared with the time before."""
    return ask(tracebook, ["--from", path, "--at", rfc3339(at), "--for", duration(lasts)])


def of_case(tracebook, case, late=0, scratch=None):
    """Culprits of a case, asked `late` nanoseconds after the fault began as if it began then.

    With `scratch`, a directory, the file is cut here and tracebook sees two files.
    """
    at, end = case["inject_unix_nano"] + late, case["fault_end_unix_nano"]
    if "baseline" in case:
        if case["baseline"] is None:
            raise Failed("nothing before the fault, and no baseline_* file next to it")
        return ask(tracebook, [case["baseline"], case["path"]])
    if scratch is None:
        return split(tracebook, case["path"], at, end - at)
    base, head = scratch / f"{case['case']}-base.jsonl", scratch / f"{case['case']}-head.jsonl"
    try:
        cut(case["path"], [(0, at - MARGIN, base), (at, end, head)])
        return ask(tracebook, [base, head])
    finally:
        base.unlink(missing_ok=True)
        head.unlink(missing_ok=True)


def lines(path):
    """The lines of a file, unpacked by the `zstd` command where needed."""
    if path.suffix != ".zst":
        with open(path, "rb") as file:
            yield from file
        return
    with subprocess.Popen(["zstd", "-dc", "--long=31", str(path)], stdout=subprocess.PIPE) as unpacked:
        yield from unpacked.stdout
    if unpacked.returncode:
        raise Failed(f"{path}: zstd says {unpacked.returncode}")


def cut(path, pieces):
    """Writes whole traces, by the time they begin: pieces are (from, until, file)."""
    requests = [json.loads(line) for line in lines(path)]
    begins = {}
    for request in requests:
        for span in spans(request):
            start = int(span["startTimeUnixNano"])
            begins[span["traceId"]] = min(start, begins.get(span["traceId"], start))
    for low, high, target in pieces:
        inside = {trace for trace, start in begins.items() if low <= start < high}
        with open(target, "w") as out:
            for request in requests:
                kept = []
                for resource in request.get("resourceSpans", []):
                    scopes = []
                    for scope in resource.get("scopeSpans", []):
                        of_scope = [s for s in scope.get("spans", []) if s["traceId"] in inside]
                        if of_scope:
                            scopes.append({**scope, "spans": of_scope})
                    if scopes:
                        kept.append({**resource, "scopeSpans": scopes})
                if kept:
                    out.write(json.dumps({"resourceSpans": kept}, separators=(",", ":")) + "\n")


def spans(request):
    for resource in request.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            yield from scope.get("spans", [])


def begin(path):
    """When a file's first span begins."""
    return min(int(s["startTimeUnixNano"]) for line in lines(path) for s in spans(json.loads(line)))


def same(label, named):
    """Whether a label is a service that was named: with or without its namespace."""
    if label == named:
        return True
    plain = [x for x in (label, named) if "/" not in x and ":" not in x]
    return len(plain) == 1 and ":" not in label + named and label.split("/")[-1] == named.split("/")[-1]
