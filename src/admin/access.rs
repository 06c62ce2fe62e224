//! Routes of the admin API are registered here together with who may call them. The list is what the access test walks;
//! the OpenAPI document says the same, since both come from the one registration.

use axum::Router;
use utoipa::openapi::{
    Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    path::{Operation, ParameterBuilder, ParameterIn, PathItem},
    schema::Type,
    security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{ClientScope, Grants, OperatorScope, Permission};
use crate::app::App;

/// The name of the security scheme in the OpenAPI document.
pub const SECURITY_SCHEME: &str = "token";

/// One route with who may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    /// The template, such as `/api/v1/clients/{client}`.
    pub path: String,
    pub permission: Permission,
    pub operator_only: bool,
}

/// What a scope extractor demands.
pub trait Access {
    const PERMISSION: Permission;
    const OPERATOR_ONLY: bool;
}

impl<P: Grants> Access for OperatorScope<P> {
    const PERMISSION: Permission = P::PERMISSION;
    const OPERATOR_ONLY: bool = true;
}

impl<P: Grants> Access for ClientScope<P> {
    const PERMISSION: Permission = P::PERMISSION;
    const OPERATOR_ONLY: bool = false;
}

/// Routes with their access list and their OpenAPI.
#[derive(Default)]
pub struct ApiRoutes {
    router: OpenApiRouter<App>,
    list: Vec<Route>,
}

impl ApiRoutes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds handlers that all take the scope `S`: `.add::<ClientScope<ContentRead>>(routes!(list, load))`.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "nobody adds lists of routes with a plus")]
    pub fn add<S: Access>(mut self, (schemas, mut paths, handlers): UtoipaMethodRouter<App>) -> Self {
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                let route =
                    Route { method, path: path.clone(), permission: S::PERMISSION, operator_only: S::OPERATOR_ONLY };
                describe(operation, &route);
                self.list.push(route);
            }
        }
        self.router = self.router.routes((schemas, paths, handlers));
        self
    }

    /// Adds the routes of another part.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self
    }

    /// Who may call what.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    /// The routes themselves, and their OpenAPI.
    pub fn split(self) -> (Router<App>, OpenApi) {
        self.router.split_for_parts()
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", item.get.as_mut()),
        ("PUT", item.put.as_mut()),
        ("POST", item.post.as_mut()),
        ("DELETE", item.delete.as_mut()),
        ("PATCH", item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

/// Says in the document what the scope and the edge do to every operation alike.
fn describe(operation: &mut Operation, route: &Route) {
    operation.security = Some(vec![SecurityRequirement::new(SECURITY_SCHEME, [route.permission.as_str()])]);
    let who = if route.operator_only { "an operator's token" } else { "an operator's token, or one of this client" };
    let needs = format!("Needs {who} with the scope `{}`.", route.permission.as_str());
    operation.description = Some(match operation.description.take() {
        Some(text) => format!("{text}\n\n{needs}"),
        None => needs,
    });
    let mut answers = vec![
        ("401", "No live token."),
        ("403", "The token lacks the scope, or the field or route is for operators."),
        ("429", "Too many requests of this token; see Retry-After."),
        ("503", "PostgreSQL or Redis is away; try again shortly."),
    ];
    if route.path.contains('{') {
        answers.push(("404", "There is nothing here; the same for what is another client's."));
    }
    answers.push(("422", "The request does not hold together; see errors."));
    if matches!(route.method, "POST" | "PUT" | "PATCH") && operation.request_body.is_some() {
        answers.push(("400", "The body is not JSON."));
        answers.push(("413", "The body is too large."));
        answers.push(("415", "The body is not sent as application/json."));
    }
    for (status, text) in answers {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(text));
    }
    let parameters = operation.parameters.get_or_insert_default();
    let named = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    for name in named {
        let is_there = parameters.iter().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.name == name,
            RefOr::Ref(_) => false,
        });
        if !is_there {
            let text = if name == "client" { "The client's id or slug." } else { "Which one." };
            parameters.push(RefOr::T(path_parameter(name, text)));
        }
    }
    if route.method == "POST" {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Repeating a request with its key within 24 hours changes nothing twice and answers the same.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255))));
        parameters.push(RefOr::T(key.build()));
    }
}

fn path_parameter(name: &str, text: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(text))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn problem(text: &str) -> RefOr<Response> {
    let mut response = Response::new(text);
    let schema = Ref::from_schema_name("ProblemDetails");
    response.content.insert("application/problem+json".to_owned(), RefOr::T(Content::new(Some(schema))));
    RefOr::T(response)
}
