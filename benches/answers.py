"""What benches share: the programs to measure, and whether an answer is right.

An answer is what `tracebook graph --format json` says of a snapshot, the truth what `shop --expect` wrote while generating.
"""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent


def fail(message):
    raise SystemExit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def programs():
    """tracebook and the generator: TRACEBOOK and SHOP, or built (release, without the span archive)."""
    paths = [os.environ.get("TRACEBOOK"), os.environ.get("SHOP")]
    if not all(paths):
        manifest = ["--manifest-path", str(HERE / "Cargo.toml")]
        build = ["cargo", "build", "--release", "--no-default-features", "--bin", "tracebook", "--example", "shop"]
        subprocess.run(build + manifest, check=True)
        metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        target = json.loads(subprocess.run(metadata + manifest, check=True, capture_output=True).stdout)["target_directory"]
        built = [f"{target}/release/tracebook", f"{target}/release/examples/shop"]
        paths = [path or other for path, other in zip(paths, built)]
    return paths


def graph(tracebook, snapshot):
    command = [tracebook, "--quiet", "graph", "--from", str(snapshot), "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def by_link(edge):
    """A consumer with traces of its own: several messages for one span."""
    return edge["source"].startswith("messaging:") and edge["messages"] != edge["n"]


def problems(truth, ours):
    """Edges that are missing, made up, or counted wrongly."""
    generated = {(e["source"], e["target"]): e for e in truth["edges"]}
    found = {(e["source"], e["target"]): e for e in ours["edges"]}
    said = [f"edge {key} is {'missing' if key in generated else 'made up'}" for key in generated.keys() ^ found.keys()]
    for key in generated.keys() & found.keys():
        edge = generated[key]
        right = (edge["messages"], edge["message_errors"]) if by_link(edge) else (edge["n"], edge["errors_n"])
        got = (found[key]["calls"], found[key]["errors"])
        if got != right:
            said.append(f"edge {key} has calls, errors {got}, generated were {right}")
    return said
