//! What a content item is, what may change of it, and whether it holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use crate::{
    admin::{Invalid, present},
    clients::{Surroundings, is_plain_text, web_url},
    fault::Fault,
    ids::{ContentId, SublicenseId},
};

const MAX_TITLE: usize = 300;
const MAX_DESCRIPTION: usize = 5000;
const MAX_EXTERNAL_ID: usize = 200;
const MAX_SUBLICENSES: usize = 1000;

/// Who sees an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everybody of the client who may see any sublicense.
    Client,
    /// Those who may see one of the named sublicenses.
    Sublicenses,
}

impl Audience {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Sublicenses => "sublicenses",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "client" => Ok(Self::Client),
            "sublicenses" => Ok(Self::Sublicenses),
            other => Err(Fault::Corrupt(format!("`{other}` is no audience"))),
        }
    }
}

/// A reference into the learning platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ContentItem {
    pub id: ContentId,
    pub title: String,
    pub description: String,
    pub url: String,
    /// The learning platform's own id; unique within the client.
    pub external_id: Option<String>,
    pub audience: Audience,
    pub sublicenses: Vec<SublicenseId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Changes of an item. What is left out stays as it is; null clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentChange {
    #[serde(default, deserialize_with = "present")]
    pub title: Option<String>,
    /// Plain text, at most 5,000 characters; may be empty.
    #[serde(default, deserialize_with = "present")]
    pub description: Option<String>,
    /// https.
    #[serde(default, deserialize_with = "present")]
    pub url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub external_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub audience: Option<Audience>,
    /// Ids or slugs; the whole list. Named exactly when the audience is `sublicenses`.
    #[serde(default, deserialize_with = "present")]
    pub sublicenses: Option<Vec<String>>,
}

/// An item about to be made: a change that names `title` and `url`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct NewContent(pub ContentChange);

impl PartialSchema for NewContent {
    fn schema() -> RefOr<Schema> {
        let mut schema = ContentChange::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required = vec!["title".to_owned(), "url".to_owned()];
        }
        schema
    }
}

impl ToSchema for NewContent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ContentChange::schemas(schemas);
    }
}

impl ContentChange {
    /// Says everything that does not hold.
    pub(super) fn check(&self, surroundings: Surroundings<'_>) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        if self.title.as_ref().is_some_and(|title| !is_plain_text(title, MAX_TITLE, false)) {
            invalid.push("api.invalid", "/title", "a title has 1 to 300 characters");
        }
        let describes = |text: &String| text.is_empty() || is_plain_text(text, MAX_DESCRIPTION, true);
        if self.description.as_ref().is_some_and(|text| !describes(text)) {
            invalid.push("api.invalid", "/description", "a description is plain text of at most 5000 characters");
        }
        if self.url.as_ref().is_some_and(|url| web_url(url, surroundings).is_none()) {
            invalid.push("api.invalid", "/url", "write a whole https URL");
        }
        if let Some(Some(id)) = &self.external_id
            && !is_plain_text(id, MAX_EXTERNAL_ID, false)
        {
            invalid.push("api.invalid", "/external_id", "an external id has 1 to 200 characters");
        }
        if self.sublicenses.as_ref().is_some_and(|list| list.len() > MAX_SUBLICENSES) {
            invalid.push("api.invalid", "/sublicenses", "at most 1000 sublicenses");
        }
        invalid.finish()
    }

    /// The item as it will be; `sublicenses` are the ids of those that the change names. Call it after [`Self::check`].
    pub(super) fn apply(self, item: &mut ContentItem, sublicenses: Option<Vec<SublicenseId>>) -> Result<(), Invalid> {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        set(&mut item.title, self.title);
        set(&mut item.description, self.description);
        set(&mut item.url, self.url);
        set(&mut item.external_id, self.external_id);
        set(&mut item.audience, self.audience);
        let names_some = sublicenses.as_ref().is_some_and(|list| !list.is_empty());
        set(&mut item.sublicenses, sublicenses);
        match item.audience {
            Audience::Client if names_some => {
                let detail = "an item for the whole client names no sublicenses";
                Err(Invalid::field("content.audience", "/sublicenses", detail))
            }
            Audience::Client => {
                item.sublicenses.clear();
                Ok(())
            }
            Audience::Sublicenses if item.sublicenses.is_empty() => {
                let detail = "name at least one sublicense, or make the audience `client`";
                Err(Invalid::field("content.audience", "/sublicenses", detail))
            }
            Audience::Sublicenses => Ok(()),
        }
    }
}
