//! The page of every stable code: what it means and what to do. The words stand in `errors.txt`; a test holds them
//! against the source, so that none is missing and none is stale.

use super::page::{escape, head, put, text};

/// A line `code = words` for each code, under lines `# heading`.
const WORDS: &str = include_str!("errors.txt");

/// Renders the page.
pub(super) fn render() -> String {
    let mut page = head("Usher error codes");
    page.push_str(
        "<h1>Usher error codes</h1><p>Every answer that is no success is a problem (RFC 9457): its <code>code</code> is one \
         of these, its <code>title</code> says more of the case, and <code>errors</code> name the fields. Refused sign-ins \
         have their code in the list of attempts. A code keeps its meaning. The <code>reference</code> leads to the log \
         and the audit trail.</p><p><a href=\"/api/docs\">The admin API</a></p>",
    );
    let mut is_open = false;
    for line in WORDS.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            page.push_str(if is_open { "</dl>" } else { "" });
            put(&mut page, format_args!("<h2>{}</h2><dl>", text(heading)));
            is_open = true;
        } else if let Some((code, words)) = line.split_once(" = ") {
            let code = escape(code);
            put(&mut page, format_args!("<dt id=\"{code}\"><code>{code}</code></dt><dd>{}</dd>", text(words)));
        }
    }
    page.push_str("</dl></main></body></html>");
    page
}
