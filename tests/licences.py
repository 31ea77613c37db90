#!/usr/bin/env python3
"""Every dependency's licence must be one that deny.toml allows. Needs Python 3.11 and cargo, nothing else."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def satisfied(expression: str, allowed: set[str]) -> bool:
    """Evaluates an SPDX expression: OR needs one side, AND both. `A/B` is the old spelling of OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def atom() -> bool:
        nonlocal position
        token = tokens[position]
        position += 1
        if token == "(":
            value = either()
            position += 1
            return value
        if tokens[position : position + 1] == ["WITH"]:
            token = f"{token} WITH {tokens[position + 1]}"
            position += 2
        return token in allowed

    def both() -> bool:
        nonlocal position
        value = atom()
        while tokens[position : position + 1] == ["AND"]:
            position += 1
            value = atom() and value
        return value

    def either() -> bool:
        nonlocal position
        value = both()
        while tokens[position : position + 1] == ["OR"]:
            position += 1
            value = both() or value
        return value

    return either()


def main() -> int:
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout
    )
    packages = metadata["packages"]
    bad = [p for p in packages if not p["license"] or not satisfied(p["license"], allowed)]
    foreign = [p for p in packages if p["source"] and not p["source"].startswith("registry+")]
    for p in bad:
        print(f"{p['name']} {p['version']}: licence `{p['license']}` is not allowed by deny.toml")
    for p in foreign:
        print(f"{p['name']} {p['version']}: comes from {p['source']}, not from a registry")
    print(f"licences: {len(packages)} packages, {len(bad)} not allowed, {len(foreign)} from elsewhere")
    return 1 if bad or foreign or len(packages) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
