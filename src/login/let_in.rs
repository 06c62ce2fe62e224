//! The session at the end of a sign-in: begun where the identity provider answered, or by a ticket on the client's own host.

use super::{
    complete::Return,
    finish::Finished,
    identity::VerifiedIdentity,
    reason::Stop,
    ticket::{self, Home},
};
use crate::{
    app::App,
    clients::Site,
    connections::ConnectionFacts,
    http::notice,
    sessions::{self, Beginning, Session, SessionToken},
};

/// Where the learner is to be.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// A checked address of the client's site, without what begins it.
    pub return_to: Option<&'a str>,
    /// The client's own host that it began on.
    pub home: Option<&'a Home>,
}

/// A learner who is in.
pub struct SignedIn {
    pub site: Site,
    /// None where the session is to begin on the client's own host.
    pub token: Option<SessionToken>,
    /// Where to go: a page of the client, or with a ticket to its own host.
    pub address: String,
}

/// Begins the session of a finished sign-in, or makes the ticket that begins it on the client's own host. `None` where the identity provider has ended its session while the sign-in was finishing.
pub(super) async fn let_in(
    app: &App,
    arrival: &Return,
    connection: &ConnectionFacts,
    identity: &VerifiedIdentity,
    finished: Finished,
    place: Place<'_>,
) -> Result<Option<SignedIn>, Stop> {
    let Finished { learner, session_epoch, client, notices } = finished;
    let longest = arrival.now
        + chrono::Duration::from_std(client.session_absolute).unwrap_or_else(|_| chrono::Duration::hours(12));
    let session = Session {
        learner,
        epoch: session_epoch,
        began_at: arrival.now,
        ends_at: identity.idp_session_ends_at().map_or(longest, |end| end.min(longest)),
        idp: Some(identity.session_at_idp(&app.sealer, &app.entropy, connection.owner, arrival.browser.as_ref())?),
    };
    let return_to = match (notices.as_slice(), place.return_to) {
        ([], Some(wanted)) => wanted.to_owned(),
        ([], None) => "/dashboard".to_owned(),
        _ => notice::dashboard(&notice::keep(app, client.id, learner, &notices).await?),
    };
    // A host that is the client's no more gets no ticket; the learner lands where every client's pages are.
    let at_home = place.home.and_then(|home| Some((home, Site::back_at(app, &client, Some(&home.host))?)));
    if let Some((home, site)) = at_home {
        let address = ticket::issue(app, &site, home, (connection.id, &session), &return_to).await?;
        return Ok(Some(SignedIn { site, token: None, address }));
    }
    let replaces = arrival.cookie.token(app, client.id);
    let beginning =
        Beginning { client: client.id, session: &session, idle: client.session_idle, replaces: replaces.as_ref() };
    let Some(token) = sessions::begin(app, &beginning, arrival.now).await? else { return Ok(None) };
    let site = Site::on_base(app, &client);
    let address = site.path(&return_to);
    Ok(Some(SignedIn { site, token: Some(token), address }))
}
