//! Which model servers the pool has. Each source says the whole set, again whenever it changes; what the servers serve is
//! another module's business.

pub mod kubernetes;

use std::sync::Arc;

use http::Uri;

/// A model server, as a source of targets names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The value of the label `model_server_pod`.
    pub name: Arc<str>,
    /// Where its metrics are; `None` when it has no address, so that it counts but can't be read.
    pub url: Option<Uri>,
    /// The source's own word about it; `None` when the scrape decides.
    pub ready: Option<bool>,
    /// The engine, as the source spells it.
    pub engine: Option<String>,
}

/// What a source has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovered {
    /// The whole set; it replaces the one before, and the source is well.
    Targets(Vec<Target>),
    /// The source can't say; the last known set stays.
    Failing {
        /// For the log and the status page.
        why: String,
    },
}
