#!/usr/bin/env python3
"""How well `tracebook diff` names the culprits of incidents whose truth is known.

  benches/diagnosis/run.py TRACEBOOK DIR...              share of cases whose culprit is among the first 1, 3 and 5 named
  benches/diagnosis/run.py TRACEBOOK DIR... --quiet      share of comparisons of quiet times in which nobody is named
  benches/diagnosis/run.py TRACEBOOK DIR... --floor benches/diagnosis/floor.json      exit 1 if a figure is below

See benches/diagnosis/README.md. Needs Python 3.9 and, where files are to be cut, the `zstd` command.
"""

import argparse
import concurrent.futures
import itertools
import json
import math
import pathlib
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True  # Nothing is left in the repository.
import cases as known  # noqa: E402

FIRST = (1, 3, 5)


def examine(tracebook, case, late, scratch):
    """One case: which distinct services were named, and the place of the right one among them."""
    found = {key: case.get(key) for key in ("case", "set", "system", "fault_type", "category", "service", "operation")}
    try:
        culprits = known.of_case(tracebook, case, late, scratch)
    except (known.Failed, ValueError) as error:
        return {**found, "failed": str(error), "place": None, "reported": False, "named": []}
    named, right = [], [case["service"], *(case.get("accept") or [])]
    for culprit in culprits:
        if culprit["service"] not in [n["service"] for n in named]:
            keys = ("service", "operation", "edge", "reason", "score", "reported")
            named.append({key: culprit.get(key) for key in keys})
    hits = [n for n, other in enumerate(named) if any(known.same(label, other["service"]) for label in right)]
    place = hits[0] + 1 if hits else None
    # A program that does not tell what it reports reports everything.
    reported = place is not None and named[place - 1]["reported"] is not False
    return {**found, "place": place, "reported": reported, "named": named[: max(FIRST)]}


def figures(results):
    """AS@k, the mean reciprocal place, and the share in which the right one is also reported."""
    n = len(results)
    said = {"n": n}
    for k in FIRST:
        said[f"AS@{k}"] = round(sum(1 for r in results if r["place"] and r["place"] <= k) / n, 4)
    said["MRR"] = round(sum(1 / r["place"] for r in results if r["place"]) / n, 4)
    said["reported"] = round(sum(r["reported"] for r in results) / n, 4)
    return said


def grouped(results, key):
    values = sorted({r[key] for r in results if r.get(key) is not None})
    return {value: figures([r for r in results if r[key] == value]) for value in values}


def left_out(results):
    """Each system on its own, and what the others say without it: figures that rest on one system show here."""
    systems = sorted({r["system"] for r in results})
    if len(systems) < 2:
        return {}
    table = {}
    for system in systems:
        mine = figures([r for r in results if r["system"] == system])
        others = figures([r for r in results if r["system"] != system])
        table[system] = {"n": mine["n"], **{f"AS@{k}": mine[f"AS@{k}"] for k in FIRST}}
        table[system].update({f"others AS@{k}": others[f"AS@{k}"] for k in FIRST})
    spread = {}
    for k in FIRST:
        of = [row[f"AS@{k}"] for row in table.values()]
        spread[f"AS@{k}"] = {
            "least": min(of), "median": round(statistics.median(of), 4), "most": max(of),
            "deviation": round(statistics.stdev(of), 4),
        }
    return {"systems": table, "spread": spread}


