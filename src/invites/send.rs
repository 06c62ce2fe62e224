//! Making invites and renewing them, one or hundreds in one transaction: seats are reserved, links made, mails queued.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    judge::{Plan, Scene},
    link::Link,
    model::{Again, NewInvite, Outcome},
    store_scene,
    store_send::{self as store, Write},
};
use crate::{
    access::{self, Reservation},
    admin::Author,
    app::App,
    audit::{self, NewEvent},
    fault::Fault,
    ids::{ClientId, InviteId},
    mail::{self, MailKind, MailValues, NewMail},
};

/// Invites that are to be made together.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub invites: &'a [NewInvite],
    pub again: Again,
    /// The import that they come from.
    pub import: Option<&'a str>,
}

/// Makes or renews invites: one outcome for each, in their order. Call it inside a transaction; the number of
/// statements does not depend on how many. An address that comes twice is invited once, the first time.
pub async fn create_many(
    conn: &mut PgConnection,
    app: &App,
    author: Author<'_>,
    client: ClientId,
    order: Order<'_>,
) -> Result<Vec<Outcome>, Fault> {
    if order.invites.is_empty() {
        return Ok(Vec::new());
    }
    let scene = store_scene::read(conn, client, order.invites, author.now).await?;
    carry_out(conn, app, author, client, order, &scene).await
}

/// What [`create_many`] would do, without seats and without writing anything.
pub async fn foresee(
    conn: &mut PgConnection,
    client: ClientId,
    invites: &[NewInvite],
    again: Again,
    now: DateTime<Utc>,
) -> Result<Vec<Foreseen>, Fault> {
    if invites.is_empty() {
        return Ok(Vec::new());
    }
    let scene = store_scene::read(conn, client, invites, now).await?;
    let foreseen = invites.iter().map(|new| match scene.judge(new, again, now) {
        Ok(plan) => Foreseen::Send {
            renews: plan.renews.map(|(id, _)| id),
            seats: plan.seats,
            client_seat: plan.needs_client_seat,
        },
        Err(outcome) => Foreseen::Stop(outcome),
    });
    Ok(foreseen.collect())
}

/// What would come of one wish to invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// A mail would go out, if these seats are free. One that is renewed may hold them already.
    Send {
        renews: Option<InviteId>,
        seats: Vec<crate::ids::SublicenseId>,
        client_seat: bool,
    },
    Stop(Outcome),
}

