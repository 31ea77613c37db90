//! Answers that outlive a run, so that a pull which failed goes on where it was.
//!
//! Must not: keep what a backend may answer otherwise the next time, such as part of an answer or that something is unknown.

use std::sync::Arc;

use prost::Message;

use super::trouble::Trouble;
use crate::source::{Answers, SourceOptions};

/// Where answers of one backend are kept, if they are.
#[derive(Clone)]
pub(in crate::source) struct Kept {
    answers: Option<Arc<dyn Answers>>,
    at: Arc<str>,
}

impl Kept {
    /// `at` tells the backends of one run apart.
    pub(in crate::source) fn new(options: &SourceOptions, at: &str) -> Self {
        Self { answers: options.kept.clone(), at: at.into() }
    }

    /// What an earlier run was answered to this request of this kind, the first time it is made.
    pub(in crate::source) fn get(&self, kind: &str, request: &[u8]) -> Option<Vec<u8>> {
        self.answers.as_ref()?.get(&self.question(kind, request))
    }

    /// Keeps an answer, if answers are kept.
    pub(in crate::source) fn put(&self, kind: &str, request: &[u8], answer: impl FnOnce() -> Vec<u8>) {
        if let Some(answers) = &self.answers {
            answers.put(&self.question(kind, request), &answer());
        }
    }

    /// What an earlier run was answered to this request, where it was kept and can be read; else what `ask` gives, which is
    /// kept for the next run.
    pub(in crate::source) async fn or_ask<T>(
        &self,
        kind: &str,
        request: &impl Message,
        (of_bytes, to_bytes): (impl FnOnce(&[u8]) -> Option<T>, impl FnOnce(&T) -> Vec<u8>),
        ask: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        if self.answers.is_none() {
            return ask.await;
        }
        let request = request.encode_to_vec();
        if let Some(known) = self.get(kind, &request).as_deref().and_then(of_bytes) {
            return Ok(known);
        }
        let answer = ask.await?;
        self.put(kind, &request, || to_bytes(&answer));
        Ok(answer)
    }

    fn question(&self, kind: &str, request: &[u8]) -> Vec<u8> {
        [kind.as_bytes(), b"\n", self.at.as_bytes(), b"\n", request].concat()
    }
}
