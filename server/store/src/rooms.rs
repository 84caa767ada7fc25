//! Rooms: the roles of members, and the one table of who may do what. Commands ask it where they are applied, queries
//! where they read.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use tercet_proto::log::Refusal;

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Member = 1,
    Admin = 2,
    Owner = 3,
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Role> {
        match value.as_i64()? {
            1 => Ok(Role::Member),
            2 => Ok(Role::Admin),
            3 => Ok(Role::Owner),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((*self as i64).into())
    }
}

/// The settings of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub is_public: bool,
    pub is_announce_only: bool,
}

/// An act of an account in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Find the room in the list, and see its members.
    See,
    /// Read its messages.
    Read,
    Join,
    Leave,
    Invite,
    Send,
    /// Take a copy of the whole room.
    Export,
    /// Delete the message of another account.
    DeleteOthers,
}

/// Why an account may not do an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The account must not learn that the room exists.
    Unknown,
    /// The account must join the room first.
    NotAMember,
    /// The account needs a higher role.
    RoleMayNot,
}

impl Denied {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Denied::Unknown => Refusal::UnknownRoom,
            Denied::NotAMember => Refusal::NotAMember,
            Denied::RoleMayNot => Refusal::RoleMayNot,
        }
    }
}

/// Decides whether an account with that role, or without one when it is outside, may do an act. The only place that
/// says who may do what.
///
/// # Errors
/// The reason why it may not.
pub fn judge(act: Act, room: Settings, role: Option<Role>) -> Result<(), Denied> {
    use Denied::{NotAMember, RoleMayNot, Unknown};
    let no = Err;
    let yes = Ok(());
    // Outside of a private room, outside of a public one, member, admin, owner.
    let row: [Result<(), Denied>; 5] = match act {
        Act::See | Act::Join => [no(Unknown), yes, yes, yes, yes],
        Act::Read | Act::Leave => [no(Unknown), no(NotAMember), yes, yes, yes],
        Act::Export => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::Invite if room.is_public => [no(Unknown), no(NotAMember), yes, yes, yes],
        Act::Invite | Act::DeleteOthers => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::Send if room.is_announce_only => {
            [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes]
        }
        Act::Send => [no(Unknown), no(NotAMember), yes, yes, yes],
    };
    match role {
        None if !room.is_public => row[0],
        None => row[1],
        Some(Role::Member) => row[2],
        Some(Role::Admin) => row[3],
        Some(Role::Owner) => row[4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each act in each kind of room: `+` may, `?` unknown room, `m` no member, `r` role may not; the columns are
    /// outside, member, admin, owner.
    #[test]
    fn every_cell_of_the_table_is_as_written_here() {
        let cells = [
            // public, announce-only; see, read, join, leave, invite, send, export, delete those of others
            (
                (true, false),
                [
                    "++++", "m+++", "++++", "m+++", "m+++", "m+++", "mr++", "mr++",
                ],
            ),
            (
                (true, true),
                [
                    "++++", "m+++", "++++", "m+++", "m+++", "mr++", "mr++", "mr++",
                ],
            ),
            (
                (false, false),
                [
                    "?+++", "?+++", "?+++", "?+++", "?r++", "?+++", "?r++", "?r++",
                ],
            ),
            (
                (false, true),
                [
                    "?+++", "?+++", "?+++", "?+++", "?r++", "?r++", "?r++", "?r++",
                ],
            ),
        ];
        let acts = [
            Act::See,
            Act::Read,
            Act::Join,
            Act::Leave,
            Act::Invite,
            Act::Send,
            Act::Export,
            Act::DeleteOthers,
        ];
        let roles = [
            None,
            Some(Role::Member),
            Some(Role::Admin),
            Some(Role::Owner),
        ];
        for ((is_public, is_announce_only), rows) in cells {
            let room = Settings {
                is_public,
                is_announce_only,
            };
            for (act, row) in acts.into_iter().zip(rows) {
                for (role, cell) in roles.into_iter().zip(row.chars()) {
                    let expected = match cell {
                        '+' => Ok(()),
                        '?' => Err(Denied::Unknown),
                        'm' => Err(Denied::NotAMember),
                        _ => Err(Denied::RoleMayNot),
                    };
                    assert_eq!(
                        judge(act, room, role),
                        expected,
                        "{act:?} {room:?} {role:?}"
                    );
                }
            }
        }
    }
}
