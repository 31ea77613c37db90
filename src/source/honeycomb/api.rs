//! Questions to the service-map API: bounded in size and time, repeated a few times when the server is busy.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::answer::{self, Dependency, MOST, Map, State};
use crate::diag::{Diagnostic, Location};
use crate::source::Progress;
use crate::source::backend::http;
use crate::source::backend::trouble::{Fault, Trouble, chain, fault};

/// How often one question is asked.
const ATTEMPTS: u32 = 5;
/// The first wait between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks whether a map is ready.
const LOOK: Duration = Duration::from_millis(500);
/// How many times the deadline of a request a map may take.
const PATIENCE: u32 = 10;
/// The largest page there is.
const PAGE: usize = 100;

/// A Honeycomb.
pub(super) struct Api {
    pub(super) client: reqwest::Client,
    pub(super) base: Url,
    pub(super) at: Arc<str>,
    /// Largest answer in bytes.
    pub(super) largest: usize,
}

impl Api {
    /// Asks for a map of a window in Unix seconds; its id.
    pub(super) async fn request(&self, (start, end): (u64, u64)) -> Result<String, Diagnostic> {
        let body = json!({ "start_time": start, "end_time": end }).to_string();
        let url = self.url(&["1", "maps", "dependencies", "requests"]).map_err(Trouble::diagnostic)?;
        let url = format!("{url}?limit={MOST}");
        let map: Map = self
            .ask(|| {
                let request = self.client.post(&url).header("content-type", "application/json");
                request.body(body.clone())
            })
            .await?;
        Ok(map.request_id)
    }

    /// Waits until a map is ready, and reads all of its pages.
    pub(super) async fn dependencies(
        &self,
        id: &str,
        timeout: Duration,
        progress: &dyn Progress,
    ) -> Result<Vec<Dependency>, Diagnostic> {
        let first = self.url(&["1", "maps", "dependencies", "requests", id]).map_err(Trouble::diagnostic)?;
        let first = format!("{first}?page%5Bsize%5D={PAGE}");
        let patience = timeout.saturating_mul(PATIENCE).as_millis() / LOOK.as_millis();
        let mut looks = 0;
        let mut page: Map = loop {
            let map: Map = self.ask(|| self.client.get(&first)).await?;
            match map.status {
                State::Ready => break map,
                State::Error => {
                    return Err(self
                        .say("honeycomb-refused", "Honeycomb could not make the service map")
                        .help("shorten the window, or try again later"));
                }
                State::Pending if looks >= patience => {
                    return Err(self
                        .say("honeycomb-deadline", "the service map was not ready in time")
                        .help("raise --timeout (ten times as long is waited), or shorten the window"));
                }
                State::Pending => tokio::time::sleep(LOOK).await,
            }
            looks += 1;
        };
        let mut all = Vec::new();
        // More pages than a map can have would be a circle.
        for _ in 0..=MOST / PAGE {
            // Only a page that is not ready has no list. Taken for an empty one it would end the map early, unnoticed.
            let listed = page.dependencies.take().filter(|_| page.status == State::Ready);
            let Some(listed) = listed else {
                return Err(self
                    .say("honeycomb-answer-malformed", "a page of the service map holds no list of dependencies")
                    .help("run this again; if it stays so, please report it"));
            };
            all.extend(listed);
            let next = page.links.take().and_then(|links| links.next).filter(|next| !next.is_empty());
            let Some(next) = next else { return Ok(all) };
            progress.note(&format!("{} dependencies", all.len()));
            // Only the cursor is taken of it: a key goes to no other host.
            let cursor = self.base.join(&next).ok().and_then(|url| {
                url.query_pairs().find(|(name, _)| name == "page[after]").map(|(_, value)| value.into_owned())
            });
            let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else {
                return Err(self
                    .say("honeycomb-answer-malformed", "the link to the next page holds no cursor")
                    .help("please report this"));
            };
            let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            let url = format!("{first}&page%5Bafter%5D={cursor}");
            page = self.ask(|| self.client.get(&url)).await?;
        }
        Err(self
            .say("honeycomb-answer-malformed", "the pages of the service map have no end")
            .help("please report this"))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Trouble> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => _ = segments.pop_if_empty().extend(path),
            Err(()) => {
                return Err(Trouble::Fatal(self.say("source-url", "the address cannot be used").help("check it")));
            }
        }
        Ok(url)
    }

    fn say(&self, code: &'static str, what: &str) -> Diagnostic {
        Diagnostic::error(code, what).at(Location::file(&*self.at))
    }

    async fn ask<T: DeserializeOwned>(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<T, Diagnostic> {
        http::patiently(ATTEMPTS, PAUSE, || self.once(request())).await
    }

    async fn once<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Trouble> {
        let failed = |error: &reqwest::Error| {
            let why = match fault(&chain(Some(error))) {
                Some(Fault::HostUnknown) => "its host name is not known here".to_owned(),
                Some(Fault::Refused) => "the connection was refused".to_owned(),
                Some(Fault::TimedOut) => "nothing came in time".to_owned(),
                Some(Fault::NoRoute) => "no route leads there".to_owned(),
                Some(Fault::Certificate(why) | Fault::TlsRefused(why)) => format!("TLS failed: {why}"),
                Some(Fault::NoTls | Fault::TlsUnavailable | Fault::NotGrpc) => "it does not speak TLS".to_owned(),
                Some(Fault::Lost) | None => "the connection was lost".to_owned(),
            };
            Trouble::Busy(
                self.say("honeycomb-unavailable", &format!("Honeycomb does not answer: {why}"))
                    .help("check the address, and whether a proxy is needed to reach it"),
            )
        };
        let response = request.send().await.map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        let Some(body) = http::body(response, self.largest).await.map_err(|e| failed(&e))? else {
            let what = format!("an answer is larger than {} bytes", self.largest);
            return Err(Trouble::Fatal(self.say("honeycomb-too-much", &what).help("shorten the window")));
        };
        answer::read(status, &body, &self.at)
    }
}
