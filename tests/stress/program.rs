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
    let output = dir.path().join("out.snapshot.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracebook"));
    command.args(["capture", "--quiet", "--from", "-", "--output"]).arg(&output);
    // Spills go where the rest goes, and nothing of the surroundings gets in.
    command.current_dir(dir.path()).env("TMPDIR", dir.path()).env_remove("OTEL_ENDPOINT");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut feed = Feed::new(BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap()));
    write(&mut feed);
    feed.end();
    let measured = measure.then(|| watch(child.id()));
    assert!(child.wait().unwrap().success());
    Outcome { snapshot: codec::decode(&std::fs::read(&output).unwrap()).unwrap(), measured }
}

/// Looks at a process until it has ended and is only waited for: peak memory in MiB, processor seconds.
fn watch(process: u32) -> (u64, f64) {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{process}/{what}")).unwrap();
    let mut peak_kib = 0;
    loop {
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        peak_kib = peak.map_or(peak_kib, |kib| kib.parse().unwrap());
        let stat = read("stat");
        // The name in brackets may hold anything; behind it stand the state and, as numbers 12 and 13, ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split_whitespace().collect();
        if fields[0] == "Z" {
            let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
            return (peak_kib >> 10, ticks as f64 / 100.0);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
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
    println!(
        "{what}: n = {n}, {mib} MiB ({} for a quarter), {most:.2} s of processor time, {least:.2} s for a quarter",
        quarter.measured.unwrap().0
    );
    assert!(mib <= limit_mib, "{what}: {mib} MiB, {limit_mib} are allowed");
    // Below that starting the program is what is measured.
    assert!(most < 8.0 * least.max(0.1), "{what}: {most} s, {least} s for a quarter");
    whole.snapshot
}
