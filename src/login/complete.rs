//! The return of a sign-in: verify what the identity provider says, finish it, begin the session.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use super::{
    attempt::Attempt,
    brought::Carried,
    choice::{self, Choice},
    finish::{self, Course, Notes, Unfinished, UsedAssertion},
    identity::VerifiedIdentity,
    journey::Journey,
    let_in::{Place, SignedIn, let_in},
    oidc::{self, Callback},
    party,
    reason::{Reason, Stop},
    saml::VerifiedAssertion,
    store,
    ticket::Home,
    verify::{reread, verify_saml},
};
use crate::{
    app::App,
    cache::Key,
    connections::ConnectionFacts,
    crypto,
    fault::Fault,
    http::{BrowserKey, Reference},
    ids::ClientId,
    learners,
    sessions::{self, SessionCookie},
};

/// A connection that changes while it is verified against is read anew, this many times.
const ROUNDS: usize = 3;

/// What every return knows.
#[derive(Clone)]
pub struct Return {
    pub connection: Arc<ConnectionFacts>,
    pub reference: Reference,
    pub now: DateTime<Utc>,
    /// The sessions that the browser has; the one with the same client ends when the new one begins.
    pub cookie: SessionCookie,
    /// The browser on the base origin.
    pub browser: Option<BrowserKey>,
}

/// How a SAML response came.
pub enum SamlCourse {
    /// It answers this attempt.
    Asked(Box<Attempt>),
    /// Nobody asked, and the learner has said yes to continuing to `client`; `return_to` is its deep link. The response's own times are
    /// checked as of when it came, since reading the question takes a while; everything else as of now.
    Unasked { client: ClientId, return_to: Option<String>, received_at: DateTime<Utc> },
}

/// Where the learner wants to be, and what they bring along.
#[derive(Clone, Copy)]
pub(super) struct Wants<'a> {
    /// The client whose page began it, or that the learner said yes to.
    client: Option<ClientId>,
    return_to: Option<&'a str>,
    /// Whose page that is.
    return_of: Option<ClientId>,
    carried: &'a Carried,
    /// Where it began, when that was a host of the client's own.
    home: Option<&'a Home>,
}

static NOTHING: Carried = Carried { codes: Vec::new(), invite: None };

impl<'a> Wants<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            client: attempt.client,
            return_to: attempt.return_to.as_deref(),
            return_of: attempt.return_of,
            carried: &attempt.carried,
            home: attempt.home.as_ref(),
        }
    }
}

/// A sign-in that stopped, and whose page says so.
pub struct Stopped {
    pub client: ClientId,
    pub stop: Stop,
}

/// Completes a SAML sign-in.
pub async fn saml(app: &App, arrival: &Return, course: SamlCourse, response: Vec<u8>) -> Result<SignedIn, Stopped> {
    let attempt = match &course {
        SamlCourse::Asked(attempt) => Some(&**attempt),
        SamlCourse::Unasked { .. } => None,
    };
    let (by_idp, reference) = (attempt.is_none(), arrival.reference.clone());
    let mut journey = Journey::new(app, &arrival.connection, attempt, by_idp, reference, arrival.now);
    let done = take_response(app, arrival, &course, response.into(), &mut journey).await;
    done.map_err(|stop| Stopped { client: journey.shown(), stop })
}

async fn take_response(
    app: &App,
    arrival: &Return,
    course: &SamlCourse,
    response: Arc<[u8]>,
    journey: &mut Journey,
) -> Result<SignedIn, Stop> {
    let (attempt, wants, received_at) = match course {
        SamlCourse::Asked(attempt) => (Some(&**attempt), Wants::of(attempt), arrival.now),
        SamlCourse::Unasked { client, return_to, received_at } => {
            let (client, return_to) = (Some(*client), return_to.as_deref());
            (None, Wants { client, return_to, return_of: client, carried: &NOTHING, home: None }, *received_at)
        }
    };
    let mut connection = arrival.connection.clone();
    let mut is_marked = false;
    for _ in 0..ROUNDS {
        let (outcome, trail) = verify_saml(app, &connection, attempt, response.clone(), received_at).await?;
        journey.trail = trail;
        let assertion = match outcome {
            Ok(assertion) => assertion,
            Err(reason) => {
                if let Some(fresh) = reread(app, &connection, reason.code, arrival.now).await? {
                    connection = fresh;
                    continue;
                }
                return Err(refuse(app, journey, &connection, None, &mut Notes::default(), reason).await?);
            }
        };
        // A held one is good for a yes until the question lapses, so it is remembered as much longer.
        let expires_at = assertion.valid_until + held_for(app, attempt);
        let used = UsedAssertion { digest: digest(&assertion), expires_at };
        let identity = match VerifiedIdentity::from_saml(connection.id, assertion) {
            Ok(identity) => identity,
            Err(reason) => return Err(refuse(app, journey, &connection, None, &mut Notes::default(), reason).await?),
        };
        // Replay (SAML Profiles, 4.1.4.5): remembered for as long as the same assertion would be accepted.
        if !is_marked && !mark(app, &connection, &used, arrival.now).await? {
            return Err(
                refuse(app, journey, &connection, Some(&identity), &mut Notes::default(), Reason::replayed()).await?
            );
        }
        is_marked = true;
        let unsolicited = attempt.is_none().then_some(used);
        match conclude(app, arrival, journey, &connection, &identity, unsolicited, wants).await? {
            Some(signed_in) => return Ok(signed_in),
            None => connection = fresh(app, &connection).await?,
        }
    }
    Err(Reason::connection_changed().into())
}

