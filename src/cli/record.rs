//! `capture --spans`: what passes on its way into the snapshot is kept as Parquet files (feature `archive`).

#[cfg(feature = "archive")]
pub(super) use with::Recorder;
#[cfg(not(feature = "archive"))]
pub(super) use without::Recorder;

#[cfg(feature = "archive")]
mod with {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use crate::diag::Diagnostic;
    use crate::output::NewFolder;
    use crate::spans::SpanBatch;
    use crate::spans::archive::{ArchivePart, ROWS_PER_FILE};

    /// Listens in on every batch and writes a file whenever enough has come together.
    pub(in crate::cli) struct Recorder {
        folder: NewFolder,
        parts: Mutex<Parts>,
    }

    #[derive(Default)]
    struct Parts {
        current: ArchivePart,
        written: usize,
    }

    impl Recorder {
        pub(in crate::cli) fn start(dir: &Path) -> Result<Self, Diagnostic> {
            Ok(Self { folder: NewFolder::start(dir)?, parts: Mutex::default() })
        }

        /// What comes next comes from this source.
        pub(in crate::cli) fn source(&self, name: &str) -> Result<(), Diagnostic> {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            self.flush(&mut parts)?;
            parts.current = ArchivePart::new(if name.is_empty() { "span archive" } else { name });
            Ok(())
        }

        pub(in crate::cli) fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.current.push(batch);
            if parts.current.rows() >= ROWS_PER_FILE {
                self.flush(&mut parts)?;
            }
            Ok(())
        }

        fn flush(&self, parts: &mut Parts) -> Result<(), Diagnostic> {
            if parts.current.rows() > 0 {
                self.folder.write(&format!("part-{:05}.parquet", parts.written), &parts.current.encode()?)?;
                parts.written = parts.written.saturating_add(1);
            }
            Ok(())
        }

        pub(in crate::cli) fn publish(self) -> Result<(), Diagnostic> {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            self.flush(&mut parts)?;
            drop(parts);
            self.folder.publish()
        }
    }
}

#[cfg(not(feature = "archive"))]
mod without {
    use std::path::Path;

    use crate::diag::Diagnostic;
    use crate::spans::SpanBatch;

    /// Cannot be made in this build.
    pub(in crate::cli) enum Recorder {}

    impl Recorder {
        pub(in crate::cli) fn start(_dir: &Path) -> Result<Self, Diagnostic> {
            Err(Diagnostic::error("archive-not-built", "this build of tracebook cannot write span archives")
                .help("build it with the default features; `archive` brings Parquet"))
        }

        pub(in crate::cli) fn source(&self, _name: &str) -> Result<(), Diagnostic> {
            match *self {}
        }

        pub(in crate::cli) fn push(&self, _batch: &SpanBatch) -> Result<(), Diagnostic> {
            match *self {}
        }

        pub(in crate::cli) fn publish(self) -> Result<(), Diagnostic> {
            match self {}
        }
    }
}
