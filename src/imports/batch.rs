//! What the dry run and the real thing have in common: rows in batches, each batch one transaction, by whoever holds
//! the lease.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    model::{Outcome, RowData},
    plan::{self, Directory, Plan, Scene},
    problem::Found,
    store_people as people,
    store_rows::WorkRow,
    store_targets,
    store_work::Job,
    target::{Target, Wish},
};
use crate::{
    fault::Fault,
    ids::{ClientId, LearnerId},
    learners::EmailAddress,
};

/// Rows of a batch.
pub(super) const BATCH: i64 = 1000;

/// A row with what is to be done with it.
pub(super) struct Planned<'a> {
    pub number: i32,
    pub data: &'a RowData,
    pub plan: Result<(Wish, Plan), Found>,
}

/// Rows by the client that they are for, in the order in which clients are locked.
pub(super) fn by_target(rows: &[WorkRow]) -> BTreeMap<ClientId, Vec<&WorkRow>> {
    let mut groups: BTreeMap<ClientId, Vec<&WorkRow>> = BTreeMap::new();
    for row in rows {
        if let Some(target) = row.target {
            groups.entry(target).or_default().push(row);
        }
    }
    groups
}

/// Whether what was read is to be changed in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grip {
    Look,
    Lock,
}

/// Reads a client and the people whom rows may mean.
pub(super) async fn scene(
    conn: &mut PgConnection,
    client: ClientId,
    rows: &[&WorkRow],
    grip: Grip,
    now: DateTime<Utc>,
) -> Result<(Target, Directory), Fault> {
    let target = store_targets::find(conn, client).await?;
    let target = target.ok_or_else(|| Fault::Corrupt(format!("{client} is imported into and is not there")))?;
    let address = |row: &&WorkRow| row.data.email.as_deref().and_then(EmailAddress::parse);
    let keys: Vec<String> = rows.iter().filter_map(address).map(|address| address.key().to_owned()).collect();
    let ids: Vec<String> = rows.iter().filter_map(|row| row.data.external_id.clone()).collect();
    let found: Vec<LearnerId> = people::found(conn, client, &keys, &ids).await?;
    if grip == Grip::Lock && !found.is_empty() {
        people::lock(conn, client, &found).await?;
    }
    let people = people::load(conn, client, &found, now).await?;
    let invites: HashMap<_, _> = people::open_invites(conn, client, &keys, now).await?.into_iter().collect();
    Ok((target, Directory::new(people, invites)))
}

/// Plans each row.
pub(super) fn plan_all<'a>(
    job: &Job,
    target: &Target,
    directory: &Directory,
    rows: &[&'a WorkRow],
    now: DateTime<Utc>,
) -> Vec<Planned<'a>> {
    let scene = Scene { target, directory, clear_blocks: job.options.clear_blocks, now };
    let one = |row: &&'a WorkRow| {
        let wish = target.wish(&row.data, &job.options, now);
        let plan = wish.and_then(|wish| plan::plan(&scene, &row.data, &wish).map(|plan| (wish, plan)));
        Planned { number: row.number, data: &row.data, plan }
    };
    rows.iter().map(one).collect()
}

/// Whether the row was decided when its file was read.
pub(super) fn is_settled(row: &WorkRow) -> bool {
    matches!(row.outcome, Some(Outcome::Invalid | Outcome::Duplicate))
}
