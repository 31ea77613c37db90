//! Whole traces by id over HTTP, the only way by which Tempo gives them.
//!
//! Input: trace ids. Output: [`Whole`] traces, or [`Trouble`]. (gRPC `FindTraceByID` sees recent data only.)

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use reqwest::header::ACCEPT;
use url::Url;

use super::trouble::{Fault, Trouble, chain, fault, http_unreachable, line, of_http, of_transport};
use super::whole::Whole;
use crate::diag::{Diagnostic, Location};
use crate::source::backend::http;
use crate::source::backend::kept::Kept;
use crate::spans::TraceId;

/// The HTTP side of a Tempo. Clones share connections.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    at: Arc<str>,
    largest: usize,
    /// Whether it ever answered: before that, waiting is no use.
    answered: Arc<AtomicBool>,
    /// The server has no `/api/v2/traces`.
    old: Arc<AtomicBool>,
    /// It has.
    new: Arc<AtomicBool>,
    /// Whether it ever gave a trace: then it is the right one, and a trace that it does not know is gone.
    gave: Arc<AtomicBool>,
    /// What was said first of a trace that is not known, or of a path.
    unknown: Arc<OnceLock<String>>,
    kept: Kept,
}

/// What whole traces are called among answers that are kept: with and without an envelope.
const TRACE_V2: &str = "tempo trace v2";
const TRACE_V1: &str = "tempo trace v1";

impl Http {
    pub(super) fn new(client: reqwest::Client, base: Url, largest: usize, kept: Kept) -> Self {
        let port = base.port_or_known_default().unwrap_or(0);
        let at = format!("{}://{}:{port}", base.scheme(), base.host_str().unwrap_or_default());
        let no = || Arc::new(AtomicBool::new(false));
        Self {
            client,
            base,
            at: at.into(),
            largest,
            answered: no(),
            old: no(),
            new: no(),
            gave: no(),
            unknown: Arc::default(),
            kept,
        }
    }

    /// One trace; empty when Tempo does not know it. A server that is no Tempo may look just like that: who asks for traces
    /// that a search has found must not believe that [none](Self::none_of) is there.
    pub(super) async fn trace(self, id: TraceId) -> Result<Whole, Trouble> {
        for (enveloped, kind) in [(true, TRACE_V2), (false, TRACE_V1)] {
            if let Some(body) = self.kept.get(kind, &id.0.to_be_bytes()) {
                return self.decode(id, &body, enveloped);
            }
        }
        if !self.old.load(Ordering::Relaxed) {
            let (status, body) = self.get("api/v2/traces", id).await?;
            match status {
                200 => {
                    self.new.store(true, Ordering::Relaxed);
                    return self.keep(id, &body, true);
                }
                // One of several servers may know less than the others.
                404 => self.old.store(!self.new.load(Ordering::Relaxed), Ordering::Relaxed),
                _ => return Err(of_http(status, &line(&String::from_utf8_lossy(&body)), &self.at)),
            }
        }
        let (status, body) = self.get("api/traces", id).await?;
        match status {
            200 => self.keep(id, &body, false),
            // v1 says 404 for an unknown trace, and so does a server that is no Tempo: to it the path is unknown.
            404 => {
                let said = line(&String::from_utf8_lossy(&body));
                self.unknown.get_or_init(|| said);
                Ok(Whole::default())
            }
            _ => Err(of_http(status, &line(&String::from_utf8_lossy(&body)), &self.at)),
        }
    }

    /// Whether it ever gave a trace.
    pub(super) fn gave(&self) -> bool {
        self.gave.load(Ordering::Relaxed)
    }

    /// What it means that none of so many traces is here that a search has just found, where none ever [came](Self::gave).
    pub(super) fn none_of(&self, asked: usize) -> Diagnostic {
        let said = self.unknown();
        let none = format!("the HTTP side knows none of {asked} trace(s) that a search has just found{said}");
        Diagnostic::error("tempo-http-refused", none).at(Location::file(&*self.at)).help(
            "check that ?http= (port 3200 of the same host, if not given) names the HTTP side of the same Tempo, with its path, \
             and that the tenant is the same there",
        )
    }

