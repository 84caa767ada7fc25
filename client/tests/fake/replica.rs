//! The pretend replica: the parts that its two services share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prost::Message as _;
use tercet_proto::v1::subscribe_response::Event;
use tercet_proto::v1::*;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Fault, World};

#[derive(Clone)]
pub struct FakeReplica {
    pub id: u32,
    pub world: Arc<Mutex<World>>,
}

pub type Answer<T> = Result<Response<T>, Status>;

pub fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "tercet", HashMap::new());
    Status::with_error_details(code, reason, details)
}

pub fn message_event(message: &Message) -> SubscribeResponse {
    SubscribeResponse {
        cursor: message.cursor,
        event: Some(Event::Message(message.clone())),
    }
}

impl FakeReplica {
    pub fn leading(&self) -> Result<MutexGuard<'_, World>, Status> {
        let world = self.world.lock().unwrap();
        if world.leader == self.id {
            return Ok(world);
        }
        let mut metadata = HashMap::new();
        metadata.insert("leader_id".to_owned(), world.leader.to_string());
        let address = world.addresses.get(&world.leader);
        metadata.insert(
            "leader_address".to_owned(),
            address.cloned().unwrap_or_default(),
        );
        let details = ErrorDetails::with_error_info("NOT_LEADER", "tercet", metadata);
        Err(Status::with_error_details(
            Code::FailedPrecondition,
            "not here",
            details,
        ))
    }

    pub fn caller<T>(world: &World, request: &Request<T>) -> Result<String, Status> {
        let value = request.metadata().get("authorization");
        let token = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let name = token.and_then(|token| world.tokens.get(token));
        name.cloned()
            .ok_or_else(|| refusal(Code::Unauthenticated, "UNAUTHENTICATED"))
    }

    pub fn send(
        &self,
        sender: &str,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, Status> {
        let mut world = self.leading()?;
        world.sends_seen.push(request.request_id.clone());
        if world.is_too_old(&request.request_id) {
            return Err(refusal(Code::FailedPrecondition, "REQUEST_TOO_OLD"));
        }
        let fault = world.faults.pop_front();
        match &fault {
            Some(Fault::UnavailableBefore) => return Err(Status::unavailable("taking over")),
            Some(Fault::Transfer(id)) => {
                world.leader = *id;
                drop(world);
                return Err(self.leading().map(|_| ()).unwrap_err());
            }
            Some(Fault::Busy(ms)) => {
                let delay = Some(Duration::from_millis(*ms));
                let details = ErrorDetails::with_retry_info(delay);
                return Err(Status::with_error_details(
                    Code::Unavailable,
                    "busy",
                    details,
                ));
            }
            Some(Fault::Full) => return Err(Status::resource_exhausted("the disk is full")),
            Some(Fault::Expired) => return Err(Status::unauthenticated("log in again")),
            Some(Fault::Lost) => {
                let message_id = request.request_id;
                return Ok(SendMessageResponse {
                    message_id,
                    ..Default::default()
                });
            }
            _ => {}
        }
        let (id, to, body) = (&request.request_id, &request.recipient, &request.body);
        if !world.accounts.contains_key(to) {
            return Err(refusal(Code::NotFound, "UNKNOWN_RECIPIENT"));
        }
        let known = world
            .messages
            .iter()
            .find(|message| &message.message_id == id);
        let message = match known {
            Some(message) => message.clone(),
            None => world.store(id, sender, to, body),
        };
        if let Some(Fault::AppliedTwice) = fault {
            world.store("0192f000-0000-7000-8000-000000000000", sender, to, body);
        }
        if let Some(Fault::UnknownAfter) = fault {
            return Err(Status::unknown("transport error"));
        }
        Ok(SendMessageResponse {
            message_id: message.message_id,
            cursor: message.cursor,
            sent_at_ms: message.sent_at_ms,
            ..Default::default()
        })
    }
}

/// Makes the outcome of one of several messages.
pub fn outcome(sequence: u64, sent: Result<SendMessageResponse, Status>) -> SendMessageOutcome {
    let result = match sent {
        Ok(sent) => send_message_outcome::Result::Sent(sent),
        Err(status) => send_message_outcome::Result::Error(tonic_types::Status {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details: tonic_types::Status::decode(status.details())
                .unwrap_or_default()
                .details,
        }),
    };
    SendMessageOutcome {
        sequence,
        result: Some(result),
    }
}
