//! Everything that this process logs, kept so that a test can search it for what must never be there.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, Once},
};

use tracing_subscriber::{EnvFilter, fmt};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lines().extend_from_slice(bytes);
        if std::env::var_os("USHER_TEST_LOG").is_some() {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts keeping, at the most talkative level of our own code. `USHER_TEST_LOG=1` shows it as well.
pub fn start() {
    STARTED.call_once(|| {
        let format = fmt().with_ansi(false).with_env_filter(EnvFilter::new("info,usher=trace,sqlx=debug"));
        format.with_writer(|| Kept).init();
    });
}

/// What was logged so far, by every test of the process.
pub fn log_text() -> String {
    String::from_utf8_lossy(&lines()).into_owned()
}
