// Parses Mermaid diagrams with the real `mermaid` package and holds what it understood against what was written.
//
// Usage: node check.mjs [FILE or DIRECTORY]...
// Without arguments: the cases beside this script and the approved pages of the renderer's tests.
// `.mmd` files are one diagram; from `.md` and `.snap` files every fenced `mermaid` block is taken.
// Exit: 0 all fine, 1 a diagram is refused or misunderstood, 2 nothing to check.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { JSDOM } from "jsdom";

const dom = new JSDOM("<!doctype html><body></body>", { pretendToBeVisual: true });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.Element = dom.window.Element;
globalThis.DOMParser = dom.window.DOMParser;
const { default: mermaid } = await import("mermaid");
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });

const here = dirname(fileURLToPath(import.meta.url));
const defaults = [join(here, "cases"), join(here, "../../src/render/renderer/snapshots")];
const roots = process.argv.length > 2 ? process.argv.slice(2) : defaults;

function* files(path) {
  if (statSync(path).isDirectory()) {
    for (const name of readdirSync(path).sort()) yield* files(join(path, name));
  } else if (/\.(md|mmd|snap)$/.test(path)) {
    yield path;
  }
}

function diagrams(path) {
  const text = readFileSync(path, "utf8");
  if (path.endsWith(".mmd")) return [text];
  return [...text.matchAll(/^( *)(`{3,})mermaid\n([\s\S]*?)\n\1\2$/gm)].map((match) => match[3]);
}

// What tracebook wrote, read line by line: its own format is one statement a line.
function written(text) {
  const lines = text.split("\n");
  return {
    nodes: lines.filter((line) => /^  (n\d+|note)[[({]/.test(line)).length,
    edges: lines.filter((line) => /^  n\d+ -(-|\.-)>/.test(line)).length,
  };
}

let checked = 0;
let failed = 0;
for (const path of roots.flatMap((root) => [...files(root)])) {
  for (const text of diagrams(path)) {
    checked += 1;
    try {
      const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
      const vertices = db.getVertices();
      const got = { nodes: vertices.size ?? Object.keys(vertices).length, edges: db.getEdges().length };
      const want = written(text);
      if (got.nodes !== want.nodes || got.edges !== want.edges) {
        throw new Error(`understood ${JSON.stringify(got)}, written ${JSON.stringify(want)}`);
      }
    } catch (error) {
      failed += 1;
      console.error(`${path}: ${error.message}`);
    }
  }
}
console.log(`${checked} diagrams checked, ${failed} failed`);
process.exit(checked === 0 ? 2 : failed > 0 ? 1 : 0);
