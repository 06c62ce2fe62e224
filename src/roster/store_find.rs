//! SQL by which lists of learners are read. Each statement is one range of one index, of a number of rows that the caller
//! names, in the order in which pages are cut; what else was asked is then held against those rows.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    model::{LearnerRecord, RecordStatus},
    store::Row,
};
use crate::{
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// A learner who may belong on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub id: Uuid,
    /// What the order goes by before the id.
    pub value: String,
    /// Found by something that comes earlier in the order, too: shown there.
    pub is_repeated: bool,
}

fn plain(id: Uuid) -> Candidate {
    Candidate { id, value: String::new(), is_repeated: false }
}

/// What the rows of a page have to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// `None`: everybody but those who were moved away.
    pub status: Option<RecordStatus>,
    pub verified: Option<bool>,
    /// The address in its comparable spelling.
    pub email_key: Option<String>,
    /// Those with a grant to it that runs.
    pub sublicense: Option<SublicenseId>,
    /// Those with a grant of this source that runs.
    pub source: Option<&'static str>,
}

/// The one spelling for searching.
pub(super) async fn folded(conn: &mut PgConnection, text: &str) -> Result<String, Fault> {
    let folded = sqlx::query_scalar!(r#"select folded($1) as "folded!""#, text).fetch_one(conn).await?;
    Ok(folded)
}

/// Lists in the order of ids: each one statement that leads with the client (`$1`), goes on after an id (`$2`), reads a
/// number of rows (`$3`), and holds them against one more value (`$4`) where it has one.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident($($wanted:ident: $type:ty = $value:expr)?) $statement:tt;)*) => {$(
        $(#[$doc])*
        pub(super) async fn $name(
            conn: &mut PgConnection,
            client: ClientId,
            $($wanted: $type,)?
            after: Uuid,
            count: i64,
        ) -> Result<Vec<Candidate>, Fault> {
            let found = sqlx::query_scalar!($statement, client.uuid(), after, count, $($value)?);
            Ok(found.fetch_all(conn).await?.into_iter().map(plain).collect())
        }
    )*};
}

lists! {
    /// Everybody, oldest first.
    all() "select id from learners where client_id = $1 and id > $2 order by id limit $3";

    /// Whoever has this address.
    by_email(email_key: &str = email_key)
        "select id from learners where client_id = $1 and email_key = $4 and id > $2 order by id limit $3";

    /// Those whose address is proved, or is not.
    by_verified(verified: bool = verified)
        "select id from learners where client_id = $1 and email_verified = $4 and id > $2 order by id limit $3";

    /// Those who are suspended or moved away.
    not_active(status: RecordStatus = status.as_str())
        "select id from learners where client_id = $1 and status = $4 and status <> 'active' and id > $2
         order by id limit $3";

    /// Those who hold or held a grant to a sublicense. Somebody with several grants comes several times, in one place.
    by_sublicense(sublicense: SublicenseId = sublicense.uuid())
        "select distinct on (g.learner_id) g.learner_id from access_grants g
         where g.client_id = $1 and g.sublicense_id = $4 and g.learner_id > $2 order by g.learner_id limit $3";

    /// Those who hold or held a grant of a source.
    by_source(source: &str = source)
        "select distinct on (g.learner_id) g.learner_id from access_grants g
         where g.client_id = $1 and g.source = $4 and g.learner_id > $2 order by g.learner_id limit $3";
}

/// Those of whom something begins with `from`, in the order of what does: both names either way round, the address, the
/// external id. `to` is the first text beyond all that begin so. The range begins at `after` alone, since PostgreSQL starts
/// at one bound only: an earlier one would be walked up from.
pub(super) async fn by_beginning(
    conn: &mut PgConnection,
    client: ClientId,
    (from, to): (&str, &str),
    after: (&str, Uuid),
    count: i64,
) -> Result<Vec<Candidate>, Fault> {
    let after = if after.0 < from { (from, Uuid::nil()) } else { after };
    let rows = sqlx::query!(
        r#"with found as (
             (select 0 as place, search_name as value, id from learners
              where client_id = $1 and search_name < $3 and (search_name, id) > ($4, $5)
              order by search_name, id limit $6)
             union all
             (select 1, search_surname, id from learners
              where client_id = $1 and search_surname < $3 and (search_surname, id) > ($4, $5)
              order by search_surname, id limit $6)
             union all
             (select 2, email_key, id from learners
              where client_id = $1 and email_key < $3 and (email_key, id) > ($4, $5)
              order by email_key, id limit $6)
             union all
             (select 3, search_external, id from learners
              where client_id = $1 and search_external < $3
                and (search_external, id) > ($4, $5)
              order by search_external, id limit $6)
           ), nearest as (select place, value, id from found order by value, id, place limit $6)
           select n.value as "value!", n.id as "id!",
                  coalesce((starts_with(l.search_name, $2) and (l.search_name, 0) < (n.value, n.place))
                    or (starts_with(l.search_surname, $2) and (l.search_surname, 1) < (n.value, n.place))
                    or (starts_with(l.email_key, $2) and (l.email_key, 2) < (n.value, n.place))
                    or (starts_with(l.search_external, $2) and (l.search_external, 3) < (n.value, n.place)),
                    false) as "is_repeated!"
           from nearest n join learners l on l.client_id = $1 and l.id = n.id
           order by n.value, n.id, n.place"#,
        client.uuid(),
        from,
        to,
        after.0,
        after.1,
        count,
    )
    .fetch_all(conn)
    .await?;
    let candidate = |(id, value, is_repeated)| Candidate { id, value, is_repeated };
    Ok(rows.into_iter().map(|row| candidate((row.id, row.value, row.is_repeated))).collect())
}

