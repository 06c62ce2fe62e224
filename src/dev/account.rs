//! The user that private servers run as: ourselves, or, when we are root, the one that PostgreSQL's package made.

use std::{fs, os::unix::fs::MetadataExt};

use anyhow::Context;
use tokio::process::Command;

/// A user and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// Our own user.
pub(super) fn own() -> anyhow::Result<Account> {
    let process = fs::metadata("/proc/self").context("reading /proc/self to learn which user this is")?;
    Ok(Account { uid: process.uid(), gid: process.gid() })
}

/// Who the servers run as; `None` means as we do.
pub(super) fn for_servers() -> anyhow::Result<Option<Account>> {
    if own()?.uid != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| find(&users, name));
    found.map(Some).context(
        "PostgreSQL refuses to run as root and this machine has neither a user `postgres` nor `nobody`; \
         run as another user, or install it: apt-get install postgresql",
    )
}

fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_theirs = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (is_theirs && uid != 0).then_some(Account { uid, gid })
    })
}

/// A command that runs as `account`, or as we do.
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    if let Some(account) = account {
        // As root, the standard library drops the supplementary groups as well.
        command.uid(account.uid).gid(account.gid);
        command.env("HOME", "/");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_is_never_root() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:105:110::/:/bin/sh\n";
        assert_eq!(find(users, "postgres"), Some(Account { uid: 105, gid: 110 }));
        assert_eq!(find(users, "root"), None);
        assert_eq!(find(users, "nobody"), None);
    }
}
