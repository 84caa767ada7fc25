//! SetRetention: how long the messages of the cluster are kept. ChangeRoom has that of a room.

use tercet_proto::{
    log::{RetentionSet, SetRetention, command::Action, outcome},
    v1,
};

use super::{
    About, Applier, Applying, Command, Fingerprint, Request, StoreError, What, fingerprint,
};
use crate::{
    fields::{self, BadField},
    retention,
};

/// A checked request.
pub struct Retention {
    pub request_id: [u8; 16],
    /// 0: for ever.
    pub retention_ms: i64,
}

/// Checks a request.
///
/// # Errors
/// When a field is rejected.
pub fn validate(request: &v1::SetRetentionRequest) -> Result<Retention, BadField> {
    Ok(Retention {
        request_id: fields::request_id(&request.request_id)?,
        retention_ms: fields::retention(request.retention_ms)?,
    })
}

impl Request for SetRetention {
    type Outcome = RetentionSet;

    fn into_action(self) -> Action {
        Action::SetRetention(self)
    }

    fn outcome(result: outcome::Result) -> Option<RetentionSet> {
        match result {
            outcome::Result::RetentionSet(set) => Some(set),
            _ => None,
        }
    }
}

impl Command for SetRetention {
    fn apply(&self, state: &mut Applier<'_, '_>) -> Applying {
        retention::set(state.connection, retention::CLUSTER, self.retention_ms)?;
        Ok(outcome::Result::RetentionSet(RetentionSet {}))
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint("set_retention", [&self.retention_ms.to_be_bytes()[..]])
    }

    fn version_needed(&self) -> u32 {
        3
    }

    fn describe(&self, _: &mut About<'_>) -> Result<What, StoreError> {
        Ok(What::Other("retention"))
    }
}
