//! Signing up with an address that is not proved yet: always a provisional learner, a password that lasts until the
//! proof, and a mail, whether or not anybody has the address.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    NewPerson,
    model::clean_name,
    proofs::{self, Kind, Letter},
    store,
    trail::Occasion,
};
use crate::{
    app::App,
    audit::{Actor, Values},
    clients::ClientFacts,
    fault::Fault,
    ids::LearnerId,
    learners::{self, Profile, store::NewLearner},
    mail::MailKind,
};

/// Makes a provisional learner in the caller's transaction and mails the link that confirms the address. An address
/// that has an account is asked for its sign-in there. Grants nothing.
pub async fn sign_up_provisional(
    conn: &mut PgConnection,
    app: &App,
    client: &ClientFacts,
    person: NewPerson,
    now: DateTime<Utc>,
) -> Result<LearnerId, Fault> {
    let new = NewLearner { id: app.entropy.id(now), sub: app.entropy.id::<LearnerId>(now).uuid() };
    let profile = Profile {
        email: Some(person.email.as_str().to_owned()),
        email_key: Some(person.email.key().to_owned()),
        email_verified: false,
        first_name: clean_name(&person.first_name),
        last_name: clean_name(&person.last_name),
        locale: person.locale,
        ..Profile::default()
    };
    learners::store::insert(conn, client.id, new, &profile, now).await?;
    store::insert_provisional_password(conn, client.id, new.id, &person.password_hash, now).await?;
    let occasion =
        Occasion { entropy: &app.entropy, client: client.id, actor: Actor::Learner(new.id), reference: None, now };
    let facts = json!({ "learner": new.id, "how": "sign_up", "provisional": true });
    let values = Values { learner: Some(new.id), before: json!(null), after: serde_json::to_value(&profile)? };
    occasion.tell(conn, "learner.created", new.id, facts, Some(values)).await?;
    let has_account = store::exists(conn, person.email.key()).await?;
    let letter = Letter {
        kind: Kind::Confirm,
        mail: if has_account { MailKind::AccountExists } else { MailKind::ConfirmEmail },
        learner: new.id,
        account: None,
        email: &person.email,
        // What a stranger typed is not mailed to somebody else's mailbox.
        to_name: "",
        locale: profile.locale.as_deref(),
    };
    proofs::mail_link(conn, app, client, &letter, now).await?;
    Ok(new.id)
}
