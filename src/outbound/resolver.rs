//! Names to addresses, at the moment of connecting: what is returned here is what is connected to, so that there is no
//! time between a check and a use in which a name could change its meaning (DNS rebinding).

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// The addresses of one name, on their way.
pub type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// How a name becomes addresses.
pub type Lookup = Arc<dyn Fn(String) -> LookingUp + Send + Sync>;

/// The system's resolver.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// The name has addresses, and none of them may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("no address of this host may be reached")]
pub(super) struct Refused;

/// Where one kind of request may go.
#[derive(Clone)]
pub(super) struct Reach {
    pub opened: Arc<[IpNet]>,
    /// Opened networks only, because nothing protects the request on its way.
    pub opened_only: bool,
}

impl Reach {
    pub fn permits(&self, address: IpAddr) -> bool {
        address::is_opened(address, &self.opened) || (!self.opened_only && address::is_public(address))
    }
}

/// A resolver that returns only what may be connected to.
pub(super) struct Guarded {
    pub lookup: Lookup,
    pub reach: Reach,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let looked_up = (self.lookup)(name.as_str().to_owned());
        let reach = self.reach.clone();
        Box::pin(async move {
            let mut found = looked_up.await?;
            found.retain(|found| reach.permits(found.ip()));
            if found.is_empty() { Err(Refused.into()) } else { Ok(Box::new(found.into_iter()) as Addrs) }
        })
    }
}
