//! One request: counted, written, acknowledged.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::budget::{Budget, Buffer, PREFIX};
use super::writer::Order;
use super::{check, retry};

/// Spans that will not count, by code.
pub(super) type Refused = BTreeMap<String, u64>;

/// The code of spans that nobody can read.
const UNREADABLE: &str = "span-malformed";

/// What both ways in lead to.
#[derive(Debug, Clone)]
pub(super) struct Exporter {
    orders: mpsc::Sender<Order>,
    budget: Budget,
}

impl Exporter {
    pub(super) fn new(orders: mpsc::Sender<Order>, budget: Budget) -> Self {
        Self { orders, budget }
    }

    /// Bytes that requests may hold.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns when the message, which has room for its length ahead, is in the log. `unwritten` are spans of the request
    /// that are in it as such that nobody can read: there they are counted with the others, in the same write.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when it is no message, `RESOURCE_EXHAUSTED` with a delay when too much waits, `UNAVAILABLE` when
    /// the log cannot take it.
    pub(super) async fn keep(&self, message: Buffer, unwritten: Refused) -> Result<ExportTraceServiceResponse, Status> {
        let checked = super::body::work(message.bytes().len(), || check::message(message.message()))
            .map_err(|_| Status::invalid_argument("the body is no ExportTraceServiceRequest"))?;
        let answer = answer(checked.spans, checked.refused, unwritten);
        // The specification wants success where there is nothing to keep.
        if checked.spans > 0 {
            self.write(if checked.odd { self.plain(&message)? } else { message }).await?;
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

/// What the sender is told of spans that will not count: of those that could not be written, why.
fn answer(spans: u64, mut refused: Refused, unwritten: Refused) -> ExportTraceServiceResponse {
    let rejected = refused.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    if rejected == 0 {
        return ExportTraceServiceResponse::default();
    }
    if let Some(unreadable) = refused.get_mut(UNREADABLE) {
        *unreadable = unreadable.saturating_sub(unwritten.values().fold(0, |sum, n| sum.saturating_add(*n)));
    }
    refused.retain(|_, n| *n > 0);
    refused.extend(unwritten);
    let codes: Vec<&str> = refused.keys().map(String::as_str).collect();
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
            error_message: format!("{rejected} of {spans} span(s) were refused: {}", codes.join(", ")),
        }),
    }
}
