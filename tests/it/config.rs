//! Configuration: layers, what is refused and in which words, and that no secret is shown. Over the program itself, in
//! the environment that each test gives it.

use std::process::{Command, Output};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Runs `usher check-config` with these variables over a usable minimum.
fn check(variables: &[(&str, &str)], file: Option<&str>) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    command.arg("check-config");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("USHER_")) {
        command.env_remove(name);
    }
    command
        .env("USHER__DATABASE__URL", "postgres://usher:swordfish@db.example/usher?sslpassword=swordfish")
        .env("USHER__REDIS__URL", "redis://:swordfish@redis.example")
        .env("USHER__SECRETS__SEALING_KEYS", format!("[\"1:{KEY}\"]"));
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    let Output { status, stdout, stderr } = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The last line of what is said against a configuration, which must be refused.
fn refusal(variables: &[(&str, &str)]) -> String {
    let (code, _, told) = check(variables, None);
    assert_eq!(code, 3, "{told}");
    told.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_minimum_of_settings_is_usable() {
    let (code, _, told) = check(&[], None);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn the_environment_goes_over_a_file_and_a_file_over_the_defaults_and_each_is_named() {
    let (_, shown, _) = check(&[("USHER__LOGS__FILTER", "debug")], Some("config/dev.toml"));
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("filter").ends_with("# environment") && line("filter").contains("debug"), "{shown}");
    assert!(line("format").ends_with("# file config/dev.toml") && line("format").contains("text"), "{shown}");
    assert!(line("listen").ends_with("# default"), "{shown}");
}

#[test]
fn no_secret_is_shown() {
    let (_, shown, told) =
        check(&[("USHER__DATABASE__MIGRATE_URL", "postgres://root:swordfish@db.example/usher")], None);
    let mail = ("USHER__MAIL__URL", "smtps://usher:swordfish@mail.example");
    let (code, mailed, _) = check(&[mail], None);
    assert!(code == 0 && mailed.contains("mail.example") && !mailed.contains("swordfish"), "{mailed}");
    for secret in ["swordfish", KEY, &KEY[..10]] {
        assert!(!shown.contains(secret) && !told.contains(secret), "{shown}");
    }
    assert!(shown.contains("db.example") && shown.contains("redis.example"), "{shown}");
}

#[test]
fn a_key_that_is_not_known_is_refused_by_name() {
    let (code, shown, told) = check(&[("USHER__SERVER__LISTNE", "127.0.0.1:1")], None);
    assert_eq!((code, shown.as_str()), (3, ""));
    assert!(told.contains("listne") && told.contains("listen"), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let (code, _, told) = check(&[], Some("config/nothing.toml"));
    assert_eq!(code, 3);
    assert!(told.contains("config/nothing.toml does not exist"), "{told}");
}

#[test]
fn a_setting_that_does_not_hold_is_told_with_its_key_and_what_to_do() {
    let cases = [
        ("USHER__SERVER__LISTEN", "nowhere", "server.listen: `nowhere` is not an address and port"),
        ("USHER__SERVER__LISTEN", "0.0.0.0:80", "server.listen: plain http is served on loopback only"),
        (
            "USHER__SERVER__PUBLIC_ORIGIN",
            "http://learn.example",
            "server.public_origin: learners are served over https",
        ),
        (
            "USHER__SERVER__PUBLIC_ORIGIN",
            "https://learn.example/x",
            "server.public_origin: write scheme, host and port",
        ),
        ("USHER__SERVER__TLS_KEY", "key.pem", "server.tls_certificate: name both"),
        ("USHER__SERVER__TRUSTED_PROXIES", "[\"proxy\"]", "server.trusted_proxies: `proxy` is not a network"),
        ("USHER__DATABASE__URL", "", "database.url: is not set"),
        ("USHER__REDIS__KEY_PREFIX", "a b", "redis.key_prefix: use letters"),
        (
            "USHER__SECRETS__SEALING_KEYS",
            "[]",
            "secrets.sealing_keys: the sealing key ring is not usable: name at least one",
        ),
        (
            "USHER__SECRETS__SEALING_KEYS",
            "[\"1:AAAA\"]",
            "secrets.sealing_keys: the sealing key ring is not usable: key 1 is not 32 bytes",
        ),
        ("USHER__MAIL__URL", "http://mail.example", "mail.url: write smtps://user:password@host:port"),
        ("USHER__MAIL__URL", "smtp+plain://mail.example", "mail.url: mail goes over TLS"),
        ("USHER__MAIL__URL", "smtps://usher@mail.example", "mail.url: name both a user and a password"),
        ("USHER__MAIL__URL", "smtps://mail.example/box", "mail.url: write smtps://"),
        ("USHER__MAIL__FROM", "Usher <no-reply@learn.example>", "mail.from: write one e-mail address"),
        ("USHER__MAIL__HELLO_NAME", "a b", "mail.hello_name: write a host name"),
        ("USHER__LIMITS__API_PER_TOKEN", "many", "limits.api_per_token: `many` is not a rate"),
        ("USHER__LOGS__FORMAT", "xml", "logs.format: `xml` is neither json nor text"),
    ];
    for (name, value, expected) in cases {
        let told = refusal(&[(name, value)]);
        assert!(told.starts_with(expected), "{name}={value}: {told}");
    }
}

#[test]
fn other_addresses_than_loopback_are_served_with_tls_or_behind_a_named_proxy() {
    let listen = ("USHER__SERVER__LISTEN", "0.0.0.0:8443");
    let origin = ("USHER__SERVER__PUBLIC_ORIGIN", "https://learn.example");
    let tls = [("USHER__SERVER__TLS_CERTIFICATE", "cert.pem"), ("USHER__SERVER__TLS_KEY", "key.pem")];
    assert_eq!(check(&[listen, origin], None).0, 3);
    assert_eq!(check(&[listen, origin, tls[0], tls[1]], None).0, 0);
    assert_eq!(check(&[listen, origin, ("USHER__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]")], None).0, 0);
}

#[test]
fn wrong_use_and_wrong_settings_have_exit_codes_of_their_own() {
    let run =
        |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_usher")).args(arguments).output().unwrap().status.code();
    assert_eq!(run(&["--help"]), Some(0));
    assert_eq!(run(&["no-such-command"]), Some(2));
    assert_eq!(run(&["token", "create"]), Some(2));
    assert_eq!(run(&["token", "create", "--name", "x", "--scope", "everything"]), Some(2));
    assert_eq!(run(&["serve", "--config", "config/nothing.toml"]), Some(3));
}
