//! What is measured, and in which order: every round measures everything once, so that what disturbs the machine for a
//! while disturbs all of it.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::Result;
use idp_fixtures::sign::{KeyKind, KeyPair};

use crate::{
    Options, Part,
    browsers::{Browsers, Person},
    gateway::{Deployment, Gateway},
    imports, progress,
    report::{Limit, Report},
    roster, verifiers,
    world::{self, Door},
};

/// Clients in the small database.
const FEW: i32 = 10;
const DASHBOARDS: usize = 4000;
/// Sign-ins before anything is measured after a start: connections to PostgreSQL and Redis are open then, statements
/// prepared.
const WARM_UP: usize = 60;

/// A deployment with a gateway, and who may sign in where.
struct Place {
    deployment: Deployment,
    gateway: Gateway,
    doors: Vec<Door>,
    next_person: u64,
}

impl Place {
    async fn open(options: &Options, name: &str, clients: i32, key: &KeyPair, folder: &Path) -> Result<Self> {
        let deployment = Deployment::new(options, name, folder)?;
        world::create(options, &deployment).await?;
        let gateway = deployment.start(options).await?;
        let doors = world::fill(options, &deployment, clients, key).await?;
        Ok(Self { deployment, gateway, doors, next_person: 0 })
    }

    /// New people, spread over all doors: a step that has no divisor in common with their number visits each once.
    fn people(&mut self, count: usize) -> Vec<Person> {
        let doors = self.doors.len();
        let first = self.next_person;
        self.next_person += count as u64;
        (first..self.next_person)
            .filter_map(|number| {
                let place = usize::try_from(number).ok()?.wrapping_mul(7919) % doors;
                Some(Person { number, door: self.doors.get(place)?.clone() })
            })
            .collect()
    }

    /// Another process of the same deployment, which knows no connection yet, warmed up by the first few doors.
    async fn restart(mut self, options: &Options, key: &KeyPair) -> Result<Self> {
        self.gateway.stop().await?;
        self.gateway = self.deployment.start(options).await?;
        self.warm_up(options, key).await?;
        Ok(self)
    }

    async fn warm_up(&mut self, options: &Options, key: &KeyPair) -> Result<()> {
        let browsers = Browsers::new(&self.deployment, key, options.at_once)?;
        let door = self.doors.first().cloned();
        let mut people = self.people(WARM_UP);
        for (person, door) in people.iter_mut().zip(std::iter::repeat(door).flatten()) {
            person.door = door;
        }
        for _ in 0..2 {
            browsers.finish(browsers.start(&people).await?).await?;
        }
        Ok(())
    }
}

/// CPU seconds of the gateway while `work` runs, and what it gave. What is still under way afterwards is counted too.
async fn costed<T>(gateway: &Gateway, work: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let before = gateway.cpu()?;
    let done = work.await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok((gateway.cpu()? - before, done))
}

#[derive(Default)]
struct Series {
    plain: Vec<f64>,
    plain_kept: Vec<f64>,
    python: Vec<f64>,
    usher: Vec<f64>,
    first: Vec<f64>,
    returning: Vec<f64>,
    dashboard: Vec<f64>,
    few: Vec<f64>,
    many_warm: Vec<f64>,
    many_cold: Vec<f64>,
    few_acs: Vec<f64>,
    many_acs_cold: Vec<f64>,
}

