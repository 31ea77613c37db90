//! A real Prometheus on loopback, empty, that takes remote writes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::remote_write::{self, Sample};

/// Stopped when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _data: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::var("PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--enable-feature=native-histograms", "--log.level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is not installed: run tests/peers/prometheus.sh");
        let server = Self { child, port, _data: data };
        for _ in 0..150 {
            if server.request("GET /-/ready HTTP/1.1", &[], &[]).is_some_and(|status| status == 200) {
                return server;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("the Prometheus did not become ready");
    }

    /// Adds samples; those of one series must come by ascending time.
    pub(crate) fn write(&self, samples: &[Sample]) {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        let status = self.request("POST /api/v1/write HTTP/1.1", &headers, &remote_write::body(samples));
        assert_eq!(status, Some(204), "remote write");
    }

    /// Sends a form; status and body of the answer.
    pub(crate) fn ask(&self, path: &str, form: &str) -> (u16, String) {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        // Of version 1.0 the answer comes in one piece.
        let answer = self.answer(&format!("POST {path} HTTP/1.0"), &headers, form.as_bytes()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The status of an answer, if there is one.
    fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<u16> {
        self.answer(line, headers, body)?.split(' ').nth(1)?.parse().ok()
    }

    fn answer(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut head = format!("{line}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
