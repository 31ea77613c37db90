#!/usr/bin/env python3
"""Peak memory, speed and disk use of `tracebook capture` over spans that are generated while it reads.

  benches/scale.py                                   1 and 10 million wide spans as protobuf through a pipe
  SPANS=100000000 LIMIT_MIB=1024 benches/scale.py
  FORMAT=jsonl VIA=file SPANS=2250000 LIMIT_MIB=512 benches/scale.py        2 GB of OTLP JSON in a file
  SPANS=10000000 SERVICES=1000000 OPERATIONS=10000000 benches/scale.py      names without number

The spans cover seven days; traces are a few seconds long, half a per cent of the spans come twice and half a per cent of the
traces have lost one. The counts and edges of the snapshot are compared with what was generated: a fast wrong answer fails. So does
more memory than LIMIT_MIB, more disk than LIMIT_DISK_MIB, or fewer spans per second of CPU than LEAST. THREADS is handed on.

TRACEBOOK and SHOP name the two programs; without them both are built (release, without the span archive). Needs Linux and
Python 3. Everything written lies under TMPDIR and is removed.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # Nothing is left in the repository.
import answers  # noqa: E402
from answers import fail  # noqa: E402

# One simulated lap; the generator repeats it with new ids.
LAP_TRACES, LAP_SPANS = 6400, 100_000
WINDOW_SECONDS = 7 * 86400


def number(name, default=0):
    return int(os.environ.get(name, default))


def spilled(pid):
    """Bytes on disk of the files that a process holds open without a name."""
    total = 0
    try:
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(entry).endswith(" (deleted)"):
                total += os.stat(entry).st_blocks * 512
    except OSError:
        pass  # It is closing them, or gone.
    return total


class Watch(threading.Thread):
    """The largest amount of disk seen."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.done = pid, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.2):
            self.most = max(self.most, spilled(self.pid))


def generate(shop, spans, truth):
    """The generator's command line, without where to write."""
    many = [f"--services={number('SERVICES')}", f"--operations={number('OPERATIONS')}"]
    # Names without number are simulated one by one: a lap would repeat them.
    laps = 1 if number("SERVICES") or number("OPERATIONS") else max(1, round(spans / LAP_SPANS))
    traces = LAP_TRACES if laps > 1 else max(1, spans * LAP_TRACES // LAP_SPANS)
    return [
        shop, "--wide", "--seed", "1", "--format", os.environ.get("FORMAT", "delimited"),
        "--traces", str(traces), "--over", f"{WINDOW_SECONDS * 1000 // laps}ms", "--laps", str(laps),
        "--duplicates", "0.005", "--orphans", "0.005", "--expect", str(truth), *many,
    ]  # fmt: skip


def measure(tracebook, shop, spans, directory):
    truth_file, out, via = directory / "truth.json", directory / "out.snapshot.json", os.environ.get("VIA", "pipe")
    (directory / "spill").mkdir()
    env = {**os.environ, "TMPDIR": str(directory / "spill")}
    command = [tracebook, "--quiet", "capture", "--output", str(out)]
    command += ["--threads", os.environ["THREADS"]] if "THREADS" in os.environ else []
    make = generate(shop, spans, truth_file)
    if via == "file":
        subprocess.run([*make, "--output", str(directory / "spans")], check=True)
        generator, source, command = None, None, [*command, "--from", str(directory / "spans")]
    else:
        generator = subprocess.Popen(make, stdout=subprocess.PIPE)
        source, command = generator.stdout, [*command, "--from", "-"]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=source, env=env)
    if generator:
        generator.stdout.close()
    watch = Watch(process.pid)
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    watch.done.set()
    process.returncode = os.waitstatus_to_exitcode(status)
    if generator and generator.wait() != 0 or process.returncode != 0:
        fail(f"the generator or the capture failed ({process.returncode})")
    truth, size = json.loads(truth_file.read_text()), out.stat().st_size
    return truth, answers.graph(tracebook, out), usage, wall, watch.most, size


def wrong(truth, ours):
    """What the snapshot says otherwise than the generator."""
    coverage = ours["coverage"]
    said = [
        f"{what}: the snapshot has {coverage[what]}, {truth[what]} were generated"
        for what in ("spans", "duplicates", "traces", "rootless_traces")
        if coverage[what] != truth[what]
    ]
    if truth.get("cells", 1) > 1 or number("OPERATIONS"):
        # Beyond the caps edges are left out; that they are is said.
        return said if coverage["overflow"] else [*said, "no cap was reached, or none was told"]
    if coverage["overflow"]:
        said.append(f"caps were reached: {coverage['overflow']}")
    return said + answers.problems(truth, ours)


def main():
    tracebook, shop = answers.programs()
    sizes = [int(n) for n in os.environ.get("SPANS", "1000000,10000000").split(",")]
    limit, disk_limit, least = number("LIMIT_MIB", 1024), number("LIMIT_DISK_MIB"), number("LEAST")
    print(f"{'spans':>12} {'peak MiB':>9} {'wall s':>8} {'CPU s':>8} {'spans/s':>10} {'spans/CPU-s':>12} {'disk MiB':>9} {'snapshot KB':>12}")
    for spans in sizes:
        with tempfile.TemporaryDirectory(prefix="tracebook-scale.") as name:
            truth, ours, usage, wall, disk, size = measure(tracebook, shop, spans, pathlib.Path(name))
        n, cpu, mib = truth["spans"] + truth["duplicates"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        print(f"{n:>12,} {mib:>9.0f} {wall:>8.1f} {cpu:>8.1f} {n / wall:>10,.0f} {n / cpu:>12,.0f} {disk / 2**20:>9.0f} {size / 1e3:>12,.0f}", flush=True)
        problems = wrong(truth, ours)
        if mib > limit:
            problems.append(f"{mib:.0f} MiB of memory are more than {limit}")
        if disk_limit and disk > disk_limit << 20:
            problems.append(f"{disk >> 20} MiB on disk are more than {disk_limit}")
        if n / cpu < least:
            problems.append(f"{n / cpu:.0f} spans per second of CPU are fewer than {least}")
        if problems:
            fail(f"{n} spans\n  " + "\n  ".join(problems[:20]))


main()
