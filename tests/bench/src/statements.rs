//! A script for pgbench of the very statements that the gateway sends for one redemption: one is carried out with
//! PostgreSQL logging what it is sent, and its parameters become expressions in which the learner and every fresh id
//! differ from transaction to transaction.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, Either, Executor, PgConnection, SqlSafeStr, Statement, TypeInfo};
use uuid::Uuid;

/// The number of the first learner: twelve digits, so that it is the last part of a UUID.
pub const FIRST: u64 = 100_000_000_000;
/// How far apart the learners of two of pgbench's connections are.
pub const STRIDE: u64 = 1000;

/// The learner of this number.
pub fn learner(number: u64) -> Uuid {
    Uuid::parse_str(&format!("00000000-0000-7000-8000-{number}")).unwrap_or_default()
}

/// A statement as PostgreSQL logged it.
struct Logged {
    text: String,
    parameters: BTreeMap<usize, Option<String>>,
}

/// Reads the log of one redemption by `learner`; `constant` are ids that stay the same. The script, and how many
/// statements it has.
pub async fn script(conn: &mut PgConnection, log: &Path, learner: Uuid, constant: &[Uuid]) -> Result<(String, usize)> {
    let logged = read(&fs::read_to_string(log)?)?;
    ensure!(logged.len() > 8, "the log holds {} statements of a redemption", logged.len());
    let mut script = format!("\\set i :i + 1\n\\set n {FIRST} + :client_id * {STRIDE} + :i\n");
    for statement in &logged {
        let mut text = statement.text.clone();
        if !statement.parameters.is_empty() {
            let prepared = (&mut *conn).prepare(AssertSqlSafe(text.clone()).into_sql_str()).await?;
            let Some(Either::Left(types)) = prepared.parameters() else { bail!("no types: {text}") };
            for (number, value) in statement.parameters.iter().rev() {
                let kind = types.get(number - 1).context("a type for each parameter")?.name();
                let value = value.as_ref().map_or_else(|| "null".to_owned(), |value| varied(value, learner, constant));
                text = text.replace(&format!("${number}"), &format!("({value})::{kind}"));
            }
        }
        script.push_str(&text.split_whitespace().collect::<Vec<_>>().join(" "));
        script.push_str(";\n");
    }
    Ok((script, logged.len()))
}

/// A parameter as an expression: the learner, and each fresh id, ends in `:n`.
fn varied(value: &str, learner: Uuid, constant: &[Uuid]) -> String {
    let mut pieces: Vec<String> = vec![String::new()];
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        let (length, is_simple) = match rest {
            text if is_uuid(text.get(..36)) => (36, false),
            text if is_uuid(text.get(..32)) => (32, true),
            _ => {
                pieces.last_mut().map(|piece| piece.push(first)).unwrap_or_default();
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
                continue;
            }
        };
        let (text, after) = rest.split_at(length);
        rest = after;
        let id = Uuid::parse_str(text).unwrap_or_default();
        let piece = pieces.last_mut().into_iter();
        if constant.contains(&id) || (is_simple && id != learner) {
            piece.for_each(|piece| piece.push_str(text));
        } else {
            piece.for_each(|piece| piece.push_str(text.get(..length - 12).unwrap_or_default()));
            pieces.push(String::new());
        }
    }
    let quoted: Vec<String> = pieces.iter().map(|piece| format!("'{}'", piece.replace('\'', "''"))).collect();
    quoted.join(" || :n || ")
}

fn is_uuid(text: Option<&str>) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    text.is_some_and(|text| is_hex(text) && text.contains('-') == (text.len() == 36) && Uuid::parse_str(text).is_ok())
}

/// The last transaction that was logged whole, without what was prepared before it.
fn read(log: &str) -> Result<Vec<Logged>> {
    let mut logged: Vec<Logged> = Vec::new();
    for entry in entries(log) {
        if let Some((_, text)) = entry.split_once("LOG:  execute ").and_then(|(_, rest)| rest.split_once(": ")) {
            logged.push(Logged { text: text.to_owned(), parameters: BTreeMap::new() });
        } else if let Some((_, text)) = entry.split_once("LOG:  statement: ") {
            logged.push(Logged { text: text.to_owned(), parameters: BTreeMap::new() });
        } else if let Some((_, text)) = entry.split_once("DETAIL:  parameters: ")
            && let Some(last) = logged.last_mut()
        {
            last.parameters = parameters(text);
        }
    }
    let is = |statement: &Logged, word: &str| statement.text.trim().eq_ignore_ascii_case(word);
    let end = logged.iter().rposition(|statement| is(statement, "commit")).context("a commit in the log")?;
    let before = logged.get(..end).context("statements before it")?;
    let begin = before.iter().rposition(|statement| is(statement, "begin")).context("a begin in the log")?;
    Ok(logged.drain(begin..=end).collect())
}

/// Entries of the log; what goes on in further lines is indented.
fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(more), Some(last)) => {
                last.push('\n');
                last.push_str(more);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// `$1 = 'text', $2 = NULL, …`
fn parameters(text: &str) -> BTreeMap<usize, Option<String>> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((number, after)) = rest.strip_prefix('$').and_then(|rest| rest.split_once(" = ")) {
        let Ok(number) = number.parse() else { break };
        let Some(quoted) = after.strip_prefix('\'') else {
            found.insert(number, None);
            rest = after.strip_prefix("NULL").unwrap_or_default().trim_start_matches([',', ' ']);
            continue;
        };
        let (mut value, mut left) = (String::new(), quoted);
        while let Some((part, after)) = left.split_once('\'') {
            value.push_str(part);
            left = after;
            let Some(more) = after.strip_prefix('\'') else { break };
            value.push('\'');
            left = more;
        }
        found.insert(number, Some(value));
        rest = left.trim_start_matches([',', ' ']);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_logged() {
        let found = parameters("$1 = 'a', $2 = NULL, $3 = 'it''s, $4 = ''x'''");
        let texts: Vec<Option<&str>> = found.values().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("a"), None, Some("it's, $4 = 'x'")]);
    }

    #[test]
    fn the_learner_and_fresh_ids_differ_and_constants_stay() {
        let (who, client) = (learner(FIRST), Uuid::from_u128(7));
        let value = format!("{{{who}}} {client} lrn_{} cli_{}", who.simple(), client.simple());
        let expected = format!(
            "'{{00000000-0000-7000-8000-' || :n || '}} {client} lrn_00000000000070008000' || :n || ' cli_{}'",
            client.simple()
        );
        assert_eq!(varied(&value, who, &[client]), expected);
    }
}
