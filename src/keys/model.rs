//! What is rotated, who holds which key, and the pure rule for when a key may leave the ring.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Duration, Utc};

use crate::{crypto::KeyName, ids::ReplicaId};

/// One kind of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Client secrets and private keys of connections.
    Connections,
    /// Claims of attempts.
    Claims,
    /// Links of mails that wait.
    Links,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Connections, Self::Links, Self::Claims];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Claims => "claims",
            Self::Links => "links",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == text)
    }

    /// The columns that it covers, as `table.column`.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Connections => &["connections.secret_sealed", "connection_keys.private_key_sealed"],
            Self::Claims => &["attempts.claims_sealed"],
            Self::Links => &["mails.link_sealed"],
        }
    }
}

/// What a running replica says of its ring.
#[derive(Debug, Clone)]
pub struct Announced {
    pub replica: ReplicaId,
    pub ring: Vec<KeyName>,
    /// The key that it seals with.
    pub seals: KeyName,
    pub seen_at: DateTime<Utc>,
}

/// The walk over one part, as far as it came.
#[derive(Debug, Clone)]
pub struct Pass {
    pub part: Part,
    pub key: KeyName,
    /// Rows looked at, values sealed anew, values that did not open.
    pub passed: u64,
    pub resealed: u64,
    pub unopened: u64,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Whether a key may leave the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It seals.
    Seals,
    /// It is to seal once every replica holds it.
    Waits,
    /// Replicas still seal with it.
    Replicas(usize),
    /// Values are still under it.
    Values(u64),
    /// No rotation to the key that seals has come to its end.
    Rotate,
    /// What is short-lived may still be under it until then.
    At(DateTime<Utc>),
    Now,
}

/// One key, and what hangs on it.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    pub number: u8,
    /// `None`: it is not on the ring, and what is under it does not open.
    pub name: Option<KeyName>,
    pub values: BTreeMap<Part, u64>,
    pub leave: Leave,
}

/// What the rule for leaving looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub first: KeyName,
    pub sealing: KeyName,
    pub replicas: &'a [Announced],
    pub passes: &'a [Pass],
    /// How long anything sealed outside PostgreSQL can matter.
    pub short_lived: Duration,
    pub now: DateTime<Utc>,
}

impl Facts<'_> {
    /// Whether this key of the ring may leave, with so many values under it.
    pub fn leave(&self, key: KeyName, values: u64) -> Leave {
        let sealing = self.replicas.iter().filter(|replica| replica.seals == key).count();
        if key == self.sealing && key == self.first {
            return Leave::Seals;
        }
        if key == self.first {
            return Leave::Waits;
        }
        if sealing > 0 || key == self.sealing {
            return Leave::Replicas(sealing);
        }
        if values > 0 {
            return Leave::Values(values);
        }
        let done = |part| {
            let pass = self.passes.iter().find(|pass| pass.part == part && pass.key == self.first)?;
            pass.finished_at.map(|_| pass.started_at)
        };
        // A walk begins when every replica seals with the new key; from then on nothing new came under the old one.
        let Some(began) = Part::ALL.into_iter().map(done).collect::<Option<Vec<_>>>() else { return Leave::Rotate };
        let free_at = began.into_iter().max().map_or(self.now, |began| began + self.short_lived);
        if self.now < free_at { Leave::At(free_at) } else { Leave::Now }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seals => f.write_str("seals"),
            Self::Waits => f.write_str("is to seal, and waits until every replica holds it"),
            Self::Replicas(count) => write!(f, "must stay: {count} replicas still seal with it"),
            Self::Values(count) => write!(f, "must stay: {count} values are under it; run usher keys rotate"),
            Self::Rotate => f.write_str("must stay until usher keys rotate has come to its end"),
            Self::At(at) => {
                write!(f, "may leave the ring at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))?;
                f.write_str(", when the last session and hand-over that it may have sealed is over")
            }
            Self::Now => f.write_str("may leave the ring"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> KeyName {
        format!("{number}-00000001").parse().expect("a name")
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).expect("a time")
    }

    fn replica(seals: u8) -> Announced {
        let replica = ReplicaId::from(uuid::Uuid::nil());
        Announced { replica, ring: vec![key(2), key(1)], seals: key(seals), seen_at: at(0) }
    }

    fn passes(finished: bool) -> Vec<Pass> {
        let pass = |part| Pass {
            part,
            key: key(2),
            passed: 1,
            resealed: 1,
            unopened: 0,
            started_at: at(0),
            finished_at: finished.then(|| at(1)),
        };
        Part::ALL.into_iter().map(pass).collect()
    }

    #[test]
    fn an_old_key_leaves_only_when_nobody_seals_with_it_nothing_is_under_it_and_the_short_lived_is_gone() {
        let (one, two, done, halfway) = ([replica(1)], [replica(2)], passes(true), passes(false));
        let facts = |replicas, passes, now| Facts {
            first: key(2),
            sealing: key(2),
            replicas,
            passes,
            short_lived: Duration::minutes(60),
            now,
        };
        assert_eq!(facts(&two[..], &done[..], at(5)).leave(key(2), 9), Leave::Seals);
        assert_eq!(facts(&one[..], &done[..], at(90)).leave(key(1), 0), Leave::Replicas(1));
        assert_eq!(facts(&two[..], &done[..], at(90)).leave(key(1), 3), Leave::Values(3));
        assert_eq!(facts(&two[..], &halfway[..], at(90)).leave(key(1), 0), Leave::Rotate);
        assert_eq!(facts(&two[..], &[][..], at(90)).leave(key(1), 0), Leave::Rotate);
        assert_eq!(facts(&two[..], &done[..], at(59)).leave(key(1), 0), Leave::At(at(60)));
        assert_eq!(facts(&two[..], &done[..], at(60)).leave(key(1), 0), Leave::Now);
        let waiting = Facts { sealing: key(1), ..facts(&one[..], &[][..], at(0)) };
        assert_eq!((waiting.leave(key(2), 0), waiting.leave(key(1), 0)), (Leave::Waits, Leave::Replicas(1)));
    }
}
