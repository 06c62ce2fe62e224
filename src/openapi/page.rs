//! The API's page for people: every operation of the OpenAPI document on one plain page, without a script.

use std::fmt::Write;

use utoipa::openapi::{
    OpenApi, RefOr, Required,
    path::{Operation, Parameter, PathItem},
    request_body::RequestBody,
    schema::Schema,
};

/// The stylesheet of the page.
pub(super) const STYLE: &str = include_str!("docs.css");

/// Renders the page.
pub(super) fn render(document: &OpenApi) -> String {
    let mut page = head(&document.info.title);
    put(&mut page, format_args!("<h1>{}</h1>", escape(&document.info.title)));
    put(&mut page, format_args!("<p>{}</p>", text(document.info.description.as_deref().unwrap_or_default())));
    page.push_str(
        "<p>For programs: <a href=\"/api/openapi.json\">openapi.json</a>. What went wrong: \
         <a href=\"/api/docs/errors\">every error code</a>.</p>",
    );
    let tags: Vec<_> = document.tags.iter().flatten().collect();
    page.push_str("<nav aria-label=\"Resources\"><ul>");
    for tag in &tags {
        put(&mut page, format_args!("<li><a href=\"#{0}\">{0}</a></li>", escape(&tag.name)));
    }
    page.push_str("</ul></nav>");
    for tag in &tags {
        let about = escape(tag.description.as_deref().unwrap_or_default());
        put(&mut page, format_args!("<section id=\"{0}\"><h2>{0}</h2><p>{about}</p>", escape(&tag.name)));
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                if operation.tags.iter().flatten().any(|name| *name == tag.name) {
                    show(&mut page, method, path, operation);
                }
            }
        }
        page.push_str("</section>");
    }
    page.push_str("<section id=\"schemas\"><h2>Bodies</h2>");
    for (name, schema) in document.components.iter().flat_map(|components| &components.schemas) {
        let json = serde_json::to_string_pretty(schema).unwrap_or_default();
        put(
            &mut page,
            format_args!(
                "<details id=\"schema-{0}\"><summary><code>{0}</code></summary><pre>{1}</pre></details>",
                escape(name),
                escape(&json)
            ),
        );
    }
    page.push_str("</section></main></body></html>");
    page
}

/// The beginning of a page, up to its heading.
pub(super) fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title>\
         <link rel=\"stylesheet\" href=\"/api/docs.css\"></head><body><main>",
        escape(title)
    )
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)]
        .into_iter()
        .filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn show(page: &mut String, method: &str, path: &str, operation: &Operation) {
    let summary = escape(operation.summary.as_deref().unwrap_or_default());
    put(page, format_args!("<article><h3><code><b>{method}</b> {}</code></h3><p>{summary}</p>", escape(path)));
    if let Some(description) = &operation.description {
        put(page, format_args!("<p>{}</p>", text(description)));
    }
    let parameters: Vec<&Parameter> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    if !parameters.is_empty() {
        page.push_str("<dl>");
        for parameter in parameters {
            let needed = if matches!(parameter.required, Required::True) { "" } else { " (optional)" };
            let about = escape(parameter.description.as_deref().unwrap_or_default());
            put(page, format_args!("<dt><code>{}</code>{needed}</dt><dd>{about}</dd>", escape(&parameter.name)));
        }
        page.push_str("</dl>");
    }
    if let Some(RefOr::T(body)) = &operation.request_body {
        put(page, format_args!("<p>Body: {}</p>", body_link(body)));
    }
    page.push_str("<ul>");
    for (status, response) in &operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        put(page, format_args!("<li><code>{}</code> {}</li>", escape(status), escape(&response.description)));
    }
    page.push_str("</ul></article>");
}

fn body_link(body: &RequestBody) -> String {
    let schemas = body.content.values().filter_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    });
    let links = schemas.map(|schema: &RefOr<Schema>| match schema {
        RefOr::Ref(reference) => {
            let name = escape(reference.ref_location.rsplit('/').next().unwrap_or_default());
            format!("<a href=\"#schema-{name}\"><code>{name}</code></a>")
        }
        RefOr::T(_) => "a JSON object".to_owned(),
    });
    links.collect::<Vec<_>>().join(", ")
}

pub(super) fn put(page: &mut String, piece: std::fmt::Arguments<'_>) {
    page.write_fmt(piece).expect("writing to a String does not fail");
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Escapes, and shows what stands between backticks as code.
pub(super) fn text(source: &str) -> String {
    let parts = source.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}
