//! One request: counted, written, acknowledged.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use super::retry;
use super::writer::Order;

/// The service behind OTLP's `TraceService`.
#[derive(Debug, Clone)]
pub(super) struct Exporter {
    orders: mpsc::Sender<Order>,
    /// Largest message in bytes that the reader of the log takes.
    most: usize,
}

impl Exporter {
    pub(super) fn new(orders: mpsc::Sender<Order>, most: usize) -> Self {
        Self { orders, most }
    }

    /// Largest message in bytes.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Returns when the request is in the log.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too much waits (with a delay after which to come again) or the request is too large
    /// (without: it would not get smaller), `UNAVAILABLE` when the log cannot take it.
    pub(super) async fn keep(&self, request: ExportTraceServiceRequest) -> Result<(), Status> {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        if scopes.map(|scope| scope.spans.len()).sum::<usize>() == 0 {
            // The specification wants success, and there is nothing to keep.
            return Ok(());
        }
        let size = request.encoded_len();
        let length = u32::try_from(size).ok().filter(|_| size <= self.most);
        let length =
            length.ok_or_else(|| Status::resource_exhausted("the request is too large: send smaller batches"))?;
        let mut message = Vec::with_capacity(size.saturating_add(4));
        message.extend_from_slice(&length.to_be_bytes());
        request.encode(&mut message).map_err(|e| Status::internal(e.to_string()))?;
        drop(request);
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

#[tonic::async_trait]
impl TraceService for Exporter {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.into_inner()).await?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