/// Runs everything.
pub async fn run(options: &Options) -> Result<Report> {
    let folder = Folder::new()?;
    let folder = folder.0.as_path();
    let key = KeyPair::generate(KeyKind::Rsa2048, "idp.bench.example")?;
    let bytes = verifiers::prepare(folder, &key)?;
    let mut report = Report::default();
    report.note(format!(
        "Responses of {bytes} bytes on average, one RSA-2048 signature, 11 attributes. Figures are per CPU second (user and \
         system, all threads)\nof the process named; it runs on core {}, what drives it, PostgreSQL and Redis on others. {} \
         rounds of {} sign-ins, {} at once.",
        options.core, options.rounds, options.sign_ins, options.at_once
    ));
    let mut series = Series::default();
    let mut few = None;
    if options.does(Part::SignIns) || options.does(Part::Dashboard) || options.does(Part::Scale) {
        progress("a gateway with 10 clients");
        let mut place = Place::open(options, "usher_bench_few", FEW, &key, folder).await?;
        place.warm_up(options, &key).await?;
        few = Some(place);
    }
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}", options.rounds));
        if options.does(Part::Verifiers) {
            series.plain.push(verifiers::plain_xmlsec(options, folder).await?.rate());
            series.python.push(verifiers::python3_saml(options, folder).await?.rate());
            series.usher.push(verifiers::usher(options, folder).await?.rate());
            series.plain_kept.push(verifiers::plain_xmlsec_with_kept_key(options, folder).await?.rate());
        }
        if let Some(place) = &mut few
            && (options.does(Part::SignIns) || options.does(Part::Dashboard))
        {
            over_http(options, place, &key, &mut series).await?;
        }
    }
    if let Some(place) = few
        && options.does(Part::Scale)
    {
        scale(options, place, &key, folder, &mut series, &mut report).await?;
    }
    conclude(&series, &mut report);
    if options.does(Part::Roster) {
        roster::measure(options, folder, &mut report).await?;
    }
    if options.does(Part::Imports) {
        imports::measure(options, folder, &mut report).await?;
    }
    Ok(report)
}

/// First sign-ins, sign-ins of the same people again, and their dashboards.
async fn over_http(options: &Options, place: &mut Place, key: &KeyPair, series: &mut Series) -> Result<()> {
    let people = place.people(options.sign_ins);
    let browsers = Browsers::new(&place.deployment, key, options.at_once)?;
    let count = people.len() as f64;
    let ready = browsers.start(&people).await?;
    let (cost, mut signed_in) = costed(&place.gateway, browsers.finish(ready)).await?;
    if options.does(Part::SignIns) {
        series.first.push(count / cost);
        let mut total = 0.0;
        // Twice, for a longer measurement.
        for _ in 0..2 {
            let ready = browsers.start(&people).await?;
            let (cost, again) = costed(&place.gateway, browsers.finish(ready)).await?;
            total += cost;
            signed_in = again;
        }
        series.returning.push(2.0 * count / total);
    }
    if options.does(Part::Dashboard) {
        let (cost, ()) = costed(&place.gateway, browsers.dashboards(&signed_in, DASHBOARDS)).await?;
        series.dashboard.push(DASHBOARDS as f64 / cost);
    }
    Ok(())
}

