#!/usr/bin/env python3
"""The pull of tracebook against the obvious client: search, then every trace by id over HTTP, one after the other.

    TRACEBOOK_PEER_TEMPO='tempo://127.0.0.1:9095?http=127.0.0.1:3200' \\
    TRACEBOOK_PEER_TEMPO_WINDOW=START-END TRACEBOOK_PEER_TEMPO_PID=PID benches/tempo.py target/release/tracebook [ROUNDS]

Both read every trace of the window (Unix seconds) from the same Tempo, in turn. Prints medians of wall time and of the CPU time of
client and server, and their ratios. The obvious client only receives the bodies; decoding them would come on top.
Without TRACEBOOK_PEER_TEMPO it says that it was skipped. TRACEBOOK_PEER_TEMPO_PID is the server's process (Linux).
"""

import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from urllib.parse import parse_qs, urlsplit

SEARCH_LIMIT = 262_144


def server_cpu(pid):
    """CPU seconds of a process so far; 0 if it is not known."""
    if not pid:
        return 0.0
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def obvious(address, start, end):
    connection = http.client.HTTPConnection(address, timeout=120)

    def get(path, accept):
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"{path}: HTTP {answer.status}: {body[:200]!r}")
        return body

    found = json.loads(get(f"/api/search?q=%7B%7D&start={start}&end={end}&limit={SEARCH_LIMIT}&spss=1", "application/json"))
    ids = [trace["traceID"].rjust(32, "0") for trace in found["traces"]]
    for trace in ids:
        get(f"/api/v2/traces/{trace}", "application/protobuf")
    return len(ids)


def pull(binary, url, start, end):
    with tempfile.TemporaryDirectory() as into:
        output = os.path.join(into, "x.snapshot.json")
        subprocess.run(
            [binary, "capture", "-q", "--from", url, "--start", str(start), "--end", str(end), "--output", output], check=True
        )
        with open(output) as snapshot:
            return json.load(snapshot)["coverage"]["traces"]


def measured(name, who, pid, work):
    server, client, begin = server_cpu(pid), own_cpu(who), time.monotonic()
    traces = work()
    row = (time.monotonic() - begin, own_cpu(who) - client, server_cpu(pid) - server)
    print(f"{name:10} {traces:7} traces  wall {row[0]:8.2f} s  client CPU {row[1]:7.2f} s  server CPU {row[2]:8.2f} s", flush=True)
    return row


def main():
    url = os.environ.get("TRACEBOOK_PEER_TEMPO")
    if not url or len(sys.argv) < 2:
        sys.exit("skipped: TRACEBOOK_PEER_TEMPO is not set, or no binary is named") if url is None else sys.exit(__doc__)
    start, end = (int(second) for second in os.environ["TRACEBOOK_PEER_TEMPO_WINDOW"].split("-"))
    pid = os.environ.get("TRACEBOOK_PEER_TEMPO_PID")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    address = parse_qs(urlsplit(url).query)["http"][0]
    rows = {"obvious": [], "tracebook": []}
    for _ in range(rounds):
        rows["tracebook"].append(
            measured("tracebook", resource.RUSAGE_CHILDREN, pid, lambda: pull(sys.argv[1], url, start, end))
        )
        rows["obvious"].append(measured("obvious", resource.RUSAGE_SELF, pid, lambda: obvious(address, start, end)))
    median = {name: [statistics.median(column) for column in zip(*of)] for name, of in rows.items()}
    ours, theirs = median["tracebook"], median["obvious"]
    print(f"median wall: tracebook {ours[0]:.2f} s, obvious {theirs[0]:.2f} s, ratio {theirs[0] / ours[0]:.1f}")
    print(f"median server CPU: tracebook {ours[2]:.2f} s, obvious {theirs[2]:.2f} s")
    if ours[2] > 0:
        print(f"tracebook: client CPU over server CPU {ours[1] / ours[2]:.2f}")


if __name__ == "__main__":
    main()
