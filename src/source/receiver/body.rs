//! Bodies: those of requests taken in as they come, and unpacked; those of answers.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

use super::budget::Buffer;

/// Beyond this, work is done where it keeps nobody else waiting.
const HEAVY: usize = 64 << 10;

/// Appends the body to `buffer`, but for its first `N` bytes, which come back. Once these are there, `begun` may make room for
/// the others.
///
/// # Errors
/// As [`Buffer::push`]; `INVALID_ARGUMENT` when the body is shorter than `N`; what `begun` says.
pub(super) async fn collect<const N: usize>(
    body: &mut Body,
    buffer: &mut Buffer,
    begun: impl FnOnce([u8; N], &mut Buffer) -> Result<(), Status>,
) -> Result<[u8; N], Status> {
    let (mut head, mut seen, mut begun) = ([0; N], 0, Some(begun));
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        let mut data = &data[..];
        while let (Some(place), [first, rest @ ..]) = (head.get_mut(seen), data) {
            *place = *first;
            seen += 1;
            data = rest;
        }
        if seen == N
            && let Some(begun) = begun.take()
        {
            begun(head, buffer)?;
        }
        buffer.push(data)?;
    }
    if seen < N { Err(Status::invalid_argument("the body is cut short")) } else { Ok(head) }
}

/// Reads what is left of a body, at most so many bytes, and throws it away. Over HTTP/1 a sender that is still sending when
/// the connection closes might never see the answer.
pub(super) async fn discard(body: &mut Body, mut most: usize) {
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        match most.checked_sub(length) {
            Some(left) => most = left,
            None => return,
        }
    }
}

/// Appends what gzip packed.
///
/// # Errors
/// As [`Buffer::push`]; `INVALID_ARGUMENT` when it is not gzip.
pub(super) fn unpack(packed: &[u8], buffer: &mut Buffer) -> Result<(), Status> {
    // What was packed last says at its end how long it was: mostly that is all of it.
    let hint = packed.last_chunk::<4>().and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok());
    buffer.expect(hint.map_or(0, |hint| hint.saturating_add(buffer.bytes().len())).min(buffer.most()))?;
    let mut reader = flate2::read::MultiGzDecoder::new(packed);
    let mut chunk = vec![0; 32 << 10];
    loop {
        let n =
            reader.read(&mut chunk).map_err(|_| Status::invalid_argument("the body is not gzip, or not all of it"))?;
        if n == 0 {
            return Ok(());
        }
        buffer.push(chunk.get(..n).unwrap_or_default())?;
    }
}

/// A body that is there already.
pub(super) fn whole(bytes: Vec<u8>) -> Body {
    Body::new(Whole(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty())))
}

/// All of it, in one frame.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Does work that takes as long as so many bytes need.
pub(super) fn work<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < HEAVY { work() } else { tokio::task::block_in_place(work) }
}
