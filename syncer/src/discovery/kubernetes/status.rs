//! Combines what the reflectors know into a [`DiscoveryStatus`]: which version's pool applies, its targets, and what fails.
//! [`Publisher`] turns that into the updates that the receiver lacks. Pure.

use super::error::ApiError;
use super::pool_spec::{InvalidPool, PoolSpec, Version};
use crate::target::{Discovered, Target};

/// The pool in one version of the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionStatus<'a> {
    /// The version.
    pub version: Version,
    /// `None` before the first list; then the pool, or `None` if there is none of its name.
    pub pool: Option<Option<&'a Result<PoolSpec, InvalidPool>>>,
    /// Why `pool` may be out of date.
    pub error: Option<&'a ApiError>,
}

/// The pool in both versions together. Where both have it, `v1` applies.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolution<'a> {
    /// Unknown, so the last targets stay; with the cause, if it is a failure.
    Unknown(Option<String>),
    /// There is no such pool.
    NotFound(String),
    /// The pool, and why it may be out of date.
    Found(Version, &'a PoolSpec, Option<String>),
}

/// What discovery knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DiscoveryStatus {
    /// `None`: unknown.
    pub targets: Option<Vec<Target>>,
    /// Why the targets may be out of date.
    pub error: Option<String>,
}

/// Remembers what the receiver has been sent.
#[derive(Debug, Default)]
pub(super) struct Publisher(DiscoveryStatus);

// === impl VersionStatus ===

impl<'a> VersionStatus<'a> {
    /// Whether the other version may have the pool: this one lacks it, or forbids access.
    pub fn defers_to_other(&self) -> bool {
        self.is_absent() || self.pool.is_none() && matches!(self.error, Some(ApiError::Forbidden(_)))
    }

    fn is_absent(&self) -> bool {
        matches!(self.pool, Some(None))
    }

    fn resolution(&self) -> Resolution<'a> {
        match self.pool {
            Some(Some(Ok(pool))) => Resolution::Found(self.version, pool, self.message()),
            Some(Some(Err(invalid))) => Resolution::Unknown(Some(format!("{}: {invalid}", self.version.as_str()))),
            Some(None) | None => Resolution::Unknown(self.message()),
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.error?.about(self.version.as_str()))
    }

    fn absence(&self) -> String {
        let version = self.version.as_str();
        self.message().unwrap_or_else(|| format!("{version}: not found"))
    }
}

// === impl Resolution ===

impl<'a> Resolution<'a> {
    /// `v1alpha2` is `None` while that version is not watched.
    pub fn new(v1: VersionStatus<'a>, v1alpha2: Option<VersionStatus<'a>>) -> Self {
        if !v1.defers_to_other() {
            return v1.resolution();
        }
        let Some(v1alpha2) = v1alpha2 else {
            return Self::Unknown(v1.message());
        };
        if !v1alpha2.defers_to_other() {
            return v1alpha2.resolution();
        }
        if v1.is_absent() || v1alpha2.is_absent() {
            Self::NotFound(format!("not found ({}; {})", v1.absence(), v1alpha2.absence()))
        } else {
            Self::Unknown(v1.message())
        }
    }
}

// === impl Publisher ===

