//! Refusals of the transport before a service gets a request: malformed or too large requests, and unknown
//! calls. Gives them the code, the reason and the words of the table.

use tercet_core::id::ReplicaId;
use tercet_store::roster::Roster;
use tonic::{Code, Status, codegen::http::Response};

use super::status::{Failure, status};

/// Adds the missing details to a refusal of the transport. Responses of the services stay as they are: their
/// refusals have details, and their other responses have no status in the headers.
pub(super) fn explain<B>(mut response: Response<B>) -> Response<B> {
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    let refused = Status::from_header_map(response.headers());
    if let Some(explained) = refused.and_then(|refused| explained(&refused)) {
        // A status that tonic has just made can be encoded.
        let _ = explained.add_header(response.headers_mut());
    }
    response
}

/// Explains a refusal of the transport that ended a stream of requests: malformed bytes, or a client that is
/// gone.
pub(super) fn explain_status(refused: Status) -> Status {
    explained(&refused).unwrap_or(refused)
}

fn explained(refused: &Status) -> Option<Status> {
    let failure = failure(refused)?;
    tracing::debug!(%refused, "the transport refused a request");
    Some(refusal(&failure))
}

/// A refusal that does not depend on the roster.
pub(super) fn refusal(failure: &Failure) -> Status {
    status(failure, &Roster::configured(None::<(ReplicaId, _)>))
}

/// Maps a status of the transport without details to a failure.
fn failure(refused: &Status) -> Option<Failure> {
    if !refused.details().is_empty() {
        return None;
    }
    let why = refused.message().to_owned();
    match refused.code() {
        Code::Internal | Code::DataLoss => Some(Failure::Malformed(why)),
        // tonic gives the second code for a compressed request that is too large.
        Code::OutOfRange | Code::ResourceExhausted => Some(Failure::RequestTooLarge),
        Code::Unimplemented if why.contains("compress") => Some(Failure::Compressed),
        Code::Unimplemented => Some(Failure::UnknownMethod),
        _ => None,
    }
}