/// The same returning sign-ins, start and return, with few clients and with many. With many, a process meets nearly every
/// connection for the first time; the return is measured in a process that has not seen the start either.
async fn scale(
    options: &Options,
    mut few: Place,
    key: &KeyPair,
    folder: &Path,
    series: &mut Series,
    report: &mut Report,
) -> Result<()> {
    progress(&format!("a gateway with {} clients", options.clients));
    let mut many = Place::open(options, "usher_bench_many", options.clients, key, folder).await?;
    let (mut ready_after, mut idle, mut loaded) = (Vec::new(), Vec::new(), Vec::new());
    let mut cold = Vec::new();
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {} with few and many clients", options.rounds));
        let count = options.sign_ins as f64;
        let people = few.people(options.sign_ins);
        let browsers = Browsers::new(&few.deployment, key, options.at_once)?;
        browsers.finish(browsers.start(&people).await?).await?;
        let (start, _) = costed(&few.gateway, browsers.visit(&people)).await?;
        let (finish, _) = {
            let ready = browsers.start(&people).await?;
            costed(&few.gateway, browsers.finish(ready)).await?
        };
        series.few.push((start + finish) / count * 1e3);
        series.few_acs.push(finish / count * 1e3);

        let people = many.people(options.sign_ins);
        let distinct: HashSet<&str> = people.iter().map(|person| person.door.connection.as_str()).collect();
        cold.push(distinct.len() as f64 / count * 100.0);
        let browsers = Browsers::new(&many.deployment, key, options.at_once)?;
        // Everybody signs in once and becomes a learner; then a process that has seen nobody.
        browsers.finish(browsers.start(&people).await?).await?;
        many = many.restart(options, key).await?;
        ready_after.push(many.gateway.ready_after.as_secs_f64() * 1e3);
        let (cold_start, _) = costed(&many.gateway, browsers.visit(&people)).await?;
        let ready = browsers.start(&people).await?;
        let (warm_finish, _) = costed(&many.gateway, browsers.finish(ready)).await?;
        let ready = browsers.start(&people).await?;
        many = many.restart(options, key).await?;
        let (cold_finish, _) = costed(&many.gateway, browsers.finish(ready)).await?;
        series.many_warm.push((cold_start + warm_finish) / count * 1e3);
        series.many_cold.push((cold_start + cold_finish) / count * 1e3);
        series.many_acs_cold.push(cold_finish / count * 1e3);
    }

    progress("memory");
    let browsers = Browsers::new(&many.deployment, key, options.at_once)?;
    many.gateway.stop().await?;
    many.gateway = many.deployment.start(options).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    idle.push(many.gateway.memory_mb()?);
    // Far more connections than the caches hold.
    let visitors = many.people((options.sign_ins * 15).min(many.doors.len()));
    browsers.visit(&visitors).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    loaded.push(many.gateway.memory_mb()?);
    let connections = many.doors.len();
    report.figure("start to ready, without migrations", "ms", &ready_after);
    report.figure("idle memory after a start", "MB", &idle);
    report.figure(
        format!("idle memory after sign-ins began by {} of {connections} connections", visitors.len()),
        "MB",
        &loaded,
    );
    report.figure("connections that the measured process met for the first time", "% of sign-ins", &cold);
    report.demand("start to ready, ms", ready_after, Limit::AtMost(1000.0));
    report.demand("idle memory after that, MB", loaded, Limit::AtMost(120.0));
    Ok(())
}

fn conclude(series: &Series, report: &mut Report) {
    let rate = "/CPU s";
    report.figure("plain libxml2 + xmlsec, key read from its certificate each time", rate, &series.plain);
    report.figure("plain libxml2 + xmlsec, key kept", rate, &series.plain_kept);
    report.figure("python3-saml, is_valid", rate, &series.python);
    report.figure("Usher, verification with all checks", rate, &series.usher);
    report.figure("Usher, first sign-in (ACS to 303, learner created)", rate, &series.first);
    report.figure("Usher, returning sign-in (ACS to 303)", rate, &series.returning);
    report.figure("Usher, dashboard with a session", rate, &series.dashboard);
    let cost = "CPU ms";
    report.figure("returning sign-in, start and return, few clients", cost, &series.few);
    report.figure("the same, many clients, cold at the start", cost, &series.many_warm);
    report.figure("the same, many clients, cold at the start and at the return", cost, &series.many_cold);
    report.figure("the return alone, few clients", cost, &series.few_acs);
    report.figure("the return alone, many clients, cold", cost, &series.many_acs_cold);
    report.ratio(
        "verification to plain xmlsec (key read each time)",
        &series.usher,
        &series.plain,
        Limit::AtLeast(0.7),
    );
    report.ratio("verification to python3-saml", &series.usher, &series.python, Limit::AtLeast(5.0));
    report.ratio(
        "returning sign-in to python3-saml's verification",
        &series.returning,
        &series.python,
        Limit::AtLeast(3.5),
    );
    report.ratio("first sign-in to python3-saml's verification", &series.first, &series.python, Limit::AtLeast(1.5));
    report.demand("dashboards per CPU second", series.dashboard.clone(), Limit::AtLeast(3000.0));
    report.ratio(
        "cost with many clients to few: start and return, cold at the start",
        &series.many_warm,
        &series.few,
        Limit::AtMost(1.2),
    );
    report.ratio(
        "cost with many clients to few: start and return, both cold",
        &series.many_cold,
        &series.few,
        Limit::AtMost(1.2),
    );
}

/// A folder that goes away with the run.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("usher-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}