/// Completes an OpenID Connect sign-in. The code can be redeemed once only, so that the connection is looked at before.
pub async fn openid(
    app: &App,
    arrival: &Return,
    attempt: Attempt,
    answer: Vec<(String, String)>,
) -> Result<SignedIn, Stopped> {
    let reference = arrival.reference.clone();
    let mut journey = Journey::new(app, &arrival.connection, Some(&attempt), false, reference, arrival.now);
    let done = take_answer(app, arrival, &attempt, answer, &mut journey).await;
    done.map_err(|stop| Stopped { client: journey.shown(), stop })
}

async fn take_answer(
    app: &App,
    arrival: &Return,
    attempt: &Attempt,
    answer: Vec<(String, String)>,
    journey: &mut Journey,
) -> Result<SignedIn, Stop> {
    let connection = match current(app, &arrival.connection, attempt.client).await? {
        Ok(connection) => connection,
        Err(reason) => {
            return Err(refuse(app, journey, &arrival.connection, None, &mut Notes::default(), reason).await?);
        }
    };
    let party = party::of(app, &connection).await?;
    let handshake = attempt.handshake.as_ref().ok_or_else(Reason::attempt_unknown)?;
    let verified = match Callback::read(answer) {
        Ok(callback) => oidc::complete(app, &party, handshake, &callback, attempt.started_at, &mut journey.trail).await,
        Err(error) => Err(error),
    };
    let identity = match verified {
        Ok(verified) => VerifiedIdentity::from_oidc(connection.id, verified),
        Err(error) => {
            let reason = Reason::protocol(error.code(), error.fix_side(), error.to_string());
            return Err(refuse(app, journey, &connection, None, &mut Notes::default(), reason).await?);
        }
    };
    match conclude(app, arrival, journey, &connection, &identity, None, Wants::of(attempt)).await? {
        Some(signed_in) => Ok(signed_in),
        None => {
            let reason = Reason::connection_changed();
            Err(refuse(app, journey, &connection, Some(&identity), &mut Notes::default(), reason).await?)
        }
    }
}

/// The connection as it is now, or why nobody may sign in by it.
async fn current(
    app: &App,
    connection: &Arc<ConnectionFacts>,
    client: Option<ClientId>,
) -> Result<Result<Arc<ConnectionFacts>, Reason>, Fault> {
    let Some(door) = store::door(&app.db, connection.owner, connection.id, client).await? else {
        return Ok(Err(Reason::connection_closed()));
    };
    if let Err(reason) = door.check(client) {
        return Ok(Err(reason));
    }
    let found = app.connections.at_version(app, connection.id, door.version).await?;
    Ok(found.ok_or_else(Reason::connection_closed))
}

/// Records an answer that fits no attempt, or that is refused before anything of it is read. The caller knows whose page
/// says so.
pub async fn unmatched(app: &App, arrival: &Return, reason: Reason) -> Result<Stop, Fault> {
    let by_idp = reason.code == "login.saml.unsolicited";
    let journey = Journey::new(app, &arrival.connection, None, by_idp, arrival.reference.clone(), arrival.now);
    refuse(app, &journey, &arrival.connection, None, &mut Notes::default(), reason).await
}

/// Finishes and begins the session. `None` when the connection changed meanwhile.
pub(super) async fn conclude(
    app: &App,
    arrival: &Return,
    journey: &mut Journey,
    connection: &ConnectionFacts,
    identity: &VerifiedIdentity,
    unsolicited: Option<UsedAssertion>,
    wants: Wants<'_>,
) -> Result<Option<SignedIn>, Stop> {
    let Some(client) = lead(app, journey, connection, identity, wants.client).await? else { return Ok(None) };
    let (journey, reference) = (&*journey, arrival.reference.as_str());
    let course = Course { connection, client, reference, now: arrival.now, unsolicited, carried: wants.carried };
    let record =
        |notes: &Notes, reason: Option<&Reason>| journey.record(app, connection, Some(identity), notes, reason);
    let mut notes = Notes::default();
    let finished = match finish::finish(app, identity, &course, &mut notes, &record).await {
        Ok(finished) => finished,
        Err(Unfinished::Stale { .. }) => return Ok(None),
        Err(Unfinished::Stop(Stop::Fault(fault))) => return Err(fault.into()),
        Err(Unfinished::Stop(Stop::Refused(reason))) => {
            return Err(refuse(app, journey, connection, Some(identity), &mut notes, reason).await?);
        }
    };
    metrics::counter!("usher_sign_ins").increment(1);
    tracing::info!(
        client.id = %client, connection.id = %connection.id, learner.id = %finished.learner, "signed in"
    );
    let return_to = wants.return_to.filter(|_| wants.return_of.is_none_or(|of| of == client));
    let place = Place { return_to, home: wants.home };
    match let_in(app, arrival, connection, identity, finished, place).await? {
        Some(signed_in) => Ok(Some(signed_in)),
        // The record stands: the learner was let in, and the identity provider's word came between.
        None => Err(Reason::ended_by_idp().into()),
    }
}

