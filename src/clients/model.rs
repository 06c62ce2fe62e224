//! What a client and a sublicense are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Branding;
use crate::{
    admin::Invalid,
    fault::Fault,
    ids::{ClientId, SublicenseId},
};

/// Whether a client's people are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    Active,
    Disabled,
}

impl ClientStatus {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        match text {
            "active" => Ok(Self::Active),
            "disabled" => Ok(Self::Disabled),
            other => Err(Fault::Corrupt(format!("`{other}` is no status of a client"))),
        }
    }
}

/// An e-mail domain that a client names as its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmailDomain {
    pub domain: String,
    /// When an operator vouched for it, or DNS proved it; null before.
    pub verified_at: Option<DateTime<Utc>>,
    /// Who vouched.
    pub by: Option<String>,
}

/// A customer organisation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Client {
    pub id: ClientId,
    /// Its name in paths; never changed.
    pub slug: String,
    pub name: String,
    pub sku: Option<String>,
    /// Host names that serve this client's pages.
    pub hosts: Vec<String>,
    pub email_domains: Vec<EmailDomain>,
    pub license_ends_at: Option<DateTime<Utc>>,
    pub seat_limit: Option<i32>,
    /// Learners who hold a seat; null where there is no limit, since seats are counted only under one.
    pub seats_used: Option<i32>,
    /// Seats that open invites hold; null where there is no limit.
    pub seats_reserved: Option<i32>,
    pub branding: Branding,
    pub password_login: bool,
    pub sso_required: bool,
    pub verify_email_first: bool,
    pub invite_ttl_days: i32,
    pub reminders_days: Vec<i32>,
    /// Whether an invite may be accepted by another verified address, where its domain is a proved one of the client.
    pub invite_any_domain_address: bool,
    pub session_idle_s: i32,
    pub session_absolute_s: i32,
    pub default_locale: String,
    pub time_zone: String,
    pub status: ClientStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A named part of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sublicense {
    pub id: SublicenseId,
    /// Its name in mappings; never changed.
    pub slug: String,
    pub name: String,
    pub sku: Option<String>,
    /// The one that a client was made with, or that was made the default since.
    pub is_default: bool,
    pub seat_limit: Option<i32>,
    /// Learners who hold a seat; null where there is no limit, since seats are counted only under one.
    pub seats_used: Option<i32>,
    /// How long access lasts from the day it is granted; null for open access.
    pub access_days: Option<i32>,
    pub ends_at: Option<DateTime<Utc>>,
    /// Further names by which a mapping may know it.
    pub refs: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Why a client or a sublicense was not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is nothing here")]
    NotFound,
    #[error("{0}")]
    Invalid(Invalid),
    #[error("another client has this slug")]
    SlugTaken,
    #[error("another client or sublicense has this sku")]
    SkuTaken,
    #[error("another client has one of these host names")]
    HostTaken,
    #[error("this client has a sublicense with this slug")]
    SublicenseSlugTaken,
    #[error("the default sublicense cannot be deleted; make another one the default first")]
    IsDefault,
    #[error("the sublicense is granted, or content is shown to it")]
    InUse,
    #[error(transparent)]
    Fault(Fault),
}

impl From<Invalid> for ClientError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<sqlx::Error> for ClientError {
    fn from(error: sqlx::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<Fault> for ClientError {
    fn from(fault: Fault) -> Self {
        match fault.constraint() {
            Some("slugs_pkey") => Self::SlugTaken,
            Some("clients_sku_unique" | "sublicenses_sku_unique") => Self::SkuTaken,
            Some("hosts_pkey") => Self::HostTaken,
            Some("sublicenses_slug_unique") => Self::SublicenseSlugTaken,
            Some(
                "access_grants_sublicense_fkey"
                | "blocks_sublicense_fkey"
                | "content_sublicenses_sublicense_fkey"
                | "code_offer_sublicenses_sublicense_fkey",
            ) => Self::InUse,
            _ => Self::Fault(fault),
        }
    }
}
