//! What a person brings to a sign-in besides their claims: codes, and an invite. Used in the sign-in's own transaction,
//! for the learner whom the claims made or found; a refused sign-in uses up nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{finish::Course, plan::Bringing, reason::Reason};
use crate::{
    access::{By, Ledger},
    app::App,
    audit::Actor,
    clients::ClientFacts,
    codes::{self, CodeOutcome, CodeResult, CodeText, RedeemOrder},
    fault::Fault,
    http::notice::{Notice, Tone},
    http::text::redeem as words,
    ids::{InviteId, LearnerId, SublicenseId},
    invites::{self, Accepted, How, NotAccepted},
    learners::{self, EmailAddress},
};

/// What an attempt carries to the identity provider and back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub codes: Vec<CodeText>,
    pub invite: Option<InviteId>,
}

impl Carried {
    pub const fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.invite.is_none()
    }

    /// What it stands in for, until it shows that it opens nothing.
    pub const fn counts_as(&self) -> Bringing {
        Bringing { yields: !self.is_empty(), may_create: self.invite.is_some() }
    }
}

/// What became of it.
pub(super) struct Brought<'a> {
    course: &'a Course<'a>,
    client: &'a Arc<ClientFacts>,
    learner: LearnerId,
    by: By,
    verified_email: Option<EmailAddress>,
    /// The invite that was carried.
    invite: Option<Result<Accepted, NotAccepted>>,
    /// The open invite of the learner's verified address.
    by_address: Option<Accepted>,
    codes: Vec<CodeOutcome>,
}

impl<'a> Brought<'a> {
    pub fn new(course: &'a Course<'a>, client: &'a Arc<ClientFacts>, learner: LearnerId) -> Self {
        let by = By { actor: Actor::Idp(course.connection.id), reference: Some(course.reference.to_owned()) };
        Self { course, client, learner, by, verified_email: None, invite: None, by_address: None, codes: Vec::new() }
    }

    /// Accepts the invite that was carried, and the one that waits for the learner's verified address. Before anything
    /// else takes seats: the invite has reserved them.
    pub async fn invite(&mut self, app: &App, conn: &mut PgConnection) -> Result<(), Fault> {
        let (client, now) = (self.client.id, self.course.now);
        if !self.course.carried.is_empty() {
            // Invite, mapping and codes each take seats; all that they could touch is locked in one order first.
            let all: Vec<SublicenseId> = self.client.sublicenses.iter().map(|one| one.id).collect();
            drop(Ledger::open(conn, client, &[self.learner], &all, now).await?);
        }
        let learner = learners::store::lock(conn, client, self.learner).await?;
        let profile = learner.map(|learner| learner.profile).filter(|profile| profile.email_verified);
        self.verified_email = profile.and_then(|profile| profile.email).as_deref().and_then(EmailAddress::parse);
        if let Some(invite) = self.course.carried.invite {
            let how = (How::Sso, &self.by);
            match invites::accept_within(conn, &app.entropy, client, invite, self.learner, how, now).await {
                Err(NotAccepted::Fault(fault)) => return Err(fault),
                outcome => self.invite = Some(outcome),
            }
        }
        if let Some(email) = &self.verified_email {
            let key = email.key();
            self.by_address =
                invites::consume_by_address(conn, &app.entropy, client, self.learner, key, &self.by, now).await?;
        }
        Ok(())
    }

    /// Redeems the codes that were carried or wait for a verified address, after the mapping has granted what it grants: a code that adds nothing is not used up.
    pub async fn codes(&mut self, app: &App, conn: &mut PgConnection) -> Result<(), Fault> {
        if let Some(email) = self.verified_email.clone() {
            // The identity provider may have been the first to vouch for the address.
            let (client, learner, by, now) = (self.client, self.learner, self.by.clone(), self.course.now);
            self.codes = codes::redeem_waiting(conn, &app.entropy, client, learner, email, by, now).await?;
        }
        if self.course.carried.codes.is_empty() {
            return Ok(());
        }
        let order = RedeemOrder {
            client: self.client.clone(),
            learner: self.learner,
            verified_email: self.verified_email.clone(),
            codes: self.course.carried.codes.clone(),
            actor: self.by.actor,
            reference: self.by.reference.clone(),
            now: self.course.now,
        };
        self.codes.extend(codes::redeem_within(conn, &app.entropy, &order).await?);
        Ok(())
    }

    /// Whether an invite was accepted: the one that was carried, or the one of the learner's verified address.
    pub const fn is_invited(&self) -> bool {
        matches!(self.invite, Some(Ok(_))) || self.by_address.is_some()
    }

    /// Whether any of it may have opened something.
    pub fn opened(&self) -> bool {
        let is_open = |outcome: &CodeOutcome| {
            matches!(
                outcome.result,
                CodeResult::Redeemed { .. } | CodeResult::AlreadyHave | CodeResult::AlreadyUsedByYou
            )
        };
        self.is_invited() || self.codes.iter().any(is_open)
    }

    /// Why nothing of it opens anything, for the learner who has no other access.
    pub fn why_not(&self) -> Option<Reason> {
        if let Some(Err(refused)) = &self.invite {
            return Some(Reason::invite(refused));
        }
        let is = |wanted: CodeResult| self.codes.iter().any(|outcome| outcome.result == wanted);
        match self.codes.first() {
            None => None,
            Some(_) if is(CodeResult::SeatsFull) => Some(Reason::code_seats_full()),
            Some(_) if is(CodeResult::Blocked) => Some(Reason::blocked()),
            Some(_) => Some(Reason::codes_open_nothing()),
        }
    }

    /// What the learner is told on their next page.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        let good = |(title, text)| Notice { tone: Tone::Good, title, text };
        match &self.invite {
            Some(Ok(accepted)) if !accepted.was_before => {
                notices.push(good(words::invite_accepted(&self.names(&accepted.sublicenses))));
            }
            Some(Err(refused)) => {
                let (title, text) = words::invite_not_accepted(Reason::invite(refused).message());
                notices.push(Notice { tone: Tone::Warn, title, text });
            }
            Some(Ok(_)) | None => {}
        }
        if let Some(accepted) = &self.by_address {
            notices.push(good(words::invite_accepted(&self.names(&accepted.sublicenses))));
        }
        notices.extend(self.codes.iter().map(|outcome| codes::words::of_outcome(outcome, self.client)));
        notices
    }

    fn names(&self, sublicenses: &[SublicenseId]) -> String {
        codes::words::names(sublicenses, self.client)
    }
}
