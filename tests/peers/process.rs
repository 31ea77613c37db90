//! A peer's process: its program, its ports, its directory, its end.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a peer may take until it answers.
const START: Duration = Duration::from_secs(60);

/// A program of the directory that `run.sh` made.
pub(crate) fn program(name: &str) -> PathBuf {
    let bin = std::env::var_os("TRACEBOOK_PEERS_BIN").expect("run tests/peers/run.sh, which sets TRACEBOOK_PEERS_BIN");
    let program = PathBuf::from(bin).join(name);
    assert!(program.exists(), "{} is not there", program.display());
    program
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until each is known, so that they differ.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    std::array::from_fn(|i| held[i].local_addr().unwrap().port())
}

/// A running peer; killed when it goes.
pub(crate) struct Peer {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
}

impl Peer {
    /// Starts a program in a new directory that holds `files`, and waits until every port takes connections.
    pub(crate) fn start(name: &str, arguments: &[&str], files: &[(&str, &str)], ports: &[u16]) -> Self {
        Self::of(&program(name), arguments, files, ports)
    }

    /// The same with a program that lies anywhere.
    pub(crate) fn of(program: &Path, arguments: &[&str], files: &[(&str, &str)], ports: &[u16]) -> Self {
        let name = program.display();
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut peer = Self { child, dir };
        let begin = Instant::now();
        for port in ports {
            let address = SocketAddr::from(([127, 0, 0, 1], *port));
            while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
                let ended = peer.child.try_wait().unwrap();
                assert!(ended.is_none(), "{name} ended with {ended:?}: {}", peer.log());
                assert!(begin.elapsed() < START, "{name} does not answer at {port}: {}", peer.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        peer
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> String {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let code = self.child.wait().unwrap();
        assert!(code.success(), "{code}: {}", self.log());
        self.log()
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
