//! `.usher/` in the checkout: the lock that lets one `usher dev` run at a time, the secrets, the logs, and where the
//! servers keep their data.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;

use super::{
    account::{self, Account},
    progress,
};
use crate::entropy::Entropy;

/// A socket's path has at most 107 bytes; the longest name we put in the folder is `/run/.s.PGSQL.5432.lock`.
const LONGEST: usize = 107 - 24;

/// The folder, held for as long as this lives.
pub(super) struct Home {
    /// `.usher/`: ours alone.
    pub root: PathBuf,
    /// Where the servers keep their data: `.usher/data`, or a place that their user may enter.
    pub data: PathBuf,
    /// Whether `data` is not in the checkout.
    pub is_elsewhere: bool,
    /// Who the servers run as; `None` means as we do.
    pub account: Option<Account>,
    _lock: File,
}

impl Home {
    /// Makes what is missing and takes the lock.
    pub(super) fn open(checkout: &Path) -> anyhow::Result<Self> {
        let root = checkout.join(".usher");
        make_folder(&root, 0o711)?;
        make_folder(&root.join("logs"), 0o700)?;
        let lock = take_lock(&root)?;
        let account = account::for_servers()?;
        let inside = root.join("data");
        let (data, is_elsewhere) = match usable(&inside, account) {
            Ok(()) => (inside, false),
            Err(problem) => {
                let outside = elsewhere(checkout)?;
                usable(&outside, account)
                    .with_context(|| format!("neither {} nor {} can hold data", inside.display(), outside.display()))?;
                progress(&format!("keeps data in {}, because {problem:#}", outside.display()));
                (outside, true)
            }
        };
        Ok(Self { root, data, is_elsewhere, account, _lock: lock })
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Where sockets are; only the servers' user and root may enter.
    pub(super) fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The sealing key, made once.
    pub(super) fn sealing_key(&self) -> anyhow::Result<SecretString> {
        self.secret("sealing-key", || format!("1:{}", STANDARD.encode(Entropy::default().bytes::<32>())))
            .map(Into::into)
    }

    /// A secret kept in a file that only we may read; made when it is not there.
    fn secret(&self, name: &str, make: impl FnOnce() -> String) -> anyhow::Result<String> {
        if let Some(found) = self.read(name).filter(|text| !text.is_empty()) {
            return Ok(found);
        }
        let made = make();
        self.write(name, &made)?;
        Ok(made)
    }

    /// A file of ours, without white space around its text.
    pub(super) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// Writes a file that only we may read, whole or not at all.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, unfinished) = (self.root.join(name), self.root.join(format!("{name}.new")));
        let told = || format!("writing {}", path.display());
        let _none = fs::remove_file(&unfinished);
        let mut file =
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished).with_context(told)?;
        writeln!(file, "{text}").with_context(told)?;
        fs::rename(&unfinished, &path).with_context(told)
    }

    /// A folder below `data` that belongs to the servers' user.
    pub(super) fn server_folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.data.join(name);
        owned_folder(&path, self.account)?;
        Ok(path)
    }
}

fn take_lock(root: &Path) -> anyhow::Result<File> {
    let path = root.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unreadable = file.read_to_string(&mut holder);
            bail!(
                "`usher dev` already runs in this checkout (process {}). Use that one, or stop it first; \
                 .usher/dev.json says where it serves",
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {}", path.display())),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error)
            .with_context(|| format!("making {}: the checkout must belong to the user who runs this", path.display())),
    }
}

fn owned_folder(path: &Path, account: Option<Account>) -> anyhow::Result<()> {
    if !path.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(path).with_context(|| format!("making {}", path.display()))?;
    }
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("giving {} to the database's user", path.display()))?;
    }
    Ok(())
}

/// Whether the servers' user can live in `path`: short enough for sockets, enterable all the way down, writable.
fn usable(path: &Path, account: Option<Account>) -> anyhow::Result<()> {
    ensure!(path.as_os_str().len() <= LONGEST, "the path {} is too long for a socket", path.display());
    make_folder(path, 0o711)?;
    let probe = path.join("run");
    owned_folder(&probe, account)?;
    let mut test = std::process::Command::new("/usr/bin/test");
    if let Some(account) = account {
        use std::os::unix::process::CommandExt;
        test.uid(account.uid).gid(account.gid);
    }
    let may =
        test.arg("-w").arg(&probe).current_dir("/").stderr(Stdio::null()).status().context("running /usr/bin/test")?;
    ensure!(may.success(), "the database's user may not enter {}", path.display());
    Ok(())
}

/// The place for a checkout that the database's user may not enter: the same at each start, and nobody else's.
fn elsewhere(checkout: &Path) -> anyhow::Result<PathBuf> {
    let own = account::own()?;
    let mut hasher = DefaultHasher::new();
    checkout.hash(&mut hasher);
    let path = PathBuf::from(format!("/var/tmp/usher-{}-{:08x}", own.uid, hasher.finish() & 0xffff_ffff));
    make_folder(&path, 0o711)?;
    let found = fs::symlink_metadata(&path).with_context(|| format!("looking at {}", path.display()))?;
    // Everybody may write in /var/tmp: what another user made there is not for us.
    ensure!(
        found.is_dir() && found.uid() == own.uid,
        "{} belongs to somebody else; remove it, or move the checkout where the database's user may enter",
        path.display()
    );
    Ok(path)
}
