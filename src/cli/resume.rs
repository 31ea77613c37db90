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

/// What is pulled: of another window, address, tenant or user the answers are others. Headers may name any of them; a token is
/// left out, since it is renewed.
fn what(froms: &[String], request: &Request<'_>) -> Result<String, Diagnostic> {
    let WindowArgs { start, end, .. } = request.window;
    let transport = unwindowed(request)?.transport;
    let user = transport.basic.map(|(user, _)| user);
    let headers = transport.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut who: Vec<(String, String)> = headers.filter(|(name, _)| name != "authorization").collect();
    who.extend(transport.tenant.map(|tenant| ("x-scope-orgid".to_owned(), tenant)));
    who.sort();
    Ok(format!("{froms:?} {start:?} {end:?} {who:?} {user:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::input::testing::with;
    use super::*;

    #[test]
    fn answers_are_those_of_an_address_a_time_and_whoever_asked() {
        let of = |args: &[&str], env: &[(&str, &str)]| {
            with(args, env, |request| what(&["tempo://t".to_owned()], request).unwrap())
        };
        let basic = |text| of(&[], &[("TRACEBOOK_BASIC_AUTH", text)]);
        assert_eq!(basic("111:a"), basic("111:b"));
        assert_ne!(basic("111:a"), basic("222:a"));
        let tenant = of(&["--tenant", "a"], &[]);
        assert_eq!(
            [of(&["--header", "X-Scope-OrgID=a"], &[]), of(&[], &[("TRACEBOOK_TENANT", "a")])],
            [tenant.clone(), tenant]
        );
        assert_ne!(of(&["--header", "X-Team=a"], &[]), of(&["--header", "X-Team=b"], &[]));
        assert_eq!(of(&["--header", "authorization=a"], &[]), of(&[], &[("TRACEBOOK_BEARER_TOKEN", "b")]));
        assert_ne!(of(&["--start", "1795178400"], &[]), of(&["--start", "1795178401"], &[]));
    }
}
