//! Making a client, with its default sublicense.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    Branding, Client, ClientError, ClientStatus, NewClient, Surroundings, brand_files, store, store_sublicenses,
    sublicense::main_sublicense, update::write,
};
use crate::admin::{Author, Invalid};

/// Makes a client and its default sublicense `main`. Call it inside a transaction.
pub async fn create(
    conn: &mut PgConnection,
    author: Author<'_>,
    new: NewClient,
    surroundings: Surroundings<'_>,
) -> Result<Client, ClientError> {
    let NewClient(mut change) = new;
    change.check(surroundings)?;
    let mut invalid = Invalid::default();
    for (pointer, is_missing) in [("/slug", change.slug.is_none()), ("/name", change.name.is_none())] {
        if is_missing {
            invalid.push("api.required", pointer, "this field is required");
        }
    }
    invalid.finish()?;
    let mut client = Client {
        id: author.entropy.id(author.now),
        slug: change.slug.take().unwrap_or_default(),
        name: change.name.take().unwrap_or_default(),
        sku: None,
        hosts: Vec::new(),
        email_domains: Vec::new(),
        license_ends_at: None,
        seat_limit: None,
        seats_used: None,
        seats_reserved: None,
        branding: Branding::default(),
        password_login: true,
        sso_required: false,
        verify_email_first: false,
        invite_ttl_days: 14,
        reminders_days: Vec::new(),
        invite_any_domain_address: false,
        session_idle_s: 28_800,
        session_absolute_s: 43_200,
        default_locale: "en".to_owned(),
        time_zone: "UTC".to_owned(),
        status: ClientStatus::Active,
        created_at: author.now,
        updated_at: author.now,
    };
    let before = client.clone();
    change.apply(&mut client);
    store::insert(conn, &client).await?;
    store_sublicenses::insert(conn, client.id, &main_sublicense(author)).await?;
    brand_files::settle(conn, &before.branding, &mut client, author.now).await?;
    write(conn, &before, &client, author.now).await?;
    author
        .record(conn, client.id, "client.created", client.id.to_string(), json!({ "slug": client.slug }), None)
        .await?;
    store::find(conn, client.id, author.now).await?.ok_or(ClientError::NotFound)
}
