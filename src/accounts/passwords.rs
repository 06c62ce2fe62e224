//! Passwords: judged before they are taken, hashed with argon2id on a bounded queue, verified at a cost that does not
//! tell whether there was anything to compare with. Nothing is cut off, and one spelling is one password.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use zeroize::Zeroizing;
use zxcvbn::Score;

use crate::{app::App, config::AccountsSettings, entropy::Entropy, fault::Fault, work::Bounded};

/// The fewest characters. Together with [`LEAST_SCORE`] it keeps out what is guessed within a stolen hash's reach.
pub const LEAST_LENGTH: usize = 10;
/// The most characters: a sentence fits, and hashing stays bounded.
pub const MOST_LENGTH: usize = 128;
/// "Safely unguessable: moderate protection from offline slow-hash scenario", in the words of zxcvbn.
const LEAST_SCORE: Score = Score::Three;
/// How much is judged at once: what it costs grows faster than the length, by far where many letters could stand for
/// others, and whoever signs up chooses the password.
const JUDGED: usize = 24;

/// A password's argon2id hash in the PHC form. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub(super) const fn stored(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PasswordHash")
    }
}

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("the password is shorter than {LEAST_LENGTH} characters")]
    TooShort,
    #[error("the password is longer than {MOST_LENGTH} characters")]
    TooLong,
    #[error("the password is easy to guess")]
    Guessable,
}

/// Where passwords are hashed: so many at once, so many waiting, and the rest is told to come back.
pub struct Passwords {
    queue: Bounded,
    params: Params,
    comparisons: Arc<AtomicU64>,
}

impl Passwords {
    /// With the cost that the settings name.
    pub fn new(settings: &AccountsSettings) -> Result<Self, Fault> {
        let params = Params::new(settings.hash_memory_kib, settings.hash_passes, 1, None)
            .map_err(|error| Fault::Start(format!("accounts.hash_memory_kib, hash_passes: {error}")))?;
        let queue = Bounded::new("passwords", settings.hash_threads, settings.hash_queue);
        Ok(Self { queue, params, comparisons: Arc::default() })
    }

    /// How often a password was compared with a hash, since the start: what a refusal costs is told by this, and must
    /// not depend on what there was to compare with.
    pub fn comparisons(&self) -> u64 {
        self.comparisons.load(Ordering::Relaxed)
    }
}

/// One spelling for what a person types on any keyboard (RFC 8265, section 4.2.1, OpaqueString): NFC, and every blank
/// is the plain one. Letters keep their case.
fn normal(password: &SecretString) -> Zeroizing<String> {
    let text = password.expose_secret();
    let blank = |letter: char| if letter.is_whitespace() && !letter.is_control() { ' ' } else { letter };
    Zeroizing::new(text.nfc().map(blank).collect())
}

/// What an attacker would try first for this person: parts of their names and address, and the client's name.
pub fn hints(first_name: &str, last_name: &str, email: &str, client_name: &str) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.chars().count() > 2)
            .map(str::to_owned)
            .collect()
    };
    let mut hints: Vec<String> = [first_name, last_name, email, client_name].into_iter().flat_map(words).collect();
    hints.extend([email, client_name].map(str::to_owned));
    hints.extend(email.split('@').map(str::to_owned));
    let typed: Vec<String> =
        hints.iter().flat_map(|hint| spellings(hint)).filter(|hint| !hints.contains(hint)).collect();
    hints.extend(typed);
    hints.truncate(96);
    hints
}

/// How a word with accents is typed where a keyboard has none: `Müller` as `Muller` and as `Mueller`.
fn spellings(word: &str) -> [String; 2] {
    let plain = |text: &str| text.nfkd().filter(|letter| !is_combining_mark(*letter)).collect::<String>();
    let word: String = word.nfc().collect::<String>().to_lowercase();
    let german = word.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss");
    [plain(&word), plain(&german)]
}

/// Whether a password may be chosen, `hints` being what others know of the person.
pub fn judge(password: &SecretString, hints: &[String]) -> Result<(), Weak> {
    // Bytes first: what is far too long is not even normalised.
    if password.expose_secret().len() > 16 * MOST_LENGTH {
        return Err(Weak::TooLong);
    }
    let password = normal(password);
    match password.chars().count() {
        length if length < LEAST_LENGTH => Err(Weak::TooShort),
        length if length > MOST_LENGTH => Err(Weak::TooLong),
        _ => {
            if is_made_of(&password, hints) {
                return Err(Weak::Guessable);
            }
            let hints: Vec<&str> = hints.iter().map(String::as_str).collect();
            let is_good = |part: &str| zxcvbn::zxcvbn(part, &hints).score() >= LEAST_SCORE;
            // A password is at least as good as its beginning, or its end.
            let letters: Vec<char> = password.chars().collect();
            let begin: Zeroizing<String> = Zeroizing::new(letters.iter().take(JUDGED).collect());
            let end: Zeroizing<String> =
                Zeroizing::new(letters.iter().skip(letters.len().saturating_sub(JUDGED)).collect());
            if is_good(&begin) || (letters.len() > JUDGED && is_good(&end)) { Ok(()) } else { Err(Weak::Guessable) }
        }
    }
}

/// Whether little is left of a password without what others know of the person. The judge below takes several known
/// words in a row for more than they are.
fn is_made_of(password: &str, hints: &[String]) -> bool {
    let mut rest = password.to_lowercase();
    let mut words: Vec<String> = hints.iter().map(|hint| hint.to_lowercase()).filter(|hint| hint.len() > 2).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words {
        rest = rest.replace(&word, "");
    }
    rest.chars().filter(|letter| letter.is_alphanumeric()).count() < LEAST_LENGTH / 2
}

