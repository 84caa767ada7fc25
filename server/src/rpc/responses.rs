//! The responses of one subscription, as a stream for tonic.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tercet_proto::method::Encode;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Responses that may wait between the feeding task and the connection.
const RESPONSES_MAX: usize = 16;

/// A response. Streams share the encodings of what they all send.
pub(super) type Item = Box<dyn Encode>;

/// The responses, and the reason of their end. The end does not queue behind the responses, so the feeding task
/// ends at once even when the client does not read.
pub struct Responses {
    items: mpsc::Receiver<Item>,
    end: Option<oneshot::Receiver<Status>>,
}

impl tokio_stream::Stream for Responses {
    type Item = Result<Item, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(response) = ready!(self.items.poll_recv(context)) {
            return Poll::Ready(Some(Ok(response)));
        }
        let Some(end) = self.end.as_mut() else {
            return Poll::Ready(None);
        };
        let why = ready!(Pin::new(end).poll(context));
        self.end = None;
        Poll::Ready(why.ok().map(Err))
    }
}

/// Makes a stream, with the sender of its responses and the sender of the reason of its end.
pub(super) fn channel() -> (mpsc::Sender<Item>, oneshot::Sender<Status>, Responses) {
    let (sender, items) = mpsc::channel(RESPONSES_MAX);
    let (end, ended) = oneshot::channel();
    let responses = Responses {
        items,
        end: Some(ended),
    };
    (sender, end, responses)
}
