#!/usr/bin/env python3
"""Tests of the harness itself, against a program that always gives the same answer: `benches/diagnosis/test_run.py`."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import cases as known  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SECOND = known.SECOND
FAKE = """#!/usr/bin/env python3
import json, sys
print(json.dumps({"culprits": [
    {"rank": 2, "service": "shop/cart", "operation": None, "edge": None, "reason": "r", "score": 1, "reported": False},
    {"rank": 1, "service": "shop/web", "operation": None, "edge": None, "reason": "r", "score": 2, "reported": True},
    {"rank": 3, "service": "shop/web", "operation": "other", "edge": None, "reason": "r", "score": 1, "reported": True},
    {"rank": 4, "service": "shop/ads", "operation": None, "edge": None, "reason": "r", "score": 1, "reported": True},
]}))
open(sys.argv[0] + ".log", "a").write(" ".join(sys.argv[1:]) + "\\n")
sys.exit(1)
"""


def line(trace, start):
    span = {"traceId": trace, "spanId": trace[:16], "name": "x", "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 5)}
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]})


class Harness(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)
        self.program = self.directory / "fake"
        self.program.write_text(FAKE)
        self.program.chmod(0o755)
        labels = []
        for number, (service, fault) in enumerate([("web", "return"), ("cart", "return"), ("shop/ads", "pod"), ("db", "pod")]):
            name = f"case-{number}"
            (self.directory / f"{name}.jsonl").write_text(line("a" * 32, 60 * SECOND) + "\n" + line("b" * 32, 150 * SECOND) + "\n")
            labels.append({
                "case": name, "file": f"{name}.jsonl", "system": f"s{number % 2}", "service": service, "fault_type": fault,
                "category": "code", "inject_unix_nano": str(120 * SECOND), "fault_end_unix_nano": str(300 * SECOND),
                "accept": ["shop/web"] if service == "db" else [], "spans_before_injection": 0 if service == "shop/ads" else 1,
            })
        (self.directory / "baseline_1.jsonl").write_text("")
        (self.directory / "labels.json").write_text(json.dumps(labels))

    def run_it(self, *more):
        command = [sys.executable, str(HERE / "run.py"), str(self.program), str(self.directory), "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    def test_figures(self):
        code, said = self.run_it()
        self.assertEqual(code, 0)
        self.assertEqual([c["place"] for c in said["cases"]], [1, 2, 3, 1])
        self.assertEqual((said["all"]["AS@1"], said["all"]["AS@3"], said["all"]["reported"]), (0.5, 1.0, 0.75))
        self.assertEqual(said["by_fault_type"]["pod"]["AS@1"], 0.5)
        self.assertEqual(said["leave_one_system_out"]["systems"]["s1"]["others AS@1"], 0.5)
        asked = (self.directory / "fake.log").read_text()
        self.assertIn("case-0.jsonl --at 1970-01-01T00:02:00.000000000Z --for 3m --format json", asked)
        self.assertIn(f"{self.directory}/baseline_1.jsonl {self.directory}/case-2.jsonl --format json", asked)

    def test_floor(self):
        floor = self.directory / "floor.json"
        floor.write_text(json.dumps({"ranking": {"all": {"AS@1": 0.5}}}))
        self.assertEqual(self.run_it("--floor", str(floor))[0], 0)
        floor.write_text(json.dumps({"ranking": {"all": {"AS@1": 0.51}}}))
        self.assertEqual(self.run_it("--floor", str(floor))[0], 1)

    def test_quiet(self):
        code, said = self.run_it("--quiet")
        self.assertEqual((code, said["all"]["silent"]), (0, 0.0))
        # Three cases have a part before; the two of one system are a pair.
        self.assertEqual({k: v["n"] for k, v in said["by_kind"].items()}, {"halves": 3, "windows": 1})

    def test_cut(self):
        first, second = self.directory / "first", self.directory / "second"
        known.cut(self.directory / "case-0.jsonl", [(0, 100 * SECOND, first), (100 * SECOND, 200 * SECOND, second)])
        self.assertTrue("a" * 32 in first.read_text() and "b" * 32 in second.read_text())
        self.assertFalse("b" * 32 in first.read_text() or "a" * 32 in second.read_text())

    def test_names(self):
        for label, named in [("cart", "shop/cart"), ("shop/cart", "cart"), ("shop/cart", "shop/cart")]:
            self.assertTrue(known.same(label, named), (label, named))
        for label, named in [("a/cart", "b/cart"), ("cart", "database:mysql:cart"), ("cart", "external:cart"), ("art", "shop/cart")]:
            self.assertFalse(known.same(label, named), (label, named))


if __name__ == "__main__":
    unittest.main()
