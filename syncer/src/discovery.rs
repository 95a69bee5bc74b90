//! Where the pool's pods are. Each source tells the whole set whenever it changes; nobody keeps a set by increments.
//!
//! A source that can't say sends [`Discovered::Failing`], and whoever listens keeps what it was told last. Only
//! `kubernetes` knows Kubernetes' types.

pub mod dns;
pub mod file;
pub mod kubernetes;

pub mod target;

use std::sync::Arc;

use http::Uri;

/// More targets than one syncer can read each second; what lies beyond is not scraped, and said to be failing.
pub const MAX_TARGETS: usize = 10_000;

/// A replica of the model server whose metrics are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name: the value of the label `model_server_pod`.
    pub name: Arc<str>,
    /// Where it is; none while it has no address yet. A path of its own, where it has one, is that of its metrics.
    pub url: Option<Uri>,
    /// Whether it is ready by Kubernetes' word (condition Ready, and not terminating). None: nobody says, so it is as long
    /// as it can be read.
    pub ready: Option<bool>,
    /// The engine that it is labelled with, as the label says it.
    pub engine: Option<String>,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovered {
    /// These are all, from now on.
    Targets(Vec<Target>),
    /// The source can't say; what it said last still stands.
    Failing {
        /// Why, for a person.
        why: String,
    },
}
