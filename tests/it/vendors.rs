//! The presets against what each vendor really sends: the same person comes out of all of them, with nothing typed.

use idp_fixtures::{
    clock::now,
    people::{Org, Person},
    saml::{ResponseBuilder, Sign},
    sign::{Encryption, Signing},
    vendor::{Vendor, guid},
};
use usher::{
    claims::{Claims, ConnectionFacts, Input, Outcome, Preset, Protocol, SublicenseFacts, presets},
    ids::ConnectionId,
    login::{
        identity::VerifiedIdentity,
        saml::{Expectation, verify_response},
        trail::Trail,
    },
};

use crate::saml_verify::{ACS, REQUEST, SP, decryption_keys, expected, rsa, sp_key, trusted};

fn preset_of(vendor: &Vendor) -> Preset {
    Preset::ALL.into_iter().find(|preset| preset.as_str() == vendor.name).unwrap_or(Preset::Generic)
}

fn mapped(preset: Preset, protocol: Protocol, subject: &str, claims: &Claims) -> Outcome {
    let main = [SublicenseFacts { slug: "main".to_owned(), ..SublicenseFacts::default() }];
    let connection = ConnectionFacts { id: "con_1", name: "IdP", protocol: protocol.as_str() };
    let input = Input { claims, subject, connection, sublicenses: &main, carries_entitlement: false };
    presets::preset(preset, protocol).compile().unwrap().apply(&input)
}

#[track_caller]
fn is_profile_of(outcome: &Outcome, person: &Person, who: &str) {
    assert_eq!(outcome.refusal, None, "{who}");
    let profile = &outcome.profile;
    assert_eq!(profile.email.value.as_deref(), Some(person.email.as_str()), "{who}");
    assert_eq!(profile.first_name.value.as_deref(), Some(person.first_name.as_str()), "{who}");
    assert_eq!(profile.last_name.value.as_deref(), Some(person.last_name.as_str()), "{who}");
    assert_eq!(outcome.grants.len(), 1, "{who}");
}

/// The identity that the vendor's signed (and encrypted) response proves, with the subject that the preset takes.
fn proved(vendor: &Vendor, person: &Person) -> VerifiedIdentity {
    let (speech, key) = (vendor.saml.as_ref().unwrap(), rsa());
    let (name_id, attributes) = speech.describe(person);
    let (sign, signing) = (speech.sign().unwrap(), Signing::with(key.clone()));
    let on_response = matches!(sign, Sign::Response | Sign::Both).then(|| signing.clone());
    let on_assertion = matches!(sign, Sign::Assertion | Sign::Both).then_some(signing);
    let mut response = ResponseBuilder::new(&speech.entity_id(), SP, ACS, REQUEST, &key, now())
        .about(name_id, attributes)
        .signed(on_response, on_assertion);
    if let Some((data, transport)) = speech.encryption().unwrap() {
        let mut encryption = Encryption::to(sp_key().certificate().clone()).data(data).key_transport(transport);
        encryption.key_beside_data = speech.key_beside_data();
        response.encryption = Some(encryption);
    }
    let (certificates, keys, entity_id) = (trusted(&[&key]), decryption_keys(), speech.entity_id());
    let subjects = presets::defaults(preset_of(vendor), Protocol::Saml).subject;
    let expectation = Expectation {
        idp_entity_id: &entity_id,
        // AD FS encrypts by CBC in an unsigned response; that needs the connection's flag.
        allow_cbc_unsigned_response: vendor.name == "adfs",
        subject_attribute: subjects.first().copied().filter(|first| *first != "NameID"),
        ..expected(&certificates, &keys)
    };
    let xml = response.build().unwrap().xml;
    let mut trail = Trail::new();
    let verified = verify_response(xml.as_bytes(), &expectation, &mut trail);
    let verified = verified.unwrap_or_else(|error| panic!("{}: {error}\n{trail:#?}", vendor.name));
    VerifiedIdentity::from_saml(ConnectionId::from(uuid::Uuid::nil()), verified).unwrap()
}

#[test]
fn every_vendors_saml_response_becomes_the_same_person_through_its_preset() {
    for vendor in Vendor::all().unwrap().iter().filter(|vendor| vendor.saml.is_some()) {
        for person in Org::acme().people {
            let identity = proved(vendor, &person);
            let outcome = mapped(preset_of(vendor), Protocol::Saml, identity.subject(), identity.claims());
            is_profile_of(&outcome, &person, &format!("{} {}", vendor.name, person.username));
        }
    }
}

#[test]
fn every_vendors_id_token_becomes_the_same_person_through_its_preset() {
    for vendor in Vendor::all().unwrap() {
        let Some(speech) = &vendor.oidc else { continue };
        for person in Org::acme().people {
            let claims = Claims::from_json(&speech.describe(&person)).unwrap();
            let outcome = mapped(preset_of(&vendor), Protocol::Oidc, &speech.subject(&person), &claims);
            is_profile_of(&outcome, &person, &format!("{} {}", vendor.name, person.username));
        }
    }
}

#[test]
fn the_subject_of_a_vendor_lasts_while_its_transient_name_id_changes() {
    let (shibboleth, ada) = (Vendor::load("shibboleth").unwrap(), Org::acme().people.swap_remove(0));
    let (first, second) = (proved(&shibboleth, &ada), proved(&shibboleth, &ada));
    assert_eq!(first.subject(), second.subject());
    assert_eq!(first.subject(), "ada-7f3a@acme.example");
}

/// What the claim with the vendor's groups holds for Ada.
fn groups(vendor: &str, protocol: Protocol, claim: &str) -> Vec<String> {
    let (vendor, ada) = (Vendor::load(vendor).unwrap(), Org::acme().people.swap_remove(0));
    match protocol {
        Protocol::Saml => proved(&vendor, &ada).claims().get(claim).unwrap().to_vec(),
        Protocol::Oidc => Claims::from_json(&vendor.oidc.unwrap().describe(&ada)).unwrap().get(claim).unwrap().to_vec(),
    }
}

#[test]
fn groups_keep_the_form_in_which_the_vendor_writes_them() {
    let entra = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";
    assert_eq!(groups("entra", Protocol::Saml, entra), [guid("sales"), guid("learning")]);
    assert_eq!(groups("keycloak", Protocol::Saml, "Role"), ["sales", "learning"]);
    assert_eq!(groups("keycloak", Protocol::Oidc, "groups"), ["/sales", "/learning"]);
    assert_eq!(groups("keycloak", Protocol::Oidc, "realm_access.roles"), ["sales", "learning"]);
    assert_eq!(groups("onelogin", Protocol::Saml, "memberOf"), ["sales;learning"]);
    assert_eq!(groups("shibboleth", Protocol::Saml, "isMemberOf"), ["sales", "learning"]);
    assert_eq!(groups("ping", Protocol::Oidc, "memberOf").len(), 2);
}

#[test]
fn a_link_in_place_of_groups_counts_as_missing() {
    let names: Vec<String> = (0..300).map(|number| format!("group {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let person = Person::new("ada", "ada@acme.example", "Ada", "Lovelace").groups(&names);
    let entra = Vendor::load("entra").unwrap();
    let claims = Claims::from_json(&entra.oidc.as_ref().unwrap().describe(&person)).unwrap();
    assert!(claims.is_overage("groups"));
    assert_eq!(claims.get("groups"), None);
    assert!(
        proved(&entra, &person).claims().is_overage("http://schemas.microsoft.com/ws/2008/06/identity/claims/groups")
    );
}
