//! Creates, changes and deletes connections. What is slow (reading the IdP, making keys) happens in [`prepare`], before
//! the transaction; what is written is written by [`Prepared::insert`] or [`Prepared::update`], all or nothing.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    facts::secret_place,
    keys::{self, KeyState, KeyUse, NewKey},
    model::{Connection, ConnectionSettings, FieldError, Status},
    read_idp::{self, IdpError, ReadError},
    ready,
    settings::TokenAuth,
    share,
    store::{self, Written},
    store_clients,
    store_idp::{self, IdpUpdate},
    store_keys, store_mappings,
};
use crate::{
    app::App,
    audit::{self, Actor, NewEvent},
    claims::{Protocol, presets},
    fault::Fault,
    ids::{ClientId, ConnectionId},
};

/// Who changes a connection.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub actor: Actor,
    /// Whether the fields that only an operator may write may be written.
    pub is_operator: bool,
    pub reference: Option<&'a str>,
    pub now: DateTime<Utc>,
}

/// Why a connection was not saved. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("there is no such connection")]
    NotFound,
    #[error("the settings do not hold together")]
    Invalid(Vec<FieldError>),
    #[error("only an operator may set {0}")]
    OperatorOnly(&'static str),
    /// What an active connection needs and this one lacks, as field names.
    #[error("the connection lacks what a sign-in needs")]
    NotReady(Vec<&'static str>),
    #[error("{1}")]
    Idp(&'static str, IdpError),
    #[error("the connection was changed by somebody else at the same time")]
    Conflict,
    #[error("an active connection cannot be deleted")]
    Active,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for SaveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What becomes of the client secret.
#[derive(Debug, Clone)]
pub enum SecretChange {
    Keep,
    Clear,
    Set(SecretString),
}

/// A connection that passed every check that needs no transaction, with its IdP read and its keys made.
pub struct Prepared {
    client: ClientId,
    id: ConnectionId,
    settings: ConnectionSettings,
    /// The clients that it serves; none where it serves its owner alone.
    listed: Vec<ClientId>,
    config: Value,
    secret_sealed: Option<Vec<u8>>,
    secret_changed: bool,
    /// `None`: what is stored stays. `Some(None)`: the settings name no IdP any more.
    idp: Option<Option<IdpUpdate>>,
    keys: Vec<NewKey>,
}

/// Checks settings, reads the IdP where it is another than `before`, and makes the keys that are missing.
pub async fn prepare(
    app: &App,
    client: ClientId,
    before: Option<&Connection>,
    settings: ConnectionSettings,
    secret: SecretChange,
    by: By<'_>,
) -> Result<Prepared, SaveError> {
    let mut settings = settings.checked(app.settings.outbound.allow_plain_http).map_err(SaveError::Invalid)?;
    if let Some(before) = before
        && before.settings.protocol != settings.protocol
    {
        let detail = "the protocol cannot be changed; make a new connection";
        return Err(SaveError::Invalid(vec![FieldError::new("connection.protocol", "/protocol", detail)]));
    }
    if !by.is_operator && before.is_some_and(|before| !before.settings.clients.is_empty()) {
        return Err(SaveError::OperatorOnly("/clients"));
    }
    if !by.is_operator
        && let Some(field) = settings.operator_changes(before.map(|before| &before.settings)).first()
    {
        return Err(SaveError::OperatorOnly(field));
    }
    let listed = share::resolve(app, &mut settings).await?;
    let id = before.map_or_else(|| app.entropy.id(by.now), |before| before.id);
    // A secret goes to the provider that it was given for, and to no other: with another issuer it is asked for again.
    let is_elsewhere = before.is_some_and(|before| issuer_of(&before.settings) != issuer_of(&settings));
    let secret = if is_elsewhere && matches!(secret, SecretChange::Keep) { SecretChange::Clear } else { secret };
    let secret_changed = !matches!(secret, SecretChange::Keep);
    let secret_sealed = match secret {
        SecretChange::Keep => before.and_then(|before| before.secret_sealed.clone()),
        SecretChange::Clear => None,
        SecretChange::Set(secret) => {
            let place = secret_place(client, id);
            Some(app.sealer.seal(&app.entropy, &place, secret.expose_secret().as_bytes()))
        }
    };
    let idp = read_if_needed(app, before, &settings, by.now).await?;
    if settings.status == Status::Active {
        let (known, valid_until) = match &idp {
            Some(read) => (read.as_ref().map(|read| &read.idp), read.as_ref().and_then(|read| read.valid_until)),
            None => (before.and_then(|before| before.idp.as_ref()), before.and_then(|before| before.idp_valid_until)),
        };
        let missing = ready::missing(&settings, known, valid_until, secret_sealed.is_some(), by.now);
        if !missing.is_empty() {
            return Err(SaveError::NotReady(missing));
        }
    }
    let keys = missing_keys(app, client, before, &settings).await?;
    let keys = keys::make(app, id, &keys, by.now).await?;
    let config = match (&settings.saml, &settings.oidc) {
        (Some(saml), _) => serde_json::to_value(saml),
        (None, oidc) => serde_json::to_value(oidc),
    };
    let config = config.map_err(Fault::from)?;
    Ok(Prepared { client, id, settings, listed, config, secret_sealed, secret_changed, idp, keys })
}

/// The issuer, by which the provider's other addresses are found.
fn issuer_of(settings: &ConnectionSettings) -> Option<&str> {
    settings.oidc.as_ref().map(|oidc| oidc.issuer.as_str())
}

async fn read_if_needed(
    app: &App,
    before: Option<&Connection>,
    settings: &ConnectionSettings,
    now: DateTime<Utc>,
) -> Result<Option<Option<IdpUpdate>>, SaveError> {
    let is_known = before.is_some_and(|before| {
        let was = before.settings.saml.as_ref().map(|saml| (&saml.metadata_url, &saml.metadata_xml, &saml.entity_id));
        let is = settings.saml.as_ref().map(|saml| (&saml.metadata_url, &saml.metadata_xml, &saml.entity_id));
        let issuer = |settings: &ConnectionSettings| settings.oidc.as_ref().map(|oidc| oidc.issuer.clone());
        before.idp.is_some() && was == is && issuer(&before.settings) == issuer(settings)
    });
    if is_known {
        return Ok(None);
    }
    match read_idp::read(app, settings, now).await {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::Idp(error)) => Err(SaveError::Idp(error.pointer(settings), error)),
        Err(ReadError::Fault(fault)) => Err(fault.into()),
    }
}

async fn missing_keys(
    app: &App,
    client: ClientId,
    before: Option<&Connection>,
    settings: &ConnectionSettings,
) -> Result<Vec<KeyUse>, Fault> {
    let by_key = |settings: &ConnectionSettings| {
        settings.oidc.as_ref().is_some_and(|oidc| oidc.token_auth == TokenAuth::PrivateKeyJwt)
    };
    Ok(match (settings.protocol, before) {
        (Protocol::Saml, None) => vec![KeyUse::Signing, KeyUse::Encryption],
        (Protocol::Oidc, None) if by_key(settings) => vec![KeyUse::Signing],
        (Protocol::Oidc, Some(before)) if by_key(settings) && !by_key(&before.settings) => {
            let known = store_keys::keys(&mut *app.db.acquire().await?, client, before.id).await?;
            if known.iter().any(|key| key.key_use == KeyUse::Signing) { Vec::new() } else { vec![KeyUse::Signing] }
        }
        _ => Vec::new(),
    })
}

impl Prepared {
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    fn written(&self, now: DateTime<Utc>) -> Written<'_> {
        Written {
            client: self.client,
            id: self.id,
            settings: &self.settings,
            config: self.config.clone(),
            secret_sealed: self.secret_sealed.as_deref(),
            secret_changed: self.secret_changed,
            now,
        }
    }

    /// Writes a new connection with its keys and the first version of its mapping, which is its preset's. Call it inside
    /// a transaction.
    pub async fn insert(&self, conn: &mut PgConnection, app: &App, by: By<'_>) -> Result<Connection, SaveError> {
        self.check_trusted(conn).await?;
        store::insert(conn, &self.written(by.now)).await?;
        share::put(conn, app, (self.client, self.id), &self.listed, by).await?;
        self.write_idp_and_keys(conn, by.now).await?;
        let mapping = presets::preset(self.settings.preset, self.settings.protocol);
        let rules = serde_json::to_value(&mapping).map_err(Fault::from)?;
        let author = by.actor.id().unwrap_or_else(|| by.actor.kind().to_owned());
        store_mappings::insert_mapping(conn, self.client, self.id, 1, &rules, &author, by.now).await?;
        let facts = json!({
            "protocol": self.settings.protocol,
            "preset": self.settings.preset,
            "status": self.settings.status,
        });
        record(conn, app, self.client, self.id, "connection.created", facts, by).await?;
        share::check_mapping(conn, self.client, self.id, &self.settings).await?;
        store::find(conn, self.client, self.id).await?.ok_or(SaveError::NotFound)
    }

    /// Writes the changes over `before`. Call it inside a transaction.
    pub async fn update(
        &self,
        conn: &mut PgConnection,
        app: &App,
        before: &Connection,
        by: By<'_>,
    ) -> Result<Connection, SaveError> {
        let mut fields = self.settings.changed_fields(&before.settings);
        if self.secret_changed {
            fields.push("oidc.client_secret".to_owned());
        }
        if fields.is_empty() && self.idp.is_none() {
            return Ok(before.clone());
        }
        self.check_trusted(conn).await?;
        if !store::update(conn, &self.written(by.now), before.version).await? {
            return Err(SaveError::Conflict);
        }
        share::check_mapping(conn, self.client, self.id, &self.settings).await?;
        share::put(conn, app, (self.client, self.id), &self.listed, by).await?;
        self.write_idp_and_keys(conn, by.now).await?;
        let facts = json!({ "fields": fields, "status": self.settings.status, "idp_read": self.idp.is_some() });
        record(conn, app, self.client, self.id, "connection.updated", facts, by).await?;
        store::find(conn, self.client, self.id).await?.ok_or(SaveError::NotFound)
    }

    async fn write_idp_and_keys(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), Fault> {
        if let Some(read) = &self.idp {
            store_idp::set_idp(conn, self.client, self.id, read.as_ref(), now).await?;
        }
        store_keys::insert_keys(conn, self.client, self.id, &self.keys, KeyState::Current, now).await
    }

    async fn check_trusted(&self, conn: &mut PgConnection) -> Result<(), SaveError> {
        if self.settings.trusted_domains.is_empty() {
            return Ok(());
        }
        let clients: Vec<_> = self.listed.iter().chain([&self.client]).map(|client| client.uuid()).collect();
        let verified = store::verified_among(conn, &clients, &self.settings.trusted_domains).await?;
        let unverified =
            self.settings.trusted_domains.iter().enumerate().filter(|(_, domain)| !verified.contains(domain));
        let errors: Vec<FieldError> = unverified
            .map(|(index, _)| {
                let detail =
                    "not a verified e-mail domain of this client: add it to the client and have it vouched for first";
                FieldError::new("connection.trusted_domains", format!("/trusted_domains/{index}"), detail)
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(SaveError::Invalid(errors)) }
    }
}

/// Creates a connection in a transaction of its own.
pub async fn create(
    app: &App,
    client: ClientId,
    mut settings: ConnectionSettings,
    by: By<'_>,
) -> Result<Connection, SaveError> {
    let secret = take_secret(&mut settings);
    let prepared = prepare(app, client, None, settings, secret, by).await?;
    let mut transaction = app.db.begin().await?;
    let made = prepared.insert(&mut transaction, app, by).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Brings a connection to these settings in a transaction of its own. A client secret that is not given stays.
pub async fn change(
    app: &App,
    before: &Connection,
    mut settings: ConnectionSettings,
    by: By<'_>,
) -> Result<Connection, SaveError> {
    let secret = take_secret(&mut settings);
    change_with(app, before, settings, secret, by).await
}

pub(super) async fn change_with(
    app: &App,
    before: &Connection,
    settings: ConnectionSettings,
    secret: SecretChange,
    by: By<'_>,
) -> Result<Connection, SaveError> {
    let prepared = prepare(app, before.client, Some(before), settings, secret, by).await?;
    let mut transaction = app.db.begin().await?;
    let changed = prepared.update(&mut transaction, app, before, by).await?;
    transaction.commit().await?;
    app.connections.forget(before.id).await;
    Ok(changed)
}

/// Moves a secret that was typed out of the settings.
pub fn take_secret(settings: &mut ConnectionSettings) -> SecretChange {
    let secret = settings.oidc.as_mut().and_then(|oidc| oidc.client_secret.take());
    secret.map_or(SecretChange::Keep, |secret| SecretChange::Set(secret.0))
}

/// Deletes a connection that is not active, with its identities and the access that it gave.
pub async fn delete(app: &App, client: ClientId, id: ConnectionId, by: By<'_>) -> Result<(), SaveError> {
    let mut transaction = app.db.begin().await?;
    let status = store::lock(&mut transaction, client, id).await?.ok_or(SaveError::NotFound)?;
    if !by.is_operator && store_clients::is_shared(&mut transaction, client, id).await? {
        return Err(SaveError::OperatorOnly("/clients"));
    }
    if status == Status::Active {
        return Err(SaveError::Active);
    }
    let (grants, learners) = share::take_all_away(&mut transaction, app, (client, id), by).await?;
    store::delete(&mut transaction, client, id).await?;
    let facts = json!({ "grants_ended": grants, "learners_signed_out": learners });
    record(&mut transaction, app, client, id, "connection.deleted", facts, by).await?;
    transaction.commit().await?;
    app.connections.forget(id).await;
    Ok(())
}

pub(super) async fn record(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    id: ConnectionId,
    action: &'static str,
    facts: Value,
    by: By<'_>,
) -> Result<(), Fault> {
    let event = NewEvent {
        client: Some(client),
        at: by.now,
        action,
        actor: by.actor,
        target: Some(id.to_string()),
        reason: None,
        reference: by.reference,
        facts,
        values: None,
    };
    audit::record(conn, &app.entropy, event).await?;
    Ok(())
}
