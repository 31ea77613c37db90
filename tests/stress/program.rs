//! Runs `tracebook capture` over spans made on the fly and measures it.

use std::io::BufWriter;
use std::process::{ChildStdin, Command, Stdio};

use tracebook::topology::{Snapshot, codec};

use crate::wire::Feed;

/// What is fed to the program.
pub type Out = Feed<BufWriter<ChildStdin>>;

/// What came of it.
pub struct Outcome {
    pub snapshot: Snapshot,
    /// Peak memory in MiB and processor seconds, where measured.
    pub measured: Option<(u64, f64)>,
}

fn capture(measure: bool, write: impl FnOnce(&mut Out)) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_tracebook");
    let (times, output) = (dir.path().join("times"), dir.path().join("out.snapshot.json"));
    let mut command = if measure {
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M %U %S", "-o"]).arg(&times).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(["capture", "--quiet", "--from", "-", "--output"]).arg(&output);
    // Spills go where the rest goes, and nothing of the surroundings gets in.
    command.current_dir(dir.path()).env("TMPDIR", dir.path()).env_remove("OTEL_ENDPOINT");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut feed = Feed::new(BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap()));
    write(&mut feed);
    feed.end();
    assert!(child.wait().unwrap().success());
    let snapshot = codec::decode(&std::fs::read(&output).unwrap()).unwrap();
    let measured = measure.then(|| {
        let text = std::fs::read_to_string(&times).unwrap();
        let mut numbers = text.split_whitespace();
        let kib: u64 = numbers.next().unwrap().parse().unwrap();
        let cpu: f64 = numbers.map(|n| n.parse::<f64>().unwrap()).sum();
        (kib >> 10, cpu)
    });
    Outcome { snapshot, measured }
}

/// Without measuring: small, in any build.
pub fn small(write: impl FnOnce(&mut Out)) -> Snapshot {
    capture(false, write).snapshot
}

/// At n and 4 n spans: memory below a limit and, when it is long enough to tell, time that grows by less than 8.
pub fn large(what: &str, n: u64, limit_mib: u64, write: impl Fn(&mut Out, u64)) -> Snapshot {
    let quarter = capture(true, |out| write(out, n / 4));
    let whole = capture(true, |out| write(out, n));
    let ((_, least), (mib, most)) = (quarter.measured.unwrap(), whole.measured.unwrap());
    println!("{what}: n = {n}, {mib} MiB, {most:.2} s of processor time, {least:.2} s for a quarter");
    assert!(mib <= limit_mib, "{what}: {mib} MiB, {limit_mib} are allowed");
    // Below that starting the program is what is measured.
    assert!(most < 8.0 * least.max(0.1), "{what}: {most} s, {least} s for a quarter");
    whole.snapshot
}