/// A stretch of the list, oldest first: those in it who contain every pattern without beginning so, and the last one of
/// the stretch where the list goes on after it.
pub(super) async fn containing_within(
    conn: &mut PgConnection,
    client: ClientId,
    patterns: &[String; 3],
    beginning: &str,
    after: Uuid,
    count: i64,
) -> Result<(Vec<Candidate>, Option<Uuid>), Fault> {
    let [one, two, three] = patterns;
    let rows = sqlx::query!(
        r#"with stretch as materialized (
             select id, search, search_name, search_surname, email_key, search_external
             from learners where client_id = $1 and id > $2 order by id limit $3)
           select id as "id!", false as "is_end!" from stretch
           where search like $4 and search like $5 and search like $6
             and not (starts_with(search_name, $7) or starts_with(search_surname, $7)
               or coalesce(starts_with(email_key, $7), false) or coalesce(starts_with(search_external, $7), false))
           union all
           (select id, true from stretch offset ($3 - 1) limit 1)"#,
        client.uuid(),
        after,
        count,
        one,
        two,
        three,
        beginning,
    )
    .fetch_all(conn)
    .await?;
    let end = rows.iter().find(|row| row.is_end).map(|row| row.id);
    Ok((rows.iter().filter(|row| !row.is_end).map(|row| plain(row.id)).collect(), end))
}

/// Those who contain every pattern without beginning so, by the index of letters: for what few contain. The subselects
/// keep the planner from guessing by the text how many there are.
pub(super) async fn containing(
    conn: &mut PgConnection,
    client: ClientId,
    patterns: &[String; 3],
    beginning: &str,
    after: Uuid,
    count: i64,
) -> Result<Vec<Candidate>, Fault> {
    let [one, two, three] = patterns;
    let ids = sqlx::query_scalar!(
        r#"with found as materialized (
             select id from learners
             where client_id = $1 and search like (select $3::text) and search like (select $4::text)
               and search like (select $5::text) and id > $2
               and not (starts_with(search_name, $6) or starts_with(search_surname, $6)
                 or coalesce(starts_with(email_key, $6), false) or coalesce(starts_with(search_external, $6), false)))
           select id as "id!" from found order by id limit $7"#,
        client.uuid(),
        after,
        one,
        two,
        three,
        beginning,
        count,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(plain).collect())
}

/// Those of `ids` whom the filter keeps, in no order. The grants are asked for row by row: a join may read them all.
pub(super) async fn matching(
    conn: &mut PgConnection,
    client: ClientId,
    ids: &[Uuid],
    filter: &Filter,
    now: DateTime<Utc>,
) -> Result<Vec<LearnerRecord>, Fault> {
    let rows = sqlx::query_as!(
        Row,
        "select l.id, l.email, l.email_verified, l.first_name, l.last_name, l.locale, l.external_id, l.status,
                l.attributes, l.created_at, l.updated_at, l.last_login_at
         from learners l
         where l.client_id = $1 and l.id = any($2)
           and case when $3::text is null then l.status <> 'moved' else l.status = $3 end
           and ($4::boolean is null or l.email_verified = $4) and ($5::text is null or l.email_key = $5)
           and (($6::uuid is null and $7::text is null) or coalesce((
                select true from access_grants g
                where g.client_id = l.client_id and g.learner_id = l.id and ($6::uuid is null or g.sublicense_id = $6)
                  and ($7::text is null or g.source = $7) and g.starts_at <= $8
                  and (g.ends_at is null or g.ends_at > $8) limit 1), false))",
        client.uuid(),
        ids,
        filter.status.map(RecordStatus::as_str),
        filter.verified,
        filter.email_key,
        filter.sublicense.map(SublicenseId::uuid),
        filter.source,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(LearnerRecord::from).collect())
}
