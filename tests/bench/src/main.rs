//! `usher-bench run`: what a sign-in costs the gateway, as ratios in one run on one core beside other verifiers of the
//! same responses. `script/bench` builds everything and calls it; nothing of it is part of the product.
//!
//! | file | holds |
//! |---|---|
//! | `people` | the responses: who signs in and with which attributes |
//! | `verifiers` | plain xmlsec, python3-saml and Usher's own verifier, each as a process |
//! | `gateway` | a gateway as a process: start to ready, CPU time, memory |
//! | `world` | clients and connections in the database, by the API once and by SQL many times |
//! | `browsers` | sign-ins and pages over HTTP |
//! | `rounds` | what is measured, in which order |
//! | `codes`, `statements` | redemptions and generated codes beside pgbench and COPY, on a durable PostgreSQL |
//! | `roster` | lists and searches among a million learners of one client |
//! | `imports` | a file of very many people, beside COPY of what it writes |
//! | `report` | medians, ratios, and the limits they are held against |

mod browsers;
mod codes;
mod gateway;
mod imports;
mod people;
mod report;
mod roster;
mod rounds;
mod statements;
mod verifiers;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures Usher; script/bench calls it with everything it needs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything and prints a table.
    Run(Box<Options>),
    /// Measures codes, on a PostgreSQL that forces commits to disk, and prints a table.
    Codes {
        #[command(flatten)]
        options: Box<Options>,
        #[command(flatten)]
        tools: codes::Tools,
    },
    /// Verifies the responses in FOLDER with Usher's verifier for so many CPU seconds.
    Verify { folder: PathBuf, seconds: f64 },
}

/// What a run is told.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// The gateway's program.
    #[arg(long)]
    usher: PathBuf,
    /// The program that verifies with libxmlsec1 alone.
    #[arg(long)]
    xmlsec: PathBuf,
    /// A Python that has python3-saml.
    #[arg(long)]
    python: PathBuf,
    /// The program for it.
    #[arg(long)]
    python_saml: PathBuf,
    /// URL of a PostgreSQL server on which databases may be made.
    #[arg(long, env = "USHER_TEST_POSTGRES_URL")]
    postgres: String,
    #[arg(long, env = "USHER_TEST_REDIS_URL")]
    redis: String,
    /// The core that everything measured runs on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Each figure is the median of so many.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Sign-ins in each measured group.
    #[arg(long, default_value_t = 600)]
    sign_ins: usize,
    /// Sign-ins under way together.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Clients in the large database; each has five connections.
    #[arg(long, default_value_t = 10_000)]
    clients: i32,
    /// Learners of one client, for lists and searches.
    #[arg(long, default_value_t = 1_000_000)]
    learners: i32,
    /// People in the file that is imported.
    #[arg(long, default_value_t = 100_000)]
    import_rows: usize,
    /// Leave out one of the parts; may be given several times.
    #[arg(long, value_enum)]
    skip: Vec<Part>,
    /// Print JSON in place of the table.
    #[arg(long)]
    json: bool,
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Verifiers,
    SignIns,
    Dashboard,
    Scale,
    Roster,
    Imports,
    Codes,
}

impl Options {
    fn does(&self, part: Part) -> bool {
        !self.skip.contains(&part)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => show(&options, &rounds::run(&options).await?),
        Command::Codes { options, tools } => show(&options, &codes::run(&options, &tools).await?),
        Command::Verify { folder, seconds } => verifiers::verify(&folder, seconds),
    }
}

fn show(options: &Options, report: &report::Report) -> Result<()> {
    if options.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Tells on standard error what a long run is at.
fn progress(text: &str) {
    eprintln!("bench: {text}");
}
