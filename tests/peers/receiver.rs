//! tracebook as the receiver that peers send to.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;

/// A receiver in a directory of its own, which can be killed and started again.
pub(crate) struct Receiver {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Child,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let [port] = crate::process::free_ports();
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(dir.path(), port);
        Self { dir, port, child }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.port);
    }

    /// Spans of the log, each once.
    pub(crate) fn logged(&self) -> usize {
        let mut ids = BTreeSet::new();
        let files = std::fs::read_dir(self.dir.path().join("live.snapshot.json.wal")).unwrap();
        for file in files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some()) {
            let bytes = std::fs::read(file).unwrap_or_default();
            let mut rest = &bytes[..];
            while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                let Some((message, tail)) = tail.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
                let request = ExportTraceServiceRequest::decode(message).unwrap();
                let spans = request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
                ids.extend(spans.map(|span| (span.trace_id, span.span_id)));
                rest = tail;
            }
        }
        ids.len()
    }

    /// Waits until so many spans are in the log.
    pub(crate) fn wait_for(&self, spans: usize) {
        let begin = Instant::now();
        while self.logged() < spans {
            assert!(begin.elapsed() < Duration::from_secs(60), "{} of {spans} spans arrived", self.logged());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks it to end, and reads the snapshot it leaves.
    pub(crate) fn end(mut self) -> Value {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let code = self.child.wait().unwrap();
        assert!(code.success(), "{code}");
        serde_json::from_slice(&std::fs::read(self.dir.path().join("live.snapshot.json")).unwrap()).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &std::path::Path, port: u16) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracebook"))
        .args(["capture", "--every", "1h", "--output", "live.snapshot.json", "--from"])
        .arg(format!("otlp://127.0.0.1:{port}"))
        .current_dir(dir)
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("receiving OTLP at") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "it ended");
    }
    // What it says later must not fill the pipe.
    std::thread::spawn(move || err.read_to_end(&mut Vec::new()));
    child
}