pub(super) async fn carry_out(
    conn: &mut PgConnection,
    app: &App,
    author: Author<'_>,
    client: ClientId,
    order: Order<'_>,
    scene: &Scene,
) -> Result<Vec<Outcome>, Fault> {
    let now = author.now;
    let mut outcomes: Vec<Option<Outcome>> = vec![None; order.invites.len()];
    let mut writes: Vec<(usize, Write<'_>)> = Vec::new();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, new) in order.invites.iter().enumerate() {
        if first.contains_key(new.email.key()) {
            continue;
        }
        first.insert(new.email.key(), index);
        match scene.judge(new, order.again, now) {
            Err(outcome) => set(&mut outcomes, index, outcome),
            Ok(plan) => {
                let id = plan.renews.map_or_else(|| app.entropy.id(now), |(id, _)| id);
                writes.push((index, Write { id, new, plan }));
            }
        }
    }
    let writes = reserve(conn, client, writes, &mut outcomes, now).await?;
    let done = write(conn, client, order, &writes, now).await?;
    let lost = |write: &&(usize, Write<'_>)| !done.contains(&write.1.id);
    settle_lost(conn, client, writes.iter().filter(lost), &mut outcomes, now).await?;
    let sent: Vec<&Write<'_>> =
        writes.iter().map(|(_, write)| write).filter(|write| done.contains(&write.id)).collect();
    for (index, write) in writes.iter().filter(|(_, write)| done.contains(&write.id)) {
        let is_new = write.plan.renews.is_none();
        set(&mut outcomes, *index, if is_new { Outcome::Invited(write.id) } else { Outcome::Renewed(write.id) });
    }
    send(conn, app, client, scene, &sent, now).await?;
    tell(conn, author, client, order.import, &sent).await?;
    Ok(complete(order.invites, &outcomes, &first))
}

fn set(outcomes: &mut [Option<Outcome>], index: usize, outcome: Outcome) {
    if let Some(place) = outcomes.get_mut(index) {
        *place = Some(outcome);
    }
}

/// An address that comes twice has been invited by its first row.
fn complete(invites: &[NewInvite], outcomes: &[Option<Outcome>], first: &HashMap<&str, usize>) -> Vec<Outcome> {
    let outcome = |(new, outcome): (&NewInvite, &Option<Outcome>)| match outcome {
        Some(outcome) => *outcome,
        None => match first.get(new.email.key()).and_then(|index| outcomes.get(*index)).copied().flatten() {
            Some(Outcome::Invited(id) | Outcome::Renewed(id)) => Outcome::AlreadyInvited(id),
            Some(other) => other,
            None => Outcome::Closed,
        },
    };
    invites.iter().zip(outcomes).map(outcome).collect()
}

/// Reserves the seats; those that find none are answered and left out.
async fn reserve<'a>(
    conn: &mut PgConnection,
    client: ClientId,
    writes: Vec<(usize, Write<'a>)>,
    outcomes: &mut [Option<Outcome>],
    now: DateTime<Utc>,
) -> Result<Vec<(usize, Write<'a>)>, Fault> {
    let needs = |plan: &Plan| plan.needs_client_seat || !plan.seats.is_empty();
    let wishes: Vec<Reservation> = writes
        .iter()
        .filter(|(_, write)| needs(&write.plan))
        .map(|(_, write)| Reservation {
            holder: write.id.uuid(),
            client_seat: write.plan.needs_client_seat,
            sublicenses: write.plan.seats.clone(),
            expires_at: write.plan.expires_at,
        })
        .collect();
    let mut answers = access::reserve_many(conn, client, &wishes, now).await?.into_iter();
    let mut kept = Vec::with_capacity(writes.len());
    for (index, write) in writes {
        match if needs(&write.plan) { answers.next() } else { None } {
            Some(Err(full)) => set(outcomes, index, Outcome::SeatsFull(full)),
            Some(Ok(())) | None => kept.push((index, write)),
        }
    }
    Ok(kept)
}

/// Writes the rows; says which invites were written. The others lost a race.
async fn write(
    conn: &mut PgConnection,
    client: ClientId,
    order: Order<'_>,
    writes: &[(usize, Write<'_>)],
    now: DateTime<Utc>,
) -> Result<HashSet<InviteId>, Fault> {
    let (mut old, new): (Vec<&Write<'_>>, Vec<&Write<'_>>) =
        writes.iter().map(|(_, write)| write).partition(|write| write.plan.renews.is_some());
    // One order of locks for everybody.
    old.sort_by_key(|write| write.id);
    let mut done: HashSet<InviteId> = HashSet::new();
    done.extend(store::insert(conn, client, &new, order.import, now).await?);
    done.extend(store::renew(conn, client, &old, order.again == Again::Insist, now).await?);
    Ok(done)
}

/// Somebody else invited the same address, or renewed or ended the same invite, in this moment: theirs stands. The
/// reservation of an invite that was renewed is its own and stays; what was reserved for a new one is given back.
async fn settle_lost<'a>(
    conn: &mut PgConnection,
    client: ClientId,
    lost: impl Iterator<Item = &'a (usize, Write<'a>)>,
    outcomes: &mut [Option<Outcome>],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let lost: Vec<&(usize, Write<'a>)> = lost.collect();
    if lost.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = lost.iter().map(|(_, write)| write.new.email.key().to_owned()).collect();
    let open: HashMap<String, InviteId> = store::open_of(conn, client, &keys).await?.into_iter().collect();
    for (index, write) in lost {
        let standing = open.get(write.new.email.key());
        if standing != Some(&write.id) {
            access::release(conn, client, write.id.uuid(), now).await?;
        }
        // Accepted, revoked or swept meanwhile: to the caller it was invited already.
        set(outcomes, *index, Outcome::AlreadyInvited(standing.copied().unwrap_or(write.id)));
    }
    Ok(())
}

/// Makes a link for each and queues its mail; earlier links die, earlier mails that still wait are taken back.
async fn send(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    scene: &Scene,
    writes: &[&Write<'_>],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if writes.is_empty() {
        return Ok(());
    }
    store::offer(conn, client, writes).await?;
    let renewed: Vec<InviteId> =
        writes.iter().filter(|write| write.plan.renews.is_some()).map(|write| write.id).collect();
    if !renewed.is_empty() {
        store::replace_links(conn, client, &renewed, now).await?;
        let about: Vec<String> = renewed.iter().map(InviteId::to_string).collect();
        mail::withdraw(conn, client, &about, now).await?;
    }
    let mut links = Vec::with_capacity(writes.len());
    let mut mails = Vec::with_capacity(writes.len());
    let names: Vec<String> = writes.iter().map(|write| name(write.new)).collect();
    for (write, name) in writes.iter().zip(&names) {
        let link = Link::fresh(&app.entropy);
        links.push((write.id, link.hash()));
        let values = MailValues {
            message: write.new.message.clone(),
            expires_at: Some(write.plan.expires_at),
            sublicenses: scene.names(&write.plan.sublicenses),
            ..MailValues::default()
        };
        mails.push(NewMail {
            kind: MailKind::Invite,
            to: write.new.email.as_str(),
            to_name: name,
            locale: write.new.locale.as_deref(),
            path: Some(link.path()),
            values: serde_json::to_value(values)?,
            about: Some(write.id.to_string()),
        });
    }
    store::insert_links(conn, client, &links, false, now).await?;
    mail::queue_many(conn, app, client, &mails, now).await?;
    Ok(())
}

fn name(new: &NewInvite) -> String {
    format!("{} {}", new.first_name, new.last_name).trim().to_owned()
}

async fn tell(
    conn: &mut PgConnection,
    author: Author<'_>,
    client: ClientId,
    import: Option<&str>,
    writes: &[&Write<'_>],
) -> Result<(), Fault> {
    let action = |write: &Write<'_>| if write.plan.renews.is_some() { "invite.renewed" } else { "invite.created" };
    let facts = |write: &Write<'_>| -> Value {
        json!({
            "invite": write.id,
            "sublicenses": write.plan.sublicenses,
            "role": write.plan.role,
            "expires_at": write.plan.expires_at,
            "import": import,
        })
    };
    let event = |write: &&Write<'_>| NewEvent {
        client: Some(client),
        at: author.now,
        action: action(write),
        actor: author.actor,
        target: Some(write.id.to_string()),
        reason: None,
        reference: author.reference,
        facts: facts(write),
        values: None,
    };
    audit::record_many(conn, author.entropy, writes.iter().map(event).collect()).await?;
    let told = writes.iter().map(|write| (action(write), facts(write))).collect();
    audit::announce_many(conn, author.entropy, client, told, author.now).await
}
