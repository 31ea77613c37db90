//! `capture --resume FILE`: what a backend answered is kept until the snapshot is there, so that a pull which failed goes on.

use std::path::Path;
use std::sync::Arc;

use super::args::WindowArgs;
use super::input::{Request, unwindowed};
use super::io::{Io, Stop};
use crate::diag::Diagnostic;
use crate::output;
use crate::source;

/// The file as sources see it.
#[derive(Debug)]
struct Kept(output::Answers);

impl source::Answers for Kept {
    fn get(&self, question: &[u8]) -> Option<Vec<u8>> {
        // What cannot be unpacked is asked for again.
        self.0.get(question).and_then(|packed| zstd::decode_all(&packed[..]).ok())
    }

    fn put(&self, question: &[u8], answer: &[u8]) {
        if let Ok(packed) = zstd::encode_all(answer, 1) {
            self.0.put(question, &packed);
        }
    }
}

/// A pull that can go on where another ended.
pub(super) struct Resume {
    kept: Arc<Kept>,
    path: String,
}

impl Resume {
    /// Opens the file for this pull, and says so if there is something to go on from.
    ///
    /// # Errors
    /// `flag-without-effect` where nothing is pulled; `resume-in-use`, `resume-other`, and as the file system says.
    pub(super) fn start(
        path: &Path,
        froms: &[String],
        request: &Request<'_>,
        io: &mut Io<'_>,
    ) -> Result<Self, Diagnostic> {
        let pulled = |from: &String| source::known(from) && !source::counts(from);
        if !froms.iter().any(pulled) {
            let idle = "--resume keeps what is pulled from Tempo or Jaeger, and nothing is";
            return Err(
                Diagnostic::error("flag-without-effect", idle).help("leave it out: files and counts are read anew")
            );
        }
        let answers = output::Answers::open(&request.around.dir.join(path), &what(froms, request)?)?;
        let known = answers.known();
        let path = path.display().to_string();
        if known > 0 {
            io.say(&format!("{path}: {known} answer(s) of an earlier run are not asked for again"));
        }
        Ok(Self { kept: Arc::new(Kept(answers)), path })
    }

    /// Where sources keep their answers.
    pub(super) fn answers(&self) -> Arc<dyn source::Answers> {
        self.kept.clone()
    }

    /// What a failed pull means with all that was kept.
    pub(super) fn failed(&self, io: &mut Io<'_>) {
        self.tell(io);
        io.say(&format!("{}: what was read is kept; the same command goes on from there", self.path));
    }

    /// The snapshot is where it belongs: nothing need be kept any more.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn done(&self, io: &mut Io<'_>) -> Result<(), Stop> {
        self.tell(io);
        Ok(self.kept.0.remove()?)
    }

    fn tell(&self, io: &mut Io<'_>) {
        io.warnings(self.kept.0.trouble());
    }
}

/// What is pulled: of another window, address or tenant the answers are others.
fn what(froms: &[String], request: &Request<'_>) -> Result<String, Diagnostic> {
    let WindowArgs { start, end, .. } = request.window;
    let transport = unwindowed(request)?.transport;
    let tenant: Vec<&String> = transport
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-scope-orgid"))
        .map(|(_, value)| value)
        .chain(&transport.tenant)
        .collect();
    Ok(format!("{froms:?} {start:?} {end:?} {tenant:?}"))
}
