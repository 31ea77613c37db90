//! Questions to `/api/v1`: bounded in size and time, repeated a few times when the server is busy.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::Serializer;

use super::answer::{self, Found, Series};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::http;
use crate::source::backend::trouble::{Trouble, chain};

/// How often one question is asked.
const ATTEMPTS: u32 = 4;
/// The first wait between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(400);

/// A Prometheus, or what speaks its API.
pub(super) struct Api {
    pub(super) client: reqwest::Client,
    pub(super) base: Url,
    pub(super) at: Arc<str>,
    /// Largest answer in bytes.
    pub(super) largest: usize,
}

impl Api {
    /// The names of metrics that match a selector and have samples around these times (milliseconds).
    pub(super) async fn names(&self, selector: &str, (start, end): (u64, u64)) -> Result<Vec<String>, Diagnostic> {
        let form = [("match[]", selector.to_owned()), ("start", seconds(start)), ("end", seconds(end))];
        // Not every server takes a form here.
        self.ask("label/__name__/values", &form, false).await
    }

    /// The value of an expression at a time: a vector, or the samples of a range selector.
    pub(super) async fn query(&self, query: &str, time: u64) -> Result<Vec<Series>, Diagnostic> {
        let form = [("query", query.to_owned()), ("time", seconds(time)), ("partial_response", "false".to_owned())];
        self.ask::<Found>("query", &form, true).await.map(|found| found.result)
    }

    /// The values of an expression at steps.
    pub(super) async fn range(
        &self,
        query: &str,
        (start, end, step): (u64, u64, u64),
    ) -> Result<Vec<Series>, Diagnostic> {
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(start)),
            ("end", seconds(end)),
            ("step", seconds(step)),
            ("partial_response", "false".to_owned()),
        ];
        self.ask::<Found>("query_range", &form, true).await.map(|found| found.result)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, form: &[(&str, String)], post: bool) -> Result<T, Diagnostic> {
        http::patiently(ATTEMPTS, PAUSE, || self.once(path, form, post)).await
    }

    async fn once<T: DeserializeOwned>(&self, path: &str, form: &[(&str, String)], post: bool) -> Result<T, Trouble> {
        let url = format!("{}/api/v1/{path}", self.base.as_str().trim_end_matches('/'));
        let encoded = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = if post {
            self.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded)
        } else {
            self.client.get(format!("{url}?{encoded}"))
        };
        let failed = |e: &reqwest::Error| answer::unreachable(&chain(Some(e)), &self.at);
        let response = request.send().await.map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        let Some(body) = http::body(response, self.largest).await.map_err(|e| failed(&e))? else {
            let message = format!("an answer is larger than {} bytes", self.largest);
            return Err(Trouble::Fatal(
                Diagnostic::error("prometheus-too-much", message)
                    .at(Location::file(&*self.at))
                    .help("shorten the window, or narrow it down with --query"),
            ));
        };
        answer::read(status, &body, &self.at)
    }
}

/// Milliseconds as the API writes times.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
