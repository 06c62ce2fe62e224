//! The same responses verified by three programs, each a process of its own on the measured core that counts its own CPU
//! time.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use idp_fixtures::{clock::now, sign::KeyPair, xml::random_id};
use serde::{Deserialize, Serialize};
use usher::login::{
    saml::{Expectation, InResponseTo, TrustedCertificate, verify_response},
    trail::Trail,
};

use crate::{
    Options, gateway,
    people::{self, IDP, Place},
};

/// Different responses, so that nothing can remember them.
const RESPONSES: u64 = 200;
const ENTITY_ID: &str = "https://usher.bench.example/saml/con_1/metadata";
const ACS_URL: &str = "https://usher.bench.example/saml/con_1/acs";

/// What a verifier is told beside the responses, which lie in the same folder as `0.xml`, `1.xml`, ….
#[derive(Serialize, Deserialize)]
struct Scene {
    idp: String,
    sp: String,
    acs: String,
    now: DateTime<Utc>,
    /// The requests that the responses answer, in their order.
    requests: Vec<String>,
}

/// What a verifier says of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Speed {
    verified: f64,
    cpu_s: f64,
}

impl Speed {
    /// Verifications per CPU second.
    pub fn rate(self) -> f64 {
        self.verified / self.cpu_s
    }
}

/// Writes the responses and what belongs to them; gives the average size of one.
pub fn prepare(folder: &Path, key: &KeyPair) -> Result<usize> {
    let mut scene =
        Scene { idp: IDP.into(), sp: ENTITY_ID.into(), acs: ACS_URL.into(), now: now(), requests: Vec::new() };
    let mut bytes = 0;
    for person in 0..RESPONSES {
        let request_id = random_id();
        let place = Place { entity_id: ENTITY_ID, acs_url: ACS_URL, request_id: &request_id };
        let built = people::response(&place, person, key, scene.now)?;
        bytes += built.xml.len();
        fs::write(folder.join(format!("{person}.xml")), built.xml)?;
        scene.requests.push(request_id);
    }
    fs::write(folder.join("idp.pem"), key.certificate_pem()?)?;
    fs::write(folder.join("scene.json"), serde_json::to_vec(&scene)?)?;
    Ok(bytes / usize::try_from(RESPONSES)?)
}

/// Runs a verifier on the measured core: `PROGRAM … FOLDER SECONDS`.
async fn run(options: &Options, program: &Path, before: &[&str], folder: &Path, seconds: f64) -> Result<Speed> {
    let output = gateway::pinned(options.core, program)
        .args(before)
        .arg(folder)
        .arg(seconds.to_string())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    ensure!(output.status.success(), "{} {before:?} failed", program.display());
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {} printed", program.display()))
}

/// libxml2 and xmlsec alone: no rule of SAML is looked at.
pub async fn plain_xmlsec(options: &Options, folder: &Path) -> Result<Speed> {
    run(options, &options.xmlsec, &["--load-key"], folder, 2.0).await
}

/// The same with the key kept from one verification to the next.
pub async fn plain_xmlsec_with_kept_key(options: &Options, folder: &Path) -> Result<Speed> {
    run(options, &options.xmlsec, &["--keep-key"], folder, 1.0).await
}

/// `OneLogin_Saml2_Response.is_valid`, strict.
pub async fn python3_saml(options: &Options, folder: &Path) -> Result<Speed> {
    let script = options.python_saml.to_string_lossy();
    run(options, &options.python, &[&*script], folder, 3.0).await
}

/// `usher::login::saml::verify_response`, every check.
pub async fn usher(options: &Options, folder: &Path) -> Result<Speed> {
    run(options, &std::env::current_exe()?, &["verify"], folder, 2.0).await
}

/// The process behind [`usher`].
pub fn verify(folder: &Path, seconds: f64) -> Result<()> {
    let scene: Scene = serde_json::from_slice(&fs::read(folder.join("scene.json"))?)?;
    let certificates = [TrustedCertificate::from_text(&fs::read_to_string(folder.join("idp.pem"))?)?];
    let responses = (0..scene.requests.len()).map(|number| fs::read(folder.join(format!("{number}.xml"))));
    let responses: Vec<Vec<u8>> = responses.collect::<Result<_, _>>()?;
    let started = gateway::cpu_seconds("self")?;
    let mut verified = 0.0;
    let spent = loop {
        for (xml, request_id) in responses.iter().zip(&scene.requests) {
            let expectation = Expectation {
                idp_entity_id: &scene.idp,
                certificates: &certificates,
                allow_sha1: false,
                allow_cbc_unsigned_response: false,
                sp_entity_id: &scene.sp,
                acs_url: &scene.acs,
                in_response_to: InResponseTo::Request(request_id),
                requested_authn_context: &[],
                authn_not_before: None,
                subject_attribute: None,
                decryption_keys: &[],
                clock_skew: chrono::Duration::seconds(60),
                now: scene.now,
            };
            let assertion = verify_response(xml, &expectation, &mut Trail::new())?;
            ensure!(assertion.attributes.len() == 11, "eleven attributes were sent");
            verified += 1.0;
        }
        let spent = gateway::cpu_seconds("self")? - started;
        if spent >= seconds {
            break spent;
        }
    };
    println!("{}", serde_json::to_string(&Speed { verified, cpu_s: spent })?);
    Ok(())
}
