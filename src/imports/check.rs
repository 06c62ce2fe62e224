//! The dry run: what would become of each row, and how many seats it takes. It changes nothing but its own notes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    batch::{self, Grip, Planned},
    model::Outcome,
    plan::Steps,
    store_rows::{self, Verdict, WorkRow},
    store_work::{self, Job, SeatRow},
};
use crate::{access, fault::Fault, ids::ClientId};

/// Looks at one batch of rows.
pub(super) async fn check(
    conn: &mut PgConnection,
    job: &Job,
    rows: &[WorkRow],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let open: Vec<&WorkRow> = rows.iter().filter(|row| !batch::is_settled(row)).collect();
    let mut seats = store_work::seats(conn, job.client, job.id).await?;
    let mut verdicts = Vec::with_capacity(open.len());
    for (client, rows) in batch::by_target(rows) {
        let rows: Vec<&WorkRow> = rows.into_iter().filter(|row| !batch::is_settled(row)).collect();
        if rows.is_empty() {
            continue;
        }
        let (target, directory) = batch::scene(conn, client, &rows, Grip::Look, now).await?;
        count_from(conn, &mut seats, client, now).await?;
        for planned in batch::plan_all(job, &target, &directory, &rows, now) {
            verdicts.push(judge(&mut seats, client, planned));
        }
    }
    store_rows::mark_checked(conn, job.client, job.id, &verdicts).await?;
    store_work::put_seats(conn, job.client, job.id, &seats).await
}

/// Begins to count a client's seats, from those that are free now.
async fn count_from(
    conn: &mut PgConnection,
    seats: &mut Vec<SeatRow>,
    client: ClientId,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    if seats.iter().any(|row| row.target == client) {
        return Ok(());
    }
    for room in access::room(conn, client, now).await? {
        seats.push(SeatRow { target: client, sublicense: room.sublicense, free: room.free, needed: 0, fitting: 0 });
    }
    Ok(())
}

fn judge(seats: &mut [SeatRow], client: ClientId, planned: Planned<'_>) -> Verdict {
    let mut verdict =
        Verdict { number: planned.number, outcome: Outcome::Invalid, found: None, learner: None, invite: None };
    match planned.plan {
        Err(found) => verdict.found = Some(found),
        Ok((_, plan)) => {
            verdict.learner = plan.learner;
            verdict.outcome = if take(seats, client, &plan.steps) { plan.outcome } else { Outcome::SeatsFull };
        }
    }
    verdict
}

/// Takes the seats that a row needs, all or none; every row counts as needing them.
fn take(seats: &mut [SeatRow], client: ClientId, steps: &Steps) -> bool {
    let is_meant = |row: &SeatRow| {
        row.target == client && row.sublicense.map_or(steps.client_seat, |sublicense| steps.seats.contains(&sublicense))
    };
    let fits = seats.iter().filter(|row| is_meant(row)).all(|row| row.fitting < row.free);
    for row in seats.iter_mut().filter(|row| is_meant(row)) {
        row.needed += 1;
        row.fitting += i32::from(fits);
    }
    fits
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn rows_that_find_no_seat_count_as_needing_one() {
        let client = ClientId::from(Uuid::from_u128(1));
        let sales = Uuid::from_u128(2).into();
        let row = |sublicense, free| SeatRow { target: client, sublicense, free, needed: 0, fitting: 0 };
        let mut seats = vec![row(None, 2), row(Some(sales), 1)];
        let steps = Steps { client_seat: true, seats: vec![sales], ..Steps::default() };
        assert!(take(&mut seats, client, &steps));
        assert!(!take(&mut seats, client, &steps));
        // What needs no seat of the full sublicense still fits.
        assert!(take(&mut seats, client, &Steps { client_seat: true, ..Steps::default() }));
        assert_eq!((seats[0].needed, seats[0].fitting), (3, 2));
        assert_eq!((seats[1].needed, seats[1].fitting), (2, 1));
    }
}
