//! Where a learner goes after signing in: a page of the same site, and nothing else.

/// The longest path that is remembered: a handle with twenty codes fits.
const LENGTH: usize = 2100;

/// The path, when it stays below `root`: `/acme`, or nothing where the whole host is the client's. What a browser could
/// read as another origin (`//`, a backslash, a scheme, control characters) and what is another client's is none; neither
/// is a page that only leads back here.
pub fn checked(root: &str, wanted: Option<&str>) -> Option<String> {
    let path = wanted?;
    let is_plain = path.len() <= LENGTH && path.starts_with('/') && !path.starts_with("//");
    // Browsers read a backslash as a slash and drop tabs and line breaks (WHATWG URL, 4.4).
    if !is_plain || path.contains('\\') || path.chars().any(|letter| letter.is_control()) {
        return None;
    }
    let base = url::Url::parse("http://origin.invalid/").ok()?;
    let url = base.join(path).ok()?;
    let within = url.path().strip_prefix(root)?;
    // Read without its root, at the root of another host, it must still be a path.
    let is_ours =
        url.origin() == base.origin() && (within.is_empty() || within.starts_with('/')) && !within.starts_with("//");
    let leads_back = matches!(within.split('/').nth(1), Some("login" | "logout"));
    if !is_ours || leads_back {
        return None;
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{query}", url.path()))
}

/// A path that carries on where to go afterwards; what comes in was checked.
pub fn kept(path: &str, return_to: Option<&str>) -> String {
    match return_to {
        Some(wanted) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            format!("{path}?{}", query.append_pair("return_to", wanted).finish())
        }
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_client_is_kept() {
        assert_eq!(checked("/acme", Some("/acme/dashboard?tab=2")).as_deref(), Some("/acme/dashboard?tab=2"));
        assert_eq!(checked("/acme", Some("/acme")).as_deref(), Some("/acme"));
    }

    #[test]
    fn on_a_host_of_the_client_every_path_is_the_clients() {
        assert_eq!(checked("", Some("/dashboard?tab=2")).as_deref(), Some("/dashboard?tab=2"));
        assert_eq!(checked("", Some("/")).as_deref(), Some("/"));
        for wanted in [
            "//evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/login/x",
            "/logout",
            "https://evil.example/",
        ] {
            assert_eq!(checked("", Some(wanted)), None, "{wanted:?}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_dropped() {
        for wanted in [
            "",
            "acme/dashboard",
            "//evil.example/acme",
            "/\\evil.example",
            "/acme\\..\\..",
            "https://evil.example/acme",
            "javascript:alert(1)",
            "/globex/dashboard",
            "/acme/../globex",
            "/acme/%2e%2e/globex",
            "/acmeevil",
            "/acme/login/x",
            "/acme/logout",
            "/\t/evil.example",
            "/acme/\r\nSet-Cookie: a=b",
            "/.//evil.example",
            "/acme/..//evil.example",
            "/acme//evil.example/x",
        ] {
            assert_eq!(checked("/acme", Some(wanted)), None, "{wanted:?}");
        }
        assert_eq!(checked("/acme", None), None);
    }
}
