//! One request: counted, written, acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::budget::{Budget, Buffer, PREFIX};
use super::writer::Order;
use super::{check, retry};

/// Spans that were never written down, by code.
pub(super) type Refused = BTreeMap<&'static str, u64>;

/// What both ways in lead to.
#[derive(Debug, Clone)]
pub(super) struct Exporter {
    orders: mpsc::Sender<Order>,
    budget: Budget,
    refused: Arc<Mutex<Refused>>,
}

impl Exporter {
    pub(super) fn new(orders: mpsc::Sender<Order>, budget: Budget) -> Self {
        Self { orders, budget, refused: Arc::default() }
    }

    /// Bytes that requests may hold.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Spans that were never written down.
    pub(super) fn refused(&self) -> Refused {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns when the message, which has room for its length ahead, is in the log. `left_out` are spans of the request
    /// that are not in it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when it is no message, `RESOURCE_EXHAUSTED` with a delay when too much waits, `UNAVAILABLE` when
    /// the log cannot take it.
    pub(super) async fn keep(&self, message: Buffer, left_out: Refused) -> Result<ExportTraceServiceResponse, Status> {
        let checked = super::body::work(message.bytes().len(), || check::message(message.message()))
            .map_err(|_| Status::invalid_argument("the body is no ExportTraceServiceRequest"))?;
        let answer = answer(checked.spans, &checked.refused, &left_out);
        // The specification wants success where there is nothing to keep.
        if checked.spans > 0 {
            self.write(if checked.odd { self.plain(&message)? } else { message }).await?;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, n) in left_out {
            let count = refused.entry(code).or_default();
            *count = count.saturating_add(n);
        }
        Ok(answer)
    }

    fn plain(&self, message: &Buffer) -> Result<Buffer, Status> {
        let mut plain = self.budget.buffer();
        plain.fill(message.bytes().len(), |out, more| {
            // One resource is put together beside it.
            more(message.bytes().len())?;
            out.extend_from_slice(&[0; PREFIX]);
            check::plain(message.message(), out);
            Ok(())
        })?;
        Ok(plain)
    }

    async fn write(&self, mut message: Buffer) -> Result<(), Status> {
        message.set_length();
        let (done, kept) = oneshot::channel();
        self.orders.try_send(Order::Append(message, done)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => retry::later("too many requests wait to be written"),
            mpsc::error::TrySendError::Closed(_) => Status::unavailable("the receiver is stopping"),
        })?;
        match kept.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Status::unavailable("the request could not be written down")),
            Err(_) => Err(Status::unavailable("the receiver is stopping")),
        }
    }
}

/// What the sender is told of spans that will not count.
fn answer(spans: u64, refused: &Refused, left_out: &Refused) -> ExportTraceServiceResponse {
    let sum = |counts: &Refused| counts.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let (rejected, all) = (sum(refused).saturating_add(sum(left_out)), spans.saturating_add(sum(left_out)));
    if rejected == 0 {
        return ExportTraceServiceResponse::default();
    }
    let codes: Vec<&str> = refused.keys().chain(left_out.keys()).copied().collect();
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
            error_message: format!("{rejected} of {all} span(s) were refused: {}", codes.join(", ")),
        }),
    }
}