impl Publisher {
    /// The updates to send, in order. Targets imply that discovery works, so a failure that persists is sent again after
    /// them.
    pub fn updates(&mut self, status: DiscoveryStatus) -> Vec<Discovered> {
        let mut updates = Vec::new();
        let recovered = self.0.error.is_some() && status.error.is_none();
        if let Some(targets) = status.targets
            && (recovered || self.0.targets.as_ref() != Some(&targets))
        {
            updates.push(Discovered::Targets(targets.clone()));
            self.0 = DiscoveryStatus {
                targets: Some(targets),
                error: None,
            };
        }
        if let Some(error) = status.error
            && self.0.error.as_ref() != Some(&error)
        {
            updates.push(Discovered::Failing { why: error.clone() });
            self.0.error = Some(error);
        }
        updates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Result<PoolSpec, InvalidPool> {
        Ok(PoolSpec {
            selector: [("app".to_owned(), "vllm".to_owned())].into(),
            ports: vec![8000.try_into().unwrap()],
        })
    }

    fn unreachable() -> ApiError {
        ApiError::Unreachable("connection refused".to_owned())
    }

    fn forbidden() -> ApiError {
        ApiError::Forbidden("User \"x\" cannot list".to_owned())
    }

    /// The fields `pool` and `error` of a [`VersionStatus`].
    type Fields<'a> = (Option<Option<&'a Result<PoolSpec, InvalidPool>>>, Option<&'a ApiError>);

    fn resolve<'a>(v1: Fields<'a>, v1alpha2: Option<Fields<'a>>) -> Resolution<'a> {
        let status = |version, (pool, error)| VersionStatus { version, pool, error };
        Resolution::new(
            status(Version::V1, v1),
            v1alpha2.map(|fields| status(Version::V1Alpha2, fields)),
        )
    }

    #[test]
    fn v1_applies_where_both_versions_have_the_pool() {
        let (a, b) = (pool(), pool());
        let resolution = resolve((Some(Some(&a)), None), Some((Some(Some(&b)), None)));
        assert!(matches!(resolution, Resolution::Found(Version::V1, _, None)));
    }

    #[test]
    fn the_pool_is_unknown_before_v1_has_been_listed() {
        let b = pool();
        assert_eq!(resolve((None, None), None), Resolution::Unknown(None));
        let down = unreachable();
        let resolution = resolve((None, Some(&down)), Some((Some(Some(&b)), None)));
        assert!(matches!(resolution, Resolution::Unknown(Some(_))));
    }

    #[test]
    fn v1alpha2_applies_where_v1_lacks_the_pool_or_is_forbidden() {
        let (b, not_served, forbidden) = (pool(), ApiError::NotServed, forbidden());
        for v1 in [
            (Some(None), None),
            (Some(None), Some(&not_served)),
            (None, Some(&forbidden)),
        ] {
            let resolution = resolve(v1, Some((Some(Some(&b)), None)));
            assert!(
                matches!(resolution, Resolution::Found(Version::V1Alpha2, _, None)),
                "{v1:?}"
            );
        }
    }

    #[test]
    fn a_known_pool_stays_through_a_failure() {
        let a = pool();
        for error in [unreachable(), forbidden()] {
            let resolution = resolve((Some(Some(&a)), Some(&error)), None);
            assert!(
                matches!(resolution, Resolution::Found(Version::V1, _, Some(_))),
                "{error}"
            );
        }
    }

    #[test]
    fn a_pool_is_not_found_if_one_version_lacks_it_and_the_other_lacks_or_forbids_it() {
        let (not_served, forbidden) = (ApiError::NotServed, forbidden());
        let Resolution::NotFound(why) = resolve((Some(None), None), Some((Some(None), Some(&not_served)))) else {
            panic!("must not be found");
        };
        assert_eq!(
            why,
            "not found (inference.networking.k8s.io/v1: not found; \
             inference.networking.x-k8s.io/v1alpha2: the API server does not serve it)"
        );
        let Resolution::NotFound(why) = resolve((Some(None), None), Some((None, Some(&forbidden)))) else {
            panic!("must not be found");
        };
        assert!(why.contains("User \"x\" cannot list"), "{why}");
        let unknown = resolve((None, Some(&forbidden)), Some((None, Some(&forbidden))));
        assert!(matches!(unknown, Resolution::Unknown(Some(why)) if why.contains("cannot list")));
    }

    #[test]
    fn an_invalid_pool_is_unknown() {
        let invalid = Err(InvalidPool::EmptySelector);
        let resolution = resolve((Some(Some(&invalid)), None), None);
        assert!(matches!(resolution, Resolution::Unknown(Some(why)) if why.contains("selector is empty")));
    }

    // === Publisher

    fn status(targets: Option<&[&str]>, error: Option<&str>) -> DiscoveryStatus {
        let target = |name: &&str| Target {
            name: (*name).into(),
            url: None,
            ready: Some(true),
            engine: None,
            role: None,
        };
        DiscoveryStatus {
            targets: targets.map(|names| names.iter().map(target).collect()),
            error: error.map(str::to_owned),
        }
    }

    /// The updates after each status: the names of targets, or `failing` and the cause.
    fn updates(statuses: &[DiscoveryStatus]) -> Vec<Vec<String>> {
        let mut publisher = Publisher::default();
        let text = |update: &Discovered| match update {
            Discovered::Targets(targets) => targets.iter().map(|target| &*target.name).collect::<Vec<_>>().join("+"),
            Discovered::Failing { why } => format!("failing: {why}"),
            Discovered::Removed => "removed".to_owned(),
        };
        statuses
            .iter()
            .map(|status| publisher.updates(status.clone()).iter().map(text).collect())
            .collect()
    }

    #[test]
    fn only_changes_are_sent() {
        let (a, down) = (status(Some(&["a"]), None), status(Some(&["a"]), Some("down")));
        let expected: [&[&str]; 6] = [&["a"], &[], &["failing: down"], &[], &["a"], &[]];
        assert_eq!(
            updates(&[a.clone(), a.clone(), down.clone(), down, a.clone(), a]),
            expected
        );
    }

    #[test]
    fn a_persistent_failure_is_sent_again_after_new_targets() {
        let statuses = [
            status(Some(&["a"]), Some("down")),
            status(Some(&["a", "b"]), Some("down")),
        ];
        let expected: [&[&str]; 2] = [&["a", "failing: down"], &["a+b", "failing: down"]];
        assert_eq!(updates(&statuses), expected);
    }

    #[test]
    fn a_failure_ends_only_when_targets_are_known_again() {
        let statuses = [
            status(None, Some("down")),
            status(None, None),
            status(None, Some("down")),
            status(Some(&[]), None),
        ];
        let expected: [&[&str]; 4] = [&["failing: down"], &[], &[], &[""]];
        assert_eq!(updates(&statuses), expected);
    }
}