    /// What was said first of a trace that is not known, to be put behind a sentence; empty where nothing was.
    pub(super) fn unknown(&self) -> String {
        match self.unknown.get().map(String::as_str) {
            None => String::new(),
            Some("") => " (HTTP 404)".to_owned(),
            Some(said) => format!(" (HTTP 404: {said})"),
        }
    }

    /// A trace that Tempo does not have, or has in part, may be there the next time.
    fn keep(&self, id: TraceId, body: &[u8], enveloped: bool) -> Result<Whole, Trouble> {
        let whole = self.decode(id, body, enveloped)?;
        if whole.spans() > 0 && !whole.partial {
            self.kept.put(if enveloped { TRACE_V2 } else { TRACE_V1 }, &id.0.to_be_bytes(), || body.to_vec());
        }
        Ok(whole)
    }

    /// Damage within a body need not break its form, but then it rarely leaves all ids as they were.
    fn decode(&self, id: TraceId, body: &[u8], enveloped: bool) -> Result<Whole, Trouble> {
        let malformed = |what: &str| {
            Trouble::Fatal(
                Diagnostic::error("tempo-answer-malformed", what)
                    .at(Location::file(&*self.at))
                    .help("check that ?http= names a Tempo, and not a page in front of it"),
            )
        };
        let whole = Whole::decode(body, enveloped)
            .map_err(|_| malformed("a whole trace came in a form that is not protobuf"))?;
        self.gave.fetch_or(whole.spans() > 0, Ordering::Relaxed);
        if whole.is_of(id) { Ok(whole) } else { Err(malformed("a whole trace came with spans of another trace")) }
    }

    async fn get(&self, path: &str, id: TraceId) -> Result<(u16, Vec<u8>), Trouble> {
        let url = format!("{}/{path}/{id}", self.base.as_str().trim_end_matches('/'));
        let request = self.client.get(url).header(ACCEPT, "application/protobuf");
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status().as_u16();
        let Some(body) = http::body(response, self.largest).await.map_err(|e| self.failed(&e))? else {
            return Err(Trouble::Fatal(
                Diagnostic::error("record-too-large", format!("trace {id} is larger than {} bytes", self.largest))
                    .at(Location::file(&*self.at))
                    .help("leave it out with a TraceQL filter (--query), or ask for another window"),
            ));
        };
        Ok((status, body))
    }

    fn failed(&self, error: &reqwest::Error) -> Trouble {
        let chain = chain(Some(error));
        let first = !self.answered.load(Ordering::Relaxed);
        // Later it is what a proxy says when it closes an idle connection.
        let grpc = first && fault(&chain) == Some(Fault::NotGrpc);
        let trouble = of_transport(&chain, &self.at).filter(|_| grpc || fault(&chain) != Some(Fault::NotGrpc));
        let why = match &trouble {
            // What is no HTTP/1.1 to us is the other side of what is no gRPC.
            _ if grpc => "gRPC is spoken there, and no HTTP/1.1".to_owned(),
            Some(Trouble::Busy(d) | Trouble::Slow(d) | Trouble::Fatal(d)) => d.message.clone(),
            _ if error.is_body() || error.is_decode() => "its answers break off or are damaged".to_owned(),
            _ => "the request failed".to_owned(),
        };
        let unreachable = http_unreachable(&why, &self.at);
        match trouble {
            Some(Trouble::Fatal(_)) => Trouble::Fatal(unreachable),
            _ if first => Trouble::Fatal(unreachable),
            Some(Trouble::Slow(_)) => Trouble::Slow(unreachable),
            _ => Trouble::Busy(unreachable),
        }
    }
}
