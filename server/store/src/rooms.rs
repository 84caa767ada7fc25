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

impl Role {
    /// Gives the role with that number in commands and rows.
    pub(crate) fn of_number(number: u32) -> Option<Role> {
        [Role::Member, Role::Admin, Role::Owner]
            .into_iter()
            .find(|role| *role as u32 == number)
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
    /// Whether earlier texts of edited messages are kept.
    pub keeps_edits: bool,
    /// Whether only admins and owners mention all members.
    pub restricts_mentions: bool,
    /// Whether it is a feed: admins and owners write, the others follow, and do not see each other.
    pub is_feed: bool,
}

impl Settings {
    const OPEN: Settings = Settings {
        is_public: true,
        is_announce_only: false,
        keeps_edits: false,
        restricts_mentions: false,
        is_feed: false,
    };
}

/// An act of an account in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Find the room in the list, and see its members.
    See,
    /// See all members, not only admins and owners.
    SeeMembers,
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
    /// Pin messages, and take pins back.
    Pin,
    /// Kick a member who has a lower role, as [`judge_on`] says.
    Kick,
    /// Ban an account, end a ban, or see the list of bans.
    Ban,
    SetTopic,
    /// Give members their roles.
    SetRole,
    /// Change the name, who finds the room, and who sends.
    Configure,
    Archive,
    /// Mention all members, or all that are connected.
    MentionAll,
    /// Set who mentions all members.
    RestrictMentions,
    /// Read the keys of its state.
    ReadState,
    /// Set, change and remove keys of its state.
    WriteState,
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
        Act::SeeMembers if room.is_feed => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::See | Act::SeeMembers | Act::Join => [no(Unknown), yes, yes, yes, yes],
        Act::Export => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::Read | Act::ReadState | Act::Leave => [no(Unknown), no(NotAMember), yes, yes, yes],
        Act::Invite if room.is_public && !room.is_feed => {
            [no(Unknown), no(NotAMember), yes, yes, yes]
        }
        Act::Invite | Act::DeleteOthers => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::Send | Act::WriteState if room.is_announce_only || room.is_feed => {
            [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes]
        }
        Act::Send | Act::WriteState => [no(Unknown), no(NotAMember), yes, yes, yes],
        Act::MentionAll if !room.restricts_mentions => [no(Unknown), no(NotAMember), yes, yes, yes],
        Act::MentionAll
        | Act::RestrictMentions
        | Act::Kick
        | Act::Ban
        | Act::SetTopic
        | Act::Pin => [no(Unknown), no(NotAMember), no(RoleMayNot), yes, yes],
        Act::SetRole | Act::Configure | Act::Archive => {
            let no_role = no(RoleMayNot);
            [no(Unknown), no(NotAMember), no_role, no_role, yes]
        }
    };
    match role {
        None if !room.is_public => row[0],
        None => row[1],
        Some(Role::Member) => row[2],
        Some(Role::Admin) => row[3],
        Some(Role::Owner) => row[4],
    }
}