/// Records a refusal, ends the sessions that must end with it, and hands back the reason.
pub(super) async fn refuse(
    app: &App,
    journey: &Journey,
    connection: &ConnectionFacts,
    identity: Option<&VerifiedIdentity>,
    notes: &mut Notes,
    reason: Reason,
) -> Result<Stop, Fault> {
    if let Some(learner) = notes.sessions_end.take() {
        let mut tx = app.begin().await?;
        learners::store::bump_session_epoch(&mut tx, journey.client(), learner, journey.now()).await?;
        app.commit(tx).await?;
        sessions::end_all_of_learner(app, journey.client(), learner).await?;
    }
    journey.write_refusal(app, connection, identity, notes, &reason).await?;
    Ok(Stop::Refused(reason))
}

fn digest(assertion: &VerifiedAssertion) -> [u8; 32] {
    crypto::sha256(format!("{}\n{}", assertion.issuer, assertion.assertion_id).as_bytes())
}

/// How long an unsolicited response may wait for the learner's yes.
fn held_for(app: &App, attempt: Option<&Attempt>) -> chrono::Duration {
    match attempt {
        Some(_) => chrono::Duration::zero(),
        None => chrono::Duration::from_std(app.settings.login.attempt_ttl).unwrap_or_default(),
    }
}

/// False when the assertion was seen before, on any replica.
async fn mark(
    app: &App,
    connection: &ConnectionFacts,
    used: &UsedAssertion,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let name = format!("{}:{}", connection.id, URL_SAFE_NO_PAD.encode(used.digest));
    let left = (used.expires_at - now).to_std().unwrap_or_default().max(Duration::from_secs(1));
    Ok(app.cache.put_new(&Key::of_client(connection.owner, "assertion", name), b"1", left).await?)
}

/// The connection as PostgreSQL has it now, or a refusal where it is gone.
pub(super) async fn fresh(app: &App, connection: &ConnectionFacts) -> Result<Arc<ConnectionFacts>, Stop> {
    let found = app.connections.reload(app, connection.id).await?;
    found.ok_or_else(|| Reason::connection_closed().into())
}

/// A verified response that waits for the learner's yes: whose it is, and by which state of the connection.
pub struct Seen {
    pub connection: Arc<ConnectionFacts>,
    pub identity: VerifiedIdentity,
    pub client: ClientId,
}

/// Verifies a response without finishing anything: for "Continue as X to Y".
pub async fn look_at_saml(app: &App, arrival: &Return, response: Arc<[u8]>) -> Result<Seen, Stopped> {
    let mut journey = Journey::new(app, &arrival.connection, None, true, arrival.reference.clone(), arrival.now);
    let done = look(app, arrival, response, &mut journey).await;
    done.map_err(|stop| Stopped { client: journey.shown(), stop })
}

async fn look(app: &App, arrival: &Return, response: Arc<[u8]>, journey: &mut Journey) -> Result<Seen, Stop> {
    let mut connection = arrival.connection.clone();
    for _ in 0..ROUNDS {
        let (outcome, trail) = verify_saml(app, &connection, None, response.clone(), arrival.now).await?;
        journey.trail = trail;
        let identity = match outcome.and_then(|assertion| VerifiedIdentity::from_saml(connection.id, assertion)) {
            Ok(identity) => identity,
            Err(reason) => match reread(app, &connection, reason.code, arrival.now).await? {
                Some(fresh) => {
                    connection = fresh;
                    continue;
                }
                None => return Err(refuse(app, journey, &connection, None, &mut Notes::default(), reason).await?),
            },
        };
        match lead(app, journey, &connection, &identity, None).await? {
            Some(client) => return Ok(Seen { connection, identity, client }),
            None => connection = fresh(app, &connection).await?,
        }
    }
    Err(Reason::connection_changed().into())
}

/// Leads the journey to the client that it is for; `None` where the connection has changed.
async fn lead(
    app: &App,
    journey: &mut Journey,
    connection: &ConnectionFacts,
    identity: &VerifiedIdentity,
    asked: Option<ClientId>,
) -> Result<Option<ClientId>, Stop> {
    let person = (identity.claims(), identity.subject());
    match choice::choose(app, connection, &connection.mapping, person, asked).await? {
        Choice::Of(client) => {
            journey.lead_to(client);
            Ok(Some(client))
        }
        Choice::Stale => Ok(None),
        Choice::Refused { reason, whose } => {
            if let Some(client) = whose {
                journey.belongs_to(client);
            }
            Err(refuse(app, journey, connection, Some(identity), &mut Notes::default(), reason).await?)
        }
    }
}
