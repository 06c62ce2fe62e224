//! Lists and searches among very many learners of one client, through the product's own code: each figure is a whole page
//! with every statement that it takes and the round trips between, so that PostgreSQL's share of it is below.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use usher::{
    ids::{ClientId, SublicenseId},
    roster::{Query, RecordStatus, find},
};
use uuid::Uuid;

use crate::{
    Options,
    gateway::Deployment,
    progress,
    report::{Limit, Report, median},
    world,
};

/// Each figure of a round is the median of so many pages.
const PAGES: usize = 41;
/// What a page may take in PostgreSQL, in milliseconds.
const LIMIT_MS: f64 = 10.0;
const CLIENT: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001);

/// The sublicense with this number.
const fn sublicense(number: u128) -> Uuid {
    Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_1000 + number)
}

/// Seeds a database and measures each shape of a query.
pub async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Result<()> {
    progress(&format!("{} learners of one client", options.learners));
    let deployment = Deployment::new(options, "usher_bench_roster", folder)?;
    world::create(options, &deployment).await?;
    let mut conn = PgConnection::connect(&deployment.database_url).await?;
    let seeded = Instant::now();
    seed(&mut conn, options.learners).await.context("seeding learners")?;
    report.note(format!(
        "\nLists and searches among {} learners of one client, made in {:.0} s. Each figure is a page of 50, all its \
         statements and round trips.",
        options.learners,
        seeded.elapsed().as_secs_f64()
    ));
    let now = now(&mut conn).await?;
    for (name, query, pages_before) in shapes(options.learners) {
        let query = turned(&mut conn, query, pages_before, now).await?;
        let mut rounds = Vec::with_capacity(options.rounds);
        let mut count = 0;
        for _ in 0..options.rounds {
            let mut times = Vec::with_capacity(PAGES);
            for _ in 0..PAGES {
                let started = Instant::now();
                count = find(&mut conn, ClientId::from(CLIENT), &query, now).await?.learners.len();
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
            rounds.push(median(times));
        }
        let name = format!("{name}: {count} found");
        report.figure(name.clone(), "ms", &rounds);
        report.demand(name, rounds, Limit::AtMost(LIMIT_MS));
    }
    Ok(())
}

async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>> {
    let seconds: i64 = sqlx::query_scalar("select extract(epoch from now())::bigint").fetch_one(conn).await?;
    DateTime::from_timestamp(seconds, 0).context("a time")
}

/// The query, so many pages further on.
async fn turned(conn: &mut PgConnection, mut query: Query, pages: usize, now: DateTime<Utc>) -> Result<Query> {
    let limit = std::mem::replace(&mut query.limit, 200);
    for _ in 0..pages {
        query.cursor = find(conn, ClientId::from(CLIENT), &query, now).await?.next_cursor;
    }
    query.limit = limit;
    Ok(query)
}

fn shapes(learners: i32) -> Vec<(&'static str, Query, usize)> {
    let plain = || Query { limit: 50, ..Query::default() };
    let text = |text: &str| Query { text: Some(text.to_owned()), ..plain() };
    let sublicense = |number| Some(SublicenseId::from(sublicense(number)));
    let last = format!("{learners:07}");
    vec![
        ("list", plain(), 0),
        ("list, 100,000 learners further on", plain(), 500),
        ("status suspended, one in 500", Query { status: Some(RecordStatus::Suspended), ..plain() }, 0),
        ("status active", Query { status: Some(RecordStatus::Active), ..plain() }, 0),
        ("provisional, one in 10", Query { verified: Some(false), ..plain() }, 0),
        ("sublicense of every third", Query { sublicense: sublicense(1), ..plain() }, 0),
        ("sublicense of one in 2,000", Query { sublicense: sublicense(4), ..plain() }, 0),
        ("source of everybody", Query { source: Some("sso"), ..plain() }, 0),
        ("source of one in 2,000", Query { source: Some("admin"), ..plain() }, 0),
        ("source of nobody", Query { source: Some("scim"), ..plain() }, 0),
        ("address", Query { email_key: Some(format!("person{learners}@large.example")), ..plain() }, 0),
        ("search: one letter", text("a"), 0),
        ("search: common beginning", text("ann"), 0),
        ("search: common beginning, 20,000 further on", text("ann"), 100),
        ("search: beginning of an external id", text("e-01"), 0),
        ("search: whole name", text("zoe wagnerstrom"), 0),
        ("search: three letters inside, common", text("ner"), 0),
        ("search: inside, one in 300", text("midholm"), 0),
        ("search: inside, rare", text(&last), 0),
        ("search: three letters, absent", text("qqq"), 0),
        ("search: long and absent", text("nobodyofthisname"), 0),
        ("search and sublicense of every third", Query { sublicense: sublicense(1), ..text("ann") }, 0),
        ("search and status suspended", Query { status: Some(RecordStatus::Suspended), ..text("wag") }, 0),
    ]
}

/// Learners with 36 first and 336 last names, addresses and external ids; each holds one of three sublicenses by single
/// sign-on, and one in 2,000 a fourth by an admin.
async fn seed(conn: &mut PgConnection, learners: i32) -> Result<()> {
    conn.execute(AssertSqlSafe(format!(
        "insert into clients (id, name, created_at, updated_at) values ('{CLIENT}', 'Large', now(), now());
         insert into sublicenses (client_id, id, slug, name, created_at, updated_at)
             select '{CLIENT}', (array['{}', '{}', '{}', '{}']::uuid[])[n], 's' || n, 'S' || n, now(), now()
             from generate_series(1, 4) n;
         select setseed(0.5);
         insert into learners (client_id, id, sub, email, email_key, email_verified, first_name, last_name, external_id,
                               status, created_at, updated_at)
         select '{CLIENT}', ('018f0000-' || lpad(to_hex(n / 65536), 4, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                gen_random_uuid(), e, e, n % 10 <> 0, f, l, 'E-' || lpad(n::text, 7, '0'),
                case when n % 500 = 0 then 'suspended' else 'active' end, now(), now()
         from (select n, 'person' || n || '@large.example' as e,
                      (array['Ada', 'Anna', 'Ben', 'Boris', 'Carla', 'Chen', 'Dara', 'Dmitri', 'Elena', 'Emil', 'Fatima',
                             'Felix', 'Grace', 'Hugo', 'Ines', 'Ivan', 'Jana', 'Jonas', 'Katrin', 'Liam', 'Maria', 'Mehmet',
                             'Nora', 'Olga', 'Paul', 'Petra', 'Quentin', 'Rosa', 'Sven', 'Tariq', 'Ulla', 'Vera', 'Wei',
                             'Xenia', 'Yusuf', 'Zoë'])[1 + floor(random() * 36)::int] as f,
                      (array['Ander', 'Berg', 'Carl', 'Dahl', 'Eck', 'Fisch', 'Gross', 'Hoff', 'Isen', 'Jung', 'Klein',
                             'Lind', 'Maier', 'Neu', 'Ober', 'Peters', 'Quast', 'Roth', 'Schmid', 'Thom', 'Ull', 'Vogel',
                             'Wagner', 'Zim'])[1 + floor(random() * 24)::int]
                      || (array['son', 'mann', 'sen', 'er', 'burg', 'feld', 'stein', 'holm', 'quist', 'ström', 'ova',
                                'wicz', 'bach', 'hauser'])[1 + floor(random() * 14)::int] as l
               from generate_series(1, {learners}) n) people;
         insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, starts_at, created_at)
             select client_id, id, (array['{}', '{}', '{}']::uuid[])[1 + row_number() over () % 3], 'sso', 'con_bench',
                    now() - interval '1 day', now()
             from learners;
         insert into access_grants (client_id, learner_id, sublicense_id, source, source_ref, starts_at, created_at)
             select client_id, id, '{}', 'admin', 'admin', now() - interval '1 day', now() from learners where random() < 0.0005",
        sublicense(1),
        sublicense(2),
        sublicense(3),
        sublicense(4),
        sublicense(1),
        sublicense(2),
        sublicense(3),
        sublicense(4),
    )))
    .await?;
    conn.execute("vacuum analyze learners, access_grants").await?;
    Ok(())
}
