//! What the transport refuses before a service sees it: requests that are no message, too large ones,
//! calls that do not exist. Gives these refusals the code, the reason and the words of the table.

use tercet_core::id::ReplicaId;
use tonic::{Code, Status, codegen::http::Response};

use super::status::{Failure, status};
use crate::roster::Roster;

/// Adds to a response what a refusal of the transport lacks. Responses of the services stay as they are:
/// their refusals have details, and all others no status in their headers.
pub(super) fn explain<B>(mut response: Response<B>) -> Response<B> {
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    let refused = Status::from_header_map(response.headers());
    if let Some(explained) = refused.and_then(|refused| explained(&refused)) {
        // A status that tonic has just made can be written.
        let _ = explained.add_header(response.headers_mut());
    }
    response
}

/// The same for a request that ended a stream: bytes that are no message, or a client that is gone.
pub(super) fn explain_status(refused: Status) -> Status {
    explained(&refused).unwrap_or(refused)
}

fn explained(refused: &Status) -> Option<Status> {
    let failure = failure(refused)?;
    tracing::debug!(%refused, "the transport refused a request");
    // Nothing in these refusals depends on it.
    Some(status(
        &failure,
        &Roster::configured(None::<(ReplicaId, _)>),
    ))
}

/// What the transport means by a status without details.
fn failure(refused: &Status) -> Option<Failure> {
    if !refused.details().is_empty() {
        return None;
    }
    let why = refused.message().to_owned();
    match refused.code() {
        Code::Internal | Code::DataLoss => Some(Failure::Malformed(why)),
        // The second: what it is when it was compressed.
        Code::OutOfRange | Code::ResourceExhausted => Some(Failure::RequestTooLarge),
        Code::Unimplemented if why.contains("compress") => Some(Failure::Compressed),
        Code::Unimplemented => Some(Failure::UnknownMethod),
        _ => None,
    }
}
