//! Which client a sign-in is for: the connection's owner, or, where the connection serves several clients, the one that
//! the verified claims name. Decided before anything of any client is read; the start page only narrows it down.

use super::{
    reason::{Advice, Door, Reason},
    store_choice::{self, Listed},
    trail::FixSide,
};
use crate::{
    app::App,
    claims::{Claims, ClientNames, CompiledMapping, ConnectionFacts as MappingConnection, Refusal, comparable_name},
    clients::Site,
    connections::ConnectionFacts,
    fault::Fault,
    ids::ClientId,
};

/// Whom a sign-in is for.
pub enum Choice {
    Of(ClientId),
    /// Nobody; `whose` it is where the claims say that all the same.
    Refused {
        reason: Reason,
        whose: Option<ClientId>,
    },
    /// The connection has changed since its facts were loaded.
    Stale,
}

impl Choice {
    const fn refused(reason: Reason) -> Self {
        Self::Refused { reason, whose: None }
    }
}

/// Chooses. `asked` is the client whose page began the sign-in, or to which the learner has said yes.
pub async fn choose(
    app: &App,
    connection: &ConnectionFacts,
    mapping: &CompiledMapping,
    (claims, subject): (&Claims, &str),
    asked: Option<ClientId>,
) -> Result<Choice, Fault> {
    let is_owners = !connection.is_shared();
    if is_owners && asked.is_none_or(|asked| asked == connection.owner) {
        // Whether this is still so is asked again where everything of the client is read.
        return Ok(Choice::Of(connection.owner));
    }
    let named = MappingConnection {
        id: &connection.id.to_string(),
        name: &connection.name,
        protocol: connection.protocol.as_str(),
    };
    let names = mapping.client_names(claims, subject, named);
    let looked_for = if let Some(ClientNames::Some(names)) = &names { names.as_slice() } else { &[] };
    let found =
        store_choice::listed_among(&mut *app.acquire().await?, connection.owner, connection.id, looked_for).await?;
    let Some((version, listed)) = found else { return Ok(Choice::refused(Reason::connection_closed())) };
    if version != connection.version {
        return Ok(Choice::Stale);
    }
    Ok(match names {
        None => Choice::refused(Reason::client_unsaid("the mapping has no `client`")),
        Some(ClientNames::Failed(message)) => {
            Choice::refused(Reason::mapping(&Refusal { code: "mapping.expression", message }))
        }
        Some(ClientNames::None(why)) => Choice::refused(Reason::client_unsaid(&why)),
        Some(ClientNames::Some(names)) => {
            let named = named_by(&names, &listed);
            match decide(&named, asked) {
                Ok(client) => Choice::Of(client),
                Err([]) => Choice::refused(Reason::client_not_listed(names.len())),
                Err(others) => {
                    let whose = if let [only] = others { Some(*only) } else { None };
                    Choice::Refused { reason: elsewhere(app, connection, others).await?, whose }
                }
            }
        }
    })
}

/// The clients that the names lead to: a slug before a sku, and of skus that differ in case alone none.
fn named_by(names: &[String], listed: &[Listed]) -> Vec<ClientId> {
    let mut found = Vec::new();
    for name in names {
        let by_slug = listed.iter().find(|one| one.slug == *name);
        let mut by_sku =
            listed.iter().filter(|one| one.sku.as_deref().is_some_and(|sku| comparable_name(sku) == *name));
        let one = match (by_slug, by_sku.next(), by_sku.next()) {
            (Some(one), ..) | (None, Some(one), None) => one.client,
            _ => continue,
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// The one that was asked for, if it is named; the only one, if none was asked for; else those that are named.
fn decide(named: &[ClientId], asked: Option<ClientId>) -> Result<ClientId, &[ClientId]> {
    match (named, asked) {
        (_, Some(asked)) if named.contains(&asked) => Ok(asked),
        ([only], None) => Ok(*only),
        _ => Err(named),
    }
}

/// The start of each client that the person belongs to.
async fn elsewhere(app: &App, connection: &ConnectionFacts, others: &[ClientId]) -> Result<Reason, Fault> {
    const SHOWN: usize = 10;
    let mut doors = Vec::new();
    for client in others.iter().take(SHOWN) {
        let facts = app.clients.now(&app.db, *client).await?;
        let href = Site::of(app, &facts).path(&format!("/login/{}", connection.id));
        doors.push(Door { name: facts.name.clone(), href });
    }
    Ok(Reason {
        code: "login.client.other",
        side: FixSide::Learner,
        explanation: format!(
            "The claims name {} of the connection's clients, and the sign-in began at another one or left it open. The learner continues at their own.",
            others.len()
        ),
        advice: Advice::Elsewhere(doors),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ClientId {
        ClientId::from(Uuid::from_u128(number))
    }

    fn listed(number: u128, slug: &str, sku: Option<&str>) -> Listed {
        Listed { client: id(number), slug: slug.into(), sku: sku.map(str::to_owned) }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_is_a_slug_before_it_is_a_sku() {
        let all = [listed(1, "north", Some("south")), listed(2, "south", Some("S-2")), listed(3, "west", Some("s-3"))];
        assert_eq!(named_by(&names(&["south"]), &all), [id(2)]);
        assert_eq!(named_by(&names(&["s-3", "north", "nobody"]), &all), [id(3), id(1)]);
        let alike = [listed(1, "a", Some("X-1")), listed(2, "b", Some("x-1"))];
        assert!(named_by(&names(&["x-1"]), &alike).is_empty());
    }

    #[test]
    fn where_it_began_decides_only_among_what_the_claims_name() {
        assert_eq!(decide(&[id(1)], None), Ok(id(1)));
        assert_eq!(decide(&[id(1), id(2)], Some(id(2))), Ok(id(2)));
        assert_eq!(decide(&[id(1)], Some(id(2))), Err(&[id(1)][..]));
        assert_eq!(decide(&[id(1), id(2)], None), Err(&[id(1), id(2)][..]));
        assert_eq!(decide(&[], Some(id(1))), Err(&[][..]));
        assert_eq!(decide(&[], None), Err(&[][..]));
    }
}
