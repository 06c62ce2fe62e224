//! Child processes that never outlive us: asked to end in order, and ended by the kernel when we are killed.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use tokio::process::{self, ChildStdin, ChildStdout, Command};

/// A child may take this long to end once asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running child.
pub(super) struct Child {
    name: &'static str,
    process: process::Child,
    /// Held open for as long as the child shall live, where it watches for the end of its input.
    _input: Option<ChildStdin>,
    end_signal: libc::c_int,
    log: PathBuf,
}

impl Child {
    /// Starts `command`, which is asked to end by `end_signal`. What it prints goes to a file in `logs`; with `piped`,
    /// its standard output can be read instead, and its standard input stays open for as long as we live.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        end_signal: libc::c_int,
        logs: &Path,
        piped: bool,
    ) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&log)
            .with_context(|| format!("writing {}", log.display()))?;
        command.stderr(file.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(file);
        }
        // A group of its own: Ctrl-C reaches us, and we end children in order.
        command.process_group(0);
        die_with_parent(&mut command, end_signal);
        let mut process = command.spawn().with_context(|| format!("starting {name}"))?;
        let input = process.stdin.take();
        Ok(Self { name, process, _input: input, end_signal, log })
    }

    /// The pipe of its output, where one was asked for.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Waits until it ends, and says its name.
    pub(super) async fn died(&mut self) -> &'static str {
        let _status = self.process.wait().await;
        self.name
    }

    /// An error with its last words, when it is no longer running.
    pub(super) fn ensure_alive(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait().with_context(|| format!("looking after {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("{} did not start ({status}). It said:\n{}", self.name, last_words(&self.log))
            }
        }
    }

    /// Asks it to end, waits, and kills what does not.
    pub(super) async fn stop(mut self) {
        if let Some(id) = self.process.id() {
            signal(id, self.end_signal);
        }
        if tokio::time::timeout(PATIENCE, self.process.wait()).await.is_err() {
            tracing::warn!(child = self.name, "did not end when asked; killed");
            let _already_gone = self.process.kill().await;
        }
    }
}

/// The end of a log file.
pub(super) fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(12)).map(|line| format!("  {line}\n")).collect()
}

/// Has the kernel send `signal` when the thread that starts the command ends, however it ends.
#[allow(unsafe_code, reason = "only a hook between fork and exec can set it, and it must be set in the child")]
fn die_with_parent(command: &mut Command, signal: libc::c_int) {
    let parent = std::process::id();
    let hook = move || {
        // The standard library has changed user by now: the change would have cleared the setting.
        // SAFETY: prctl and getppid are async-signal-safe and touch no memory of ours.
        let (set, current) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, signal), libc::getppid()) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        // We may have died in between; then nobody will send the signal.
        if u32::try_from(current) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the hook allocates nothing, takes no lock and calls only async-signal-safe functions.
    unsafe {
        command.pre_exec(hook);
    }
}

#[allow(unsafe_code, reason = "the standard library can only send SIGKILL")]
fn signal(process: u32, signal: libc::c_int) {
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: kill takes two numbers; the child has not been waited for, so that its number is still its own.
        let _gone = unsafe { libc::kill(process, signal) };
    }
}
