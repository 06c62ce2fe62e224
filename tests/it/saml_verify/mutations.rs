//! Whatever is done to a valid response, it is refused or it says the very same: no change of bytes or elements
//! yields another identity.

use std::ops::Range;

use idp_fixtures::{
    saml::ResponseBuilder,
    sign::{DataEncryption, Encryption, Signing},
};
use proptest::{prelude::*, sample::Index, test_runner::Config};
use usher::login::{
    saml::{Expectation, verify_response},
    trail::Trail,
};

use super::{bergshamra_accepts, decryption_keys, expected, response, rsa, sp_key, trusted, verify};

#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    DeleteBytes(Index, usize),
    DuplicateBytes(Index, usize),
    DeleteElement(Index),
    DuplicateElement(Index),
    MoveElement(Index, Index),
    ReplaceElement(Index, Index),
    SwapText(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Change::Flip(i, b)),
        (at(), prop::sample::select(b"<>&\"'/ =:#-a\0".to_vec())).prop_map(|(i, b)| Change::Set(i, b)),
        (at(), 1..40usize).prop_map(|(i, n)| Change::DeleteBytes(i, n)),
        (at(), 1..400usize).prop_map(|(i, n)| Change::DuplicateBytes(i, n)),
        at().prop_map(Change::DeleteElement),
        at().prop_map(Change::DuplicateElement),
        (at(), at()).prop_map(|(i, j)| Change::MoveElement(i, j)),
        (at(), at()).prop_map(|(i, j)| Change::ReplaceElement(i, j)),
        (at(), at()).prop_map(|(i, j)| Change::SwapText(i, j)),
    ]
}

fn elements(xml: &str) -> Vec<Range<usize>> {
    roxmltree::Document::parse(xml)
        .map_or_else(|_| vec![], |d| d.descendants().filter(|n| n.is_element()).map(|n| n.range()).collect())
}

fn texts(xml: &str) -> Vec<Range<usize>> {
    roxmltree::Document::parse(xml)
        .map_or_else(|_| vec![], |d| d.descendants().filter(|n| n.is_text()).map(|n| n.range()).collect())
}

fn apply(xml: Vec<u8>, change: &Change) -> Vec<u8> {
    let spliced = |range: Range<usize>, with: &[u8]| [&xml[..range.start], with, &xml[range.end..]].concat();
    let clip = |at: usize, n: usize| at..(at + n).min(xml.len());
    let text = std::str::from_utf8(&xml).unwrap_or("");
    let (spans, words) = (elements(text), texts(text));
    match change {
        Change::Flip(at, bits) if !xml.is_empty() => {
            let at = at.index(xml.len());
            spliced(at..at + 1, &[xml[at] ^ bits])
        }
        Change::Set(at, byte) if !xml.is_empty() => {
            let at = at.index(xml.len());
            spliced(at..at + 1, &[*byte])
        }
        Change::DeleteBytes(at, n) if !xml.is_empty() => spliced(clip(at.index(xml.len()), *n), b""),
        Change::DuplicateBytes(at, n) if !xml.is_empty() => {
            let range = clip(at.index(xml.len()), *n);
            spliced(range.end..range.end, &xml[range])
        }
        Change::DeleteElement(at) if !spans.is_empty() => spliced(at.get(&spans).clone(), b""),
        Change::DuplicateElement(at) if !spans.is_empty() => {
            let span = at.get(&spans).clone();
            spliced(span.end..span.end, &xml[span])
        }
        Change::MoveElement(from, to) if !spans.is_empty() => {
            let (from, to) = (from.get(&spans).clone(), to.get(&spans).start);
            let piece = xml[from.clone()].to_vec();
            if to <= from.start {
                let without = spliced(from, b"");
                [&without[..to], &piece, &without[to..]].concat()
            } else {
                let whole = spliced(to..to, &piece);
                [&whole[..from.start], &whole[from.end..]].concat()
            }
        }
        Change::ReplaceElement(at, with) if !spans.is_empty() => {
            spliced(at.get(&spans).clone(), &xml[with.get(&spans).clone()])
        }
        Change::SwapText(one, other) if !words.is_empty() => {
            spliced(one.get(&words).clone(), &xml[other.get(&words).clone()])
        }
        _ => xml,
    }
}

fn check(base: &ResponseBuilder, cases: u32, plain: bool) {
    let (certificates, ours) = (trusted(&[&rsa()]), decryption_keys());
    let expectation = Expectation { allow_cbc_unsigned_response: true, ..expected(&certificates, &ours) };
    let original = base.build().unwrap().xml;
    let genuine = verify(&original, &expectation).unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    proptest!(config, |(changes in prop::collection::vec(change(), 1..4))| {
        let bytes = changes.iter().fold(original.clone().into_bytes(), apply);
        if let Ok(verified) = verify_response(&bytes, &expectation, &mut Trail::new()) {
            prop_assert_eq!(&verified, &genuine);
            if plain {
                prop_assert!(bergshamra_accepts(std::str::from_utf8(&bytes).unwrap(), &[&rsa()]));
            }
        }
    });
}

#[test]
fn a_signed_assertion_says_the_same_or_nothing() {
    check(&response(&rsa()), 1_000, true);
}

#[test]
fn a_signed_response_says_the_same_or_nothing() {
    check(&response(&rsa()).signed(Some(Signing::with(rsa())), None), 1_000, true);
}

#[test]
fn both_signed_say_the_same_or_nothing() {
    check(&response(&rsa()).signed(Some(Signing::with(rsa())), Some(Signing::with(rsa()))), 1_000, true);
}

#[test]
fn an_encrypted_assertion_says_the_same_or_nothing() {
    for data in [DataEncryption::Aes256Gcm, DataEncryption::Aes256Cbc] {
        let encryption = Encryption::to(sp_key().certificate().clone()).data(data);
        check(&response(&rsa()).with(|b| b.encryption = Some(encryption)), 300, false);
    }
}
