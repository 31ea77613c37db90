#!/usr/bin/env python3
"""tracebook next to the OpenTelemetry Collector's servicegraph connector: the same bytes, one core each, the same answer.

  benches/collector.py                     1,000,000 wide spans, 3 rounds, over gRPC
  SPANS=200000 ROUNDS=5 WITH=http benches/collector.py

The Collector is assembled by tests/peers/build.sh. It gets the messages over loopback from a loader whose CPU is not counted;
it runs with GOMAXPROCS=1 on one core, and its CPU seconds are taken from the kernel, from before the first message to when its
metrics hold every call. `tracebook capture` reads the same messages from a file on the same core with one thread. Both
answers are compared edge by edge with each other and with what was generated; a difference that docs/topology.md does not
name is a failure.

TRACEBOOK and SHOP name the two programs; without them both are built (release, without the span archive). RATIO=5 fails
below that ratio. PPROF=DIR keeps a CPU profile of the Collector's first round there. Needs Linux, Go and Python 3 only.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True  # Nothing is left in the repository.
import answers  # noqa: E402
from answers import fail  # noqa: E402

CORE, OTHER = 0, min(1, (os.cpu_count() or 1) - 1)
TICK = os.sysconf("SC_CLK_TCK")
TTL = 2  # Seconds the connector waits for the other half of a call; its default.
OTLP, HTTP, PPROF = 34317, 34318, 31777


def number(name, default):
    return int(os.environ.get(name, default))


# The Collector.

def configuration(directory, connect):
    """With the connector, or with nothing behind the receiver."""
    pipelines = {"traces": {"receivers": ["otlp"], "exporters": ["servicegraph" if connect else "nop"]}}
    if connect:
        pipelines["metrics"] = {"receivers": ["servicegraph"], "exporters": ["file"]}
    return {
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{OTLP}", "max_recv_msg_size_mib": 64},
            "http": {"endpoint": f"127.0.0.1:{HTTP}"},
        }}},
        "connectors": {"servicegraph": {
            "metrics_flush_interval": "1s",
            # Room for every call that waits: with the default of 1,000 it drops spans and is fast and wrong.
            "store": {"ttl": f"{TTL}s", "max_items": 10_000_000},
            "database_name_attributes": ["db.namespace", "db.name"],
            "virtual_node_peer_attributes": ["server.address", "net.peer.name"],
        }} if connect else {},
        "exporters": {"file": {"path": str(directory / "metrics.jsonl")}} if connect else {"nop": {}},
        "extensions": {"pprof": {"endpoint": f"127.0.0.1:{PPROF}"}},
        "service": {
            "extensions": ["pprof"],
            "pipelines": pipelines,
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
        },
    }


def cpu(pid):
    """User and system seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def calls_in_metrics(directory):
    """(client, server) -> (calls, failed) from the last line the file exporter has finished; {} before the first."""
    path = directory / "metrics.jsonl"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (8 << 20)))
        lines = file.read().split(b"\n")
    if len(lines) < 2 or not lines[-2].strip():
        return {}
    try:
        line = json.loads(lines[-2])
    except ValueError:
        return {}
    found = {}
    for metric in (m for r in line["resourceMetrics"] for s in r["scopeMetrics"] for m in s["metrics"]):
        which = {"traces_service_graph_request_total": 0, "traces_service_graph_request_failed_total": 1}.get(metric["name"])
        if which is None:
            continue
        for point in metric["sum"]["dataPoints"]:
            labels = {a["key"]: a["value"].get("stringValue") for a in point["attributes"]}
            both = found.setdefault((labels["client"], labels["server"]), [0, 0])
            both[which] += int(point["asInt"])
    return {key: tuple(value) for key, value in found.items()}


def listening(process):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            fail("the Collector did not start")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/v1/traces", data=b"", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    fail("the Collector does not listen")


def collector(peers, spans_file, connect, wanted, profile=None):
    """One round: (CPU seconds, wall seconds until all is accounted for, what its metrics hold)."""
    with tempfile.TemporaryDirectory(prefix="tracebook-collector.") as name:
        directory = pathlib.Path(name)
        (directory / "config.yaml").write_text(json.dumps(configuration(directory, connect)))  # JSON is YAML.
        env = {**os.environ, "GOMAXPROCS": "1"}
        command = ["taskset", "-c", str(CORE), str(peers / "collector"), "--config", f"file:{directory}/config.yaml"]
        process = subprocess.Popen(command, env=env, stdout=sys.stderr)
        try:
            listening(process)
            time.sleep(0.5)
            before, begin = cpu(process.pid), time.monotonic()
            to = OTLP if os.environ.get("WITH", "grpc") == "grpc" else HTTP
            load = ["taskset", "-c", str(OTHER), str(peers / "loader"), "-with", os.environ.get("WITH", "grpc"), "-to", f"127.0.0.1:{to}"]
            loader = subprocess.Popen(load + ["-streams", "2", str(spans_file)])
            if profile:
                url = f"http://127.0.0.1:{PPROF}/debug/pprof/profile?seconds=10"
                pathlib.Path(profile).mkdir(parents=True, exist_ok=True)
                name = "connector" if connect else "decode"
                (pathlib.Path(profile) / f"{name}.pprof").write_bytes(urllib.request.urlopen(url, timeout=60).read())
            if loader.wait(timeout=900) != 0:
                fail("the loader failed")
            wall, used = time.monotonic() - begin, cpu(process.pid) - before
            found, still, last = {}, 0, None
            while connect and sum(calls for calls, _ in found.values()) != wanted and still < 15:
                time.sleep(0.5)
                found = calls_in_metrics(directory)
                still = 0 if found != last else still + 1
                last = found
                wall, used = time.monotonic() - begin, cpu(process.pid) - before
            return used, wall, found
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# tracebook.