def interval(share, n):
    """Wilson's 95 % interval of a share."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(title, rows, columns):
    print(f"\n{title}")
    width = max([len(str(name)) for name in rows] + [8])
    print(" " * width + "".join(f"{c:>15}" if len(c) > 9 else f"{c:>10}" for c in columns))
    for name, row in rows.items():
        cells = [row[c] for c in columns]
        text = [str(x) if isinstance(x, int) else f"{x * 100:.1f} %" for x in cells]
        print(f"{name:<{width}}" + "".join(f"{t:>15}" if len(c) > 9 else f"{t:>10}" for t, c in zip(text, columns)))


def rank(arguments, cases, pool):
    """All cases; prints what came out and gives it back."""
    with tempfile.TemporaryDirectory() as scratch:
        cutting = pathlib.Path(scratch) if arguments.cut else None
        late = arguments.late * known.SECOND
        results = list(pool.map(lambda case: examine(arguments.tracebook, case, late, cutting), cases))
    said = {
        "all": figures(results),
        "by_fault_type": grouped(results, "fault_type"),
        "by_category": grouped(results, "category"),
        "by_system": grouped(results, "system"),
        "leave_one_system_out": left_out(results),
        "cases": results,
    }
    if not arguments.json:
        print_ranking(said)
    return said


def print_ranking(said):
    columns = ["n", *(f"AS@{k}" for k in FIRST), "MRR", "reported"]
    missed = [r for r in said["cases"] if r["place"] != 1]
    if missed:
        print("Not first:")
    for r in missed:
        if "failed" in r:
            print(f"  {r['case']}: {r['failed']}")
            continue
        others = ", ".join(f"{n['service']} ({n['reason']})" for n in r["named"][:3]) or "nobody"
        print(f"  {r['case']}: {r['service']} is {'number ' + str(r['place']) if r['place'] else 'not named'}; {others}")
    for title, key in (("By fault", "by_fault_type"), ("By category", "by_category"), ("By system", "by_system")):
        table(title, said[key], columns)
    out = said["leave_one_system_out"]
    if out:
        table("Leaving one system out", out["systems"], ["n", *(f"AS@{k}" for k in FIRST), *(f"others AS@{k}" for k in FIRST)])
        print("\nSpread over systems")
        for name, s in out["spread"].items():
            shares = [f"{key} {s[key] * 100:.1f} %" for key in ("least", "median", "most", "deviation")]
            print(f"  {name}: {', '.join(shares)}")
    table("All", {"all": said["all"]}, columns)
    for k in FIRST:
        low, high = interval(said["all"][f"AS@{k}"], said["all"]["n"])
        print(f"  AS@{k} lies in {low * 100:.1f}..{high * 100:.1f} % (95 %)")


def comparisons(cases, quiet, scratch, most):
    """Pairs of quiet times of one system: halves of one window, and windows with each other.

    Gives (system, name, arguments of a comparison). Parts before a fault are cut off into `scratch`.
    """
    systems = sorted({(c["set"], c["system"]) for c in [*cases, *quiet]})
    for key in systems:
        windows = []
        for q in quiet:
            if (q["set"], q["system"]) == key:
                windows.append((q["case"], q["path"], q["start_unix_nano"], q["end_unix_nano"]))
        for c in cases:
            # Less than half a minute has no halves.
            if (c["set"], c["system"]) != key or "baseline" in c:
                continue
            start = known.begin(c["path"])
            if c["inject_unix_nano"] - start < 30 * known.SECOND:
                continue
            path = scratch / f"{c['set']}-{c['case']}.jsonl"
            end = c["inject_unix_nano"] - known.MARGIN
            known.cut(c["path"], [(0, end, path)])
            windows.append((c["case"], path, start, end))
        for name, path, start, end in windows:
            yield key[1], f"{name}, halves", (path, (start + end) // 2, end)
        pairs = list(itertools.combinations(windows, 2))
        # Evenly over all pairs, not the first ones.
        for number in range(min(most, len(pairs))):
            one, other = pairs[number * len(pairs) // min(most, len(pairs))]
            yield key[1], f"{one[0]} / {other[0]}", (one[1], other[1])


def silent(arguments, cases, quiet, pool):
    """All comparisons of quiet times; prints what came out and gives it back."""

    def examine(comparison):
        system, name, how = comparison
        kind = "halves" if len(how) == 3 else "windows"
        found = {"pair": name, "system": system, "kind": kind}
        try:
            if len(how) == 2:
                culprits = known.ask(arguments.tracebook, how)
            elif arguments.cut:
                parts = [pathlib.Path(scratch) / f"{how[0].name}-half-{n}.jsonl" for n in "ab"]
                known.cut(how[0], [(0, how[1], parts[0]), (how[1], how[2], parts[1])])
                culprits = known.ask(arguments.tracebook, parts)
            else:
                culprits = known.split(arguments.tracebook, how[0], how[1], how[2] - how[1])
        except (known.Failed, ValueError) as error:
            return {**found, "failed": str(error), "silent": False, "named": []}
        named = [c for c in culprits if c.get("reported") is not False]
        keys = ("service", "operation", "reason", "score")
        return {**found, "silent": not named, "named": [{k: c.get(k) for k in keys} for c in named[:3]]}

    with tempfile.TemporaryDirectory() as scratch:
        todo = list(comparisons(cases, quiet, pathlib.Path(scratch), arguments.pairs))
        results = list(pool.map(examine, todo))

    def share(of):
        return {"n": len(of), "silent": round(sum(r["silent"] for r in of) / len(of), 4)}

    if not results:
        raise SystemExit("run.py: no quiet windows to compare")
    said = {
        "all": share(results),
        "by_kind": {k: share([r for r in results if r["kind"] == k]) for k in sorted({r["kind"] for r in results})},
        "by_system": {s: share([r for r in results if r["system"] == s]) for s in sorted({r["system"] for r in results})},
        "pairs": results,
    }
    if not arguments.json:
        print("Named although nothing was wrong:" if said["all"]["silent"] < 1 else "Nobody was named.")
        for r in (r for r in results if not r["silent"]):
            who = ", ".join(f"{n['service']} ({n['reason']}, {n['score']})" for n in r["named"])
            print(f"  {r['system']}: {r['pair']}: {r.get('failed') or who}")
        table("By kind of pair", said["by_kind"], ["n", "silent"])
        table("By system", said["by_system"], ["n", "silent"])
        table("All", {"all": said["all"]}, ["n", "silent"])
    return said


def below(floor, figures, path=""):
    """Where a figure is missing or smaller than its floor."""
    for key, least in floor.items():
        here = f"{path}.{key}" if path else key
        got = figures.get(key) if isinstance(figures, dict) else None
        if isinstance(least, dict):
            yield from below(least, got or {}, here)
        elif got is None or got < least:
            yield f"{here} is {'missing' if got is None else got}, at least {least} is wanted"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracebook", help="the program to measure")
    parser.add_argument("directories", nargs="+", metavar="DIR", help="cases: a directory with a labels.json")
    parser.add_argument("--quiet", action="store_true", help="compare quiet times instead: how often is nobody named?")
    parser.add_argument("--pairs", type=int, default=10, metavar="N", help="with --quiet: pairs of windows of a system, at most [10]")
    parser.add_argument("--late", type=int, default=0, metavar="SECONDS", help="ask as if the fault had begun that much later: alarms come late")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this text in their name")
    parser.add_argument("--cut", action="store_true", help="cut files here instead of asking tracebook for --at (for programs without it)")
    parser.add_argument("--floor", metavar="FILE", help="exit 1 if a figure is below the one in this JSON file")
    parser.add_argument("--json", action="store_true", help="print all figures and cases as JSON")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="programs at a time [2]")
    arguments = parser.parse_args()
    cases, quiet = [], []
    for directory in arguments.directories:
        more, windows = known.load(directory)
        if not more and not windows:
            parser.error(f"{directory} has no labels.json")
        cases += [c for c in more if arguments.only in c["case"]]
        quiet += windows
    if not cases and not (arguments.quiet and quiet):
        parser.error("no case is left")
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        said = silent(arguments, cases, quiet, pool) if arguments.quiet else rank(arguments, cases, pool)
    if arguments.json:
        print(json.dumps(said, indent=1, sort_keys=True))
    failed = [r for r in said.get("cases", said.get("pairs", [])) if "failed" in r]
    for r in failed:
        print(f"run.py: {r.get('case') or r.get('pair')}: {r['failed']}", file=sys.stderr)
    problems = []
    if arguments.floor:
        floor = json.loads(pathlib.Path(arguments.floor).read_text())
        problems = list(below(floor.get("quiet" if arguments.quiet else "ranking", {}), said))
        for problem in problems:
            print(f"run.py: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 2 if failed else 0)


if __name__ == "__main__":
    main()