/// [`judge`] beside the threads that serve: a long password takes a while.
pub async fn judged(app: &App, password: &SecretString, hints: Vec<String>) -> Result<Result<(), Weak>, Fault> {
    let password = password.clone();
    app.passwords.queue.run(move || judge(&password, &hints)).await
}

/// Hashes a password that was judged.
pub async fn hash(app: &App, password: SecretString) -> Result<PasswordHash, Fault> {
    let argon = argon(&app.passwords.params);
    let salt: [u8; 16] = app.entropy.bytes();
    let work = move || argon.hash_password_with_salt(normal(&password).as_bytes(), &salt).map(|hash| hash.to_string());
    let hashed = app.passwords.queue.run(work).await?;
    hashed.map(PasswordHash).map_err(|error| Fault::Corrupt(format!("a password did not hash: {error}")))
}

/// Which of the candidates the password fits, tried in order. A candidate that is not there costs as much as one that
/// is, so that a failure always takes the same time.
pub async fn verify(
    app: &App,
    candidates: Vec<Option<PasswordHash>>,
    password: &SecretString,
) -> Result<Option<usize>, Fault> {
    if password.expose_secret().len() > 16 * MOST_LENGTH {
        return Ok(None);
    }
    let stand_in = stand_in(&app.passwords.params, &app.entropy)?;
    let (password, argon) = (password.clone(), argon(&app.passwords.params));
    let comparisons = app.passwords.comparisons.clone();
    let work = move || {
        let password = normal(&password);
        candidates.iter().position(|candidate| {
            let hash = candidate.as_ref().map_or(stand_in.as_str(), PasswordHash::as_str);
            comparisons.fetch_add(1, Ordering::Relaxed);
            let fits = argon.verify_password(password.as_bytes(), hash).is_ok();
            fits && candidate.is_some()
        })
    };
    app.passwords.queue.run(work).await
}

/// Whether a hash costs less or more than the settings ask for by now.
pub(super) fn is_outdated(app: &App, hash: &PasswordHash) -> bool {
    let params = phc::PasswordHash::new(hash.as_str()).ok().and_then(|parsed| Params::try_from(&parsed).ok());
    let wanted = &app.passwords.params;
    params.is_none_or(|found| {
        (found.m_cost(), found.t_cost(), found.p_cost()) != (wanted.m_cost(), wanted.t_cost(), wanted.p_cost())
    })
}

fn argon(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

/// A hash of nothing: comparing with it costs what comparing with a real one does.
fn stand_in(params: &Params, entropy: &Entropy) -> Result<String, Fault> {
    let broken = |error: &dyn fmt::Display| Fault::Corrupt(format!("a stand-in for a password hash: {error}"));
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|error| broken(&error))?,
        salt: Some(Salt::new(&entropy.bytes::<16>()).map_err(|error| broken(&error))?),
        hash: Some(Output::new(&entropy.bytes::<32>()).map_err(|error| broken(&error))?),
    };
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge_plain(text: &str) -> Result<(), Weak> {
        judge(&text.to_owned().into(), &hints("Zoë", "Müller", "zoe.mueller@acme.example", "Globex Learning"))
    }

    #[test]
    fn short_long_and_common_passwords_are_refused_and_a_sentence_is_taken() {
        assert_eq!(judge_plain("k4#Lp!9xz"), Err(Weak::TooShort));
        assert_eq!(judge_plain(&"aB3$".repeat(33)), Err(Weak::TooLong));
        for common in ["password123", "qwertyuiop12", "aaaaaaaaaaaaaaa", "1234567890", "iloveyou2024"] {
            assert_eq!(judge_plain(common), Err(Weak::Guessable), "{common}");
        }
        for good in ["correct horse battery staple", "Tz7!mKq2#vLp", "zwölf Kühe grasen im Nebel"] {
            assert_eq!(judge_plain(good), Ok(()), "{good}");
        }
        assert_eq!(
            judge_plain(&"öÄ7 kühne Wörter! ".repeat(7)),
            Ok(()),
            "nothing near the limit is cut off or refused"
        );
    }

    #[test]
    fn a_long_password_that_could_be_read_in_a_thousand_ways_is_judged_at_once() {
        let leet: String = "4@8({[<369&#!1/|0$5+7%2xz".repeat(6).chars().take(MOST_LENGTH).collect();
        assert_eq!(judge_plain(&leet), Ok(()));
        let common = "password".repeat(MOST_LENGTH / 8);
        assert_eq!(judge_plain(&common), Err(Weak::Guessable));
        assert_eq!(judge_plain(&format!("{}{}", "a".repeat(30), "b".repeat(30))), Err(Weak::Guessable));
    }

    #[test]
    fn what_others_know_of_the_person_is_no_password() {
        for known in ["zoemueller1", "mueller-zoe", "zoe.mueller@acme.example", "globexlearning", "Globex Learning 1"] {
            assert_eq!(judge_plain(known), Err(Weak::Guessable), "{known}");
        }
    }

    #[test]
    fn one_password_typed_on_two_keyboards_is_one_password() {
        let spell = |text: &str| normal(&text.to_owned().into()).to_string();
        assert_eq!(spell("Mu\u{308}nchen\u{a0}leuchtet"), spell("München leuchtet"));
        assert_ne!(spell("München"), spell("münchen"));
    }

    #[test]
    fn a_hash_does_not_print() {
        assert_eq!(format!("{:?}", PasswordHash::stored("$argon2id$x".into())), "PasswordHash");
    }
}
