//! What was caught: newest first, a bounded number, in files where a folder is given.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use mail_parser::{Address, MessageParser};

/// Mails that are kept; older ones go.
const MOST: usize = 500;

/// One mail.
#[derive(Debug, Clone)]
pub(super) struct Caught {
    pub number: u64,
    pub at: DateTime<Utc>,
    /// The recipient of the envelope.
    pub to: String,
    pub from: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub raw: Vec<u8>,
}

impl Caught {
    fn read(number: u64, at: DateTime<Utc>, to: String, raw: Vec<u8>) -> Self {
        let parsed = MessageParser::default().parse(&raw);
        let parsed = parsed.as_ref();
        let body = |found: Option<std::borrow::Cow<'_, str>>| found.map(|text| text.replace("\r\n", "\n"));
        Self {
            number,
            at,
            to,
            from: parsed.and_then(|mail| mail.from()).map(mailbox).unwrap_or_default(),
            subject: parsed.and_then(|mail| mail.subject()).unwrap_or_default().to_owned(),
            text: body(parsed.and_then(|mail| mail.body_text(0))).unwrap_or_default(),
            html: parsed.filter(|mail| mail.html_body_count() > 0).and_then(|mail| body(mail.body_html(0))),
            raw,
        }
    }

    /// The web addresses that the plain text holds, in their order.
    pub(super) fn links(&self) -> Vec<&str> {
        self.text.split_whitespace().filter(|word| is_link(word)).collect()
    }
}

/// Whether a word of plain text is shown as a link.
pub(super) fn is_link(word: &str) -> bool {
    (word.starts_with("http://") || word.starts_with("https://")) && url::Url::parse(word).is_ok()
}

fn mailbox(address: &Address<'_>) -> String {
    let Some(first) = address.first() else { return String::new() };
    match (first.name(), first.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    }
}

/// All that was caught.
pub(super) struct Mailbox {
    mails: Mutex<VecDeque<Caught>>,
    folder: Option<PathBuf>,
}

impl Mailbox {
    /// With what a folder holds of before.
    pub(super) fn open(folder: Option<PathBuf>) -> io::Result<Self> {
        let mut mails = Vec::new();
        if let Some(folder) = &folder {
            // Its mails hold links that let people in.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            for entry in fs::read_dir(folder)?.flatten() {
                // `<number>-<microseconds>-<recipient in hex>.eml`
                let name = entry.file_name().to_string_lossy().into_owned();
                if let (Some((number, at, to)), Ok(raw)) = (parts(&name), fs::read(entry.path())) {
                    mails.push(Caught::read(number, at, to, raw));
                }
            }
        }
        mails.sort_by_key(|mail| std::cmp::Reverse(mail.number));
        mails.truncate(MOST);
        Ok(Self { mails: Mutex::new(mails.into()), folder })
    }

    /// Keeps a mail.
    pub(super) fn keep(&self, at: DateTime<Utc>, to: &str, raw: &[u8]) -> io::Result<()> {
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let number = mails.front().map_or(1, |newest| newest.number + 1);
        if let Some(folder) = &self.folder {
            let to: String = to.bytes().map(|byte| format!("{byte:02x}")).collect();
            // A file's name has 255 bytes: a longer recipient is cut, and shown so after a restart.
            let to = to.get(..200).unwrap_or(&to);
            fs::write(folder.join(format!("{number}-{}-{to}.eml", at.timestamp_micros())), raw)?;
        }
        mails.push_front(Caught::read(number, at, to.to_owned(), raw.to_vec()));
        while mails.len() > MOST {
            if let (Some(oldest), Some(folder)) = (mails.pop_back(), &self.folder) {
                remove(folder, oldest.number);
            }
        }
        Ok(())
    }

    /// Everything, newest first.
    pub(super) fn all(&self) -> Vec<Caught> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// One mail.
    pub(super) fn find(&self, number: u64) -> Option<Caught> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|mail| mail.number == number).cloned()
    }
}

fn remove(folder: &Path, number: u64) {
    let start = format!("{number}-");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(&start)) {
        let _gone = fs::remove_file(file.path());
    }
}

fn parts(name: &str) -> Option<(u64, DateTime<Utc>, String)> {
    let mut parts = name.strip_suffix(".eml")?.splitn(3, '-');
    let number = parts.next()?.parse().ok()?;
    let at = DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?;
    let hex = parts.next()?;
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len() / 2).map(|index| byte(index * 2)).collect();
    Some((number, at, String::from_utf8_lossy(&bytes?).into_owned()))
}
