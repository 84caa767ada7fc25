//! The rooms of a replay: one for each conversation, with its people as members.

use std::sync::Arc;

use tercet_client::NewRoom;

use super::plan::Plan;
use crate::accounts::Ready;
use crate::failure::Failure;
use crate::pool;
use crate::progress::Progress;

const AT_ONCE: usize = 8;

/// Makes the rooms of the plan that are missing, private ones that belong to the first sender, and has everybody in them.
///
/// # Errors
/// When a room of that name belongs to somebody else, or nobody leads for too long.
pub async fn prepare(plan: &Arc<Plan>, people: &[Ready]) -> Result<(), Failure> {
    let count = plan.rooms.len();
    let progress = Arc::new(Progress::start("rooms", count as u64));
    let people: Arc<[Ready]> = people.into();
    let work = {
        let (plan, progress) = (plan.clone(), progress.clone());
        move |index: usize| {
            let (plan, people) = (plan.clone(), people.clone());
            let progress = progress.clone();
            async move {
                prepare_one(&plan, &people, index).await?;
                progress.step();
                Ok(())
            }
        }
    };
    pool::for_each(AT_ONCE, count, work).await?;
    progress.finish();
    Ok(())
}

async fn prepare_one(plan: &Plan, people: &[Ready], index: usize) -> Result<(), Failure> {
    let members = plan.members(index);
    let Some((&owner, others)) = members.split_first() else {
        return Ok(());
    };
    let Some(client) = &people[owner].client else {
        return Err(Failure::failed("REPLAY", "a sender is not logged in", ""));
    };
    let name = &plan.rooms[index];
    let room = NewRoom {
        name: name.clone(),
        private: true,
        ..NewRoom::default()
    };
    match client.create_room(room).await {
        Ok(_) => {}
        // An earlier replay made it.
        Err(error) if error.is_refused_for("ROOM_NAME_TAKEN") => {}
        Err(error) => return Err(error.into()),
    }
    for &other in others {
        client
            .invite_to_room(name, &plan.people[other].name)
            .await?;
    }
    Ok(())
}
