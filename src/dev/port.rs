//! The port that the demo is served on, and who has it when it is taken.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context, bail};

const DEFAULT: u16 = 8080;

/// Binds `PORT`, or 8080, on loopback.
pub(super) fn bind() -> anyhow::Result<TcpListener> {
    let port = match std::env::var("PORT") {
        Ok(text) => {
            text.parse().with_context(|| format!("PORT={text} is not a port: write a number from 1 to 65535"))?
        }
        Err(_) => DEFAULT,
    };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(socket) => Ok(socket),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = holder(port).map_or_else(|| "another process".into(), |holder| format!("`{holder}`"));
            let other = if port == DEFAULT { DEFAULT + 1 } else { DEFAULT };
            bail!("port {port} is in use by {holder}. Stop it, or choose another port: PORT={other} script/server")
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            bail!("port {port} is for root only; choose one above 1023: PORT={DEFAULT} script/server")
        }
        Err(error) => Err(error).with_context(|| format!("listening on port {port}")),
    }
}

/// Whether a port of loopback is free now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Name and number of the process that listens on the port, as far as we may see.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|table| fs::read_to_string(table).ok());
    let inodes: Vec<String> = tables
        .flat_map(|table| table.lines().filter_map(|line| listening_inode(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    // Numbers only: `self` is a process by another name.
    let is_number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    processes.filter(is_number).map(|entry| entry.path()).find_map(|process| {
        let files = fs::read_dir(process.join("fd")).ok()?.flatten();
        let holds = files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()));
        let name = fs::read_to_string(process.join("comm")).ok()?;
        holds
            .then(|| format!("{} (process {})", name.trim(), process.file_name().unwrap_or_default().to_string_lossy()))
    })
}

/// The socket's inode, from a line of the kernel's table: `0: 0100007F:1F90 00000000:0000 0A … inode`.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let is_listening = fields.get(3) == Some(&"0A");
    (is_listening && u16::from_str_radix(local, 16) == Ok(port))
        .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_holds_a_port_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        assert!(!is_free(port));
        let holder = holder(port).expect("our own sockets can be seen");
        assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
    }
}