def capture(tracebook, spans_file, directory):
    """One round: (CPU seconds, wall seconds, snapshot)."""
    out = directory / "out.snapshot.json"
    command = ["taskset", "-c", str(CORE), tracebook, "--quiet", "--threads", "1", "capture", "--from", str(spans_file), "--output", str(out)]
    begin = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        fail("capture failed")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begin, out


# The answers, in the connector's terms.

def plain(node):
    """A node's id as the connector names it: without kind and namespace."""
    kind, _, rest = node.partition(":")
    if kind == "database":
        return rest.partition(":")[2]
    return rest if kind in ("entry", "external") else node.rpartition("/")[2]


def expected(edges, calls, errors):
    """(client, server) -> (calls, failed) the connector should have, and the names of the differences met."""
    want, differences = {}, set()
    producers = {e["target"]: e["source"] for e in edges if e["kind"] == "messaging" and e["target"].startswith("messaging:")}
    for edge in edges:
        n, failed = calls(edge), errors(edge)
        source, target = edge["source"], edge["target"]
        if edge["kind"] == "messaging":
            if target.startswith("messaging:"):
                differences.add("a topic is no node")
                continue
            if answers.by_link(edge):
                differences.add("links are not followed: a batch consumer is called by `user`, once a batch")
                source = "entry:user"
            else:
                source = producers[source]
        elif edge["kind"] == "call" and not edge["client"]["n"]:
            differences.add("a call without a client span is no edge")
            continue
        key = (plain(source), plain(target))
        old = want.get(key, (0, 0))
        want[key] = (old[0] + n, old[1] + failed)
    return want, sorted(differences)


def compare(truth, ours, theirs):
    """Raises on the first answer that is not right."""
    problems = [f"tracebook: {problem}" for problem in answers.problems(truth, ours)]
    want, differences = expected(truth["edges"], lambda e: e["n"], lambda e: e["errors_n"])
    for key in sorted(want.keys() | theirs.keys()):
        if want.get(key) != theirs.get(key):
            problems.append(f"connector: {key} has calls, failed {theirs.get(key)}, should be {want.get(key)}")
    if problems:
        fail("the answers differ\n  " + "\n  ".join(problems[:20]))
    return len(ours["edges"]), len(theirs), differences


def main():
    rounds, spans = number("ROUNDS", 3), number("SPANS", 1_000_000)
    tracebook, shop = answers.programs()
    build = subprocess.run([str(answers.HERE / "tests/peers/build.sh")], check=True, stdout=subprocess.PIPE, text=True)
    peers = pathlib.Path(build.stdout.strip())
    with tempfile.TemporaryDirectory(prefix="tracebook-spans.") as name:
        directory = pathlib.Path(name)
        spans_file, truth_file = directory / "spans.binpb", directory / "truth.json"
        generate = [shop, "--wide", "--seed", "1", "--spans", str(spans), "--format", "delimited"]
        subprocess.run(generate + ["--output", str(spans_file), "--expect", str(truth_file)], check=True)
        truth = json.loads(truth_file.read_text())
        n, size = truth["spans"], spans_file.stat().st_size
        wanted = sum(calls for calls, _ in expected(truth["edges"], lambda e: e["n"], lambda e: 0)[0].values())
        print(f"{n} spans, {size / n:.0f} bytes each, {size / 1e6:.0f} MB; {rounds} rounds, medians; each pinned to one core")
        times = {"tracebook capture": [], "Collector, servicegraph": [], "Collector, nothing behind the receiver": []}
        for round_ in range(rounds):
            used, wall, snapshot = capture(tracebook, spans_file, directory)
            times["tracebook capture"].append((used, wall))
            ours = answers.graph(tracebook, snapshot)
            profile = os.environ.get("PPROF") if round_ == 0 else None
            used, wall, theirs = collector(peers, spans_file, True, wanted, profile)
            times["Collector, servicegraph"].append((used, wall))
            result = compare(truth, ours, theirs)
            used, wall, _ = collector(peers, spans_file, False, 0, profile)
            times["Collector, nothing behind the receiver"].append((used, wall))
        cpu_of = {what: statistics.median(used for used, _ in all_) for what, all_ in times.items()}
        mine = cpu_of["tracebook capture"]
        print(f"{'':<40} {'CPU-s/M spans':>14} {'spans/CPU-s':>12} {'wall s':>8} {'CPU ÷ ours':>11}")
        for what, all_ in times.items():
            wall = statistics.median(wall for _, wall in all_)
            print(f"{what:<40} {cpu_of[what] / n * 1e6:>14.3f} {n / cpu_of[what]:>12,.0f} {wall:>8.2f} {cpu_of[what] / mine:>11.1f}")
        each = sorted(theirs[0] / ours[0] for theirs, ours in zip(times["Collector, servicegraph"], times["tracebook capture"]))
        share = cpu_of["Collector, nothing behind the receiver"] / cpu_of["Collector, servicegraph"]
        print(f"ratio of each round: {each[0]:.1f} to {each[-1]:.1f}; of the Collector's CPU {share:.0%} is receiving and decoding")
        print(f"wall of the Collector includes {TTL} to {TTL * 2} s of waiting for halves that never come")
        print(f"same answer: {result[0]} edges of tracebook, {result[1]} of the connector, every count; by rule, the connector differs:")
        for difference in result[2]:
            print(f"  - {difference}")
        ratio = statistics.median(each)
        if ratio < float(os.environ.get("RATIO", 0)):
            fail(f"{ratio:.1f} times is below {os.environ['RATIO']}")


main()