/// Decides whether a member with that role, who may do the act at all, may do it to another account, with its role or
/// without one. Nobody acts on somebody of the same or a higher role: one owner has no power over another.
///
/// # Errors
/// The reason why the member may not.
pub fn judge_on(act: Act, role: Role, other: Option<Role>) -> Result<(), Denied> {
    judge(act, Settings::OPEN, Some(role))?;
    match other {
        Some(other) if other >= role => Err(Denied::RoleMayNot),
        _ => Ok(()),
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
            // public, announce-only, feed; see, read, join, leave, invite, send, export, delete those of others, kick, ban, topic, role, configure, archive,
            // read state, write state, pin, see members
            (
                (true, false, false),
                [
                    "++++", "m+++", "++++", "m+++", "m+++", "m+++", "mr++", "mr++", "mr++", "mr++",
                    "mr++", "mrr+", "mrr+", "mrr+", "m+++", "m+++", "mr++", "++++",
                ],
            ),
            (
                (true, true, false),
                [
                    "++++", "m+++", "++++", "m+++", "m+++", "mr++", "mr++", "mr++", "mr++", "mr++",
                    "mr++", "mrr+", "mrr+", "mrr+", "m+++", "mr++", "mr++", "++++",
                ],
            ),
            (
                (false, false, false),
                [
                    "?+++", "?+++", "?+++", "?+++", "?r++", "?+++", "?r++", "?r++", "?r++", "?r++",
                    "?r++", "?rr+", "?rr+", "?rr+", "?+++", "?+++", "?r++", "?+++",
                ],
            ),
            (
                (false, true, false),
                [
                    "?+++", "?+++", "?+++", "?+++", "?r++", "?r++", "?r++", "?r++", "?r++", "?r++",
                    "?r++", "?rr+", "?rr+", "?rr+", "?+++", "?r++", "?r++", "?+++",
                ],
            ),
            (
                (true, false, true),
                [
                    "++++", "m+++", "++++", "m+++", "mr++", "mr++", "mr++", "mr++", "mr++", "mr++",
                    "mr++", "mrr+", "mrr+", "mrr+", "m+++", "mr++", "mr++", "mr++",
                ],
            ),
            (
                (false, false, true),
                [
                    "?+++", "?+++", "?+++", "?+++", "?r++", "?r++", "?r++", "?r++", "?r++", "?r++",
                    "?r++", "?rr+", "?rr+", "?rr+", "?+++", "?r++", "?r++", "?r++",
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
            Act::Kick,
            Act::Ban,
            Act::SetTopic,
            Act::SetRole,
            Act::Configure,
            Act::Archive,
            Act::ReadState,
            Act::WriteState,
            Act::Pin,
            Act::SeeMembers,
        ];
        let roles = [
            None,
            Some(Role::Member),
            Some(Role::Admin),
            Some(Role::Owner),
        ];
        for ((is_public, is_announce_only, is_feed), rows) in cells {
            let room = Settings {
                is_public,
                is_announce_only,
                is_feed,
                ..Settings::OPEN
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

    /// As above, in a public and in a private room, for acts that announce-only rooms do not change: whether all mention all
    /// members or admins and owners do; mention all members, set who does.
    #[test]
    fn a_room_says_who_mentions_all_members() {
        let cells = [
            ((true, false), ["m+++", "mr++"]),
            ((true, true), ["mr++", "mr++"]),
            ((false, false), ["?+++", "?r++"]),
            ((false, true), ["?r++", "?r++"]),
        ];
        let roles = [
            None,
            Some(Role::Member),
            Some(Role::Admin),
            Some(Role::Owner),
        ];
        for ((is_public, restricts_mentions), rows) in cells {
            for is_announce_only in [false, true] {
                let room = Settings {
                    is_public,
                    is_announce_only,
                    restricts_mentions,
                    ..Settings::OPEN
                };
                let acts = [Act::MentionAll, Act::RestrictMentions];
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

    /// Each act on another account: rows are the roles of the one who acts, columns those of the other one: none, member,
    /// admin, owner.
    #[test]
    fn nobody_acts_on_somebody_of_the_same_or_a_higher_role() {
        let cells = [
            (Act::Kick, ["rrrr", "++rr", "+++r"]),
            (Act::Ban, ["rrrr", "++rr", "+++r"]),
            (Act::SetRole, ["rrrr", "rrrr", "+++r"]),
        ];
        let roles = [Role::Member, Role::Admin, Role::Owner];
        for (act, rows) in cells {
            for (role, row) in roles.into_iter().zip(rows) {
                let others = [None].into_iter().chain(roles.map(Some));
                for (other, cell) in others.zip(row.chars()) {
                    let expected = match cell {
                        '+' => Ok(()),
                        _ => Err(Denied::RoleMayNot),
                    };
                    assert_eq!(
                        judge_on(act, role, other),
                        expected,
                        "{act:?} {role:?} {other:?}"
                    );
                }
            }
        }
    }
}
