//! What is said of the pool: from what the mirrors know, which version's pool counts, what its targets are, and what is
//! wrong; and of that, what the receiver does not know yet. Pure.

use super::failure::Failure;
use super::pool::{Pool, Unusable, Version};
use crate::discovery::{Discovered, Target};

/// What one version of the API says of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Which version.
    pub version: Version,
    /// The pool there; `None` before that was ever known.
    pub pool: Option<Option<&'a Result<Pool, Unusable>>>,
    /// Why it may have changed since.
    pub failure: Option<&'a Failure>,
}

/// What both versions say together. Where both have the pool, `v1` counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict<'a> {
    /// Not known yet, or no longer; with what is wrong.
    Open(Option<String>),
    /// There is no such pool.
    Unknown(String),
    /// This one.
    Pool(Version, &'a Pool, Option<String>),
}

/// The state of discovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    /// `None`: not known.
    pub targets: Option<Vec<Target>>,
    /// Why they may be out of date.
    pub why: Option<String>,
}

/// What the receiver was told.
#[derive(Debug, Default)]
pub(super) struct Told(View);

// === impl Seen ===

impl<'a> Seen<'a> {
    /// Whether this version has no such pool, or will not tell: then the other one may have it.
    pub fn leaves_it_to_another(&self) -> bool {
        self.has_none() || self.pool.is_none() && matches!(self.failure, Some(Failure::Forbidden(_)))
    }

    fn has_none(&self) -> bool {
        matches!(self.pool, Some(None))
    }

    fn verdict(&self) -> Verdict<'a> {
        match self.pool {
            Some(Some(Ok(pool))) => Verdict::Pool(self.version, pool, self.why()),
            Some(Some(Err(unusable))) => Verdict::Open(Some(format!("{}: {unusable}", self.version.as_str()))),
            Some(None) | None => Verdict::Open(self.why()),
        }
    }

    fn why(&self) -> Option<String> {
        Some(self.failure?.about(self.version.as_str()))
    }

    fn absence(&self) -> String {
        let version = self.version.as_str();
        self.why().unwrap_or_else(|| format!("{version}: none of that name"))
    }
}

// === impl Verdict ===

impl<'a> Verdict<'a> {
    /// `v1alpha2` is `None` while nobody asks for it.
    pub fn of(v1: Seen<'a>, v1alpha2: Option<Seen<'a>>) -> Self {
        if !v1.leaves_it_to_another() {
            return v1.verdict();
        }
        let Some(v1alpha2) = v1alpha2 else {
            return Self::Open(v1.why());
        };
        if !v1alpha2.leaves_it_to_another() {
            return v1alpha2.verdict();
        }
        if v1.has_none() || v1alpha2.has_none() {
            Self::Unknown(format!("there is none ({}; {})", v1.absence(), v1alpha2.absence()))
        } else {
            Self::Open(v1.why())
        }
    }
}

// === impl Told ===

impl Told {
    /// What to tell, in this order. The receiver takes targets for the word that all is well, so a failure that goes on is
    /// told again behind them.
    pub fn news(&mut self, view: View) -> Vec<Discovered> {
        let mut news = Vec::new();
        let recovered = self.0.why.is_some() && view.why.is_none();
        if let Some(targets) = view.targets
            && (recovered || self.0.targets.as_ref() != Some(&targets))
        {
            news.push(Discovered::Targets(targets.clone()));
            self.0 = View {
                targets: Some(targets),
                why: None,
            };
        }
        if let Some(why) = view.why
            && self.0.why.as_ref() != Some(&why)
        {
            news.push(Discovered::Failing { why: why.clone() });
            self.0.why = Some(why);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Result<Pool, Unusable> {
        Ok(Pool {
            selector: [("app".to_owned(), "vllm".to_owned())].into(),
            ports: vec![8000.try_into().unwrap()],
        })
    }

    fn unreachable() -> Failure {
        Failure::Unreachable("connection refused".to_owned())
    }

    fn forbidden() -> Failure {
        Failure::Forbidden("User \"x\" cannot list".to_owned())
    }

    /// What the two versions say together: `(pool, failure)` of each, `None` for one that is not asked.
    type Says<'a> = (Option<Option<&'a Result<Pool, Unusable>>>, Option<&'a Failure>);

    fn verdict<'a>(v1: Says<'a>, v1alpha2: Option<Says<'a>>) -> Verdict<'a> {
        let seen = |version, (pool, failure)| Seen { version, pool, failure };
        Verdict::of(
            seen(Version::V1, v1),
            v1alpha2.map(|says| seen(Version::V1Alpha2, says)),
        )
    }

    #[test]
    fn v1_counts_where_both_have_the_pool() {
        let (a, b) = (pool(), pool());
        let verdict = verdict((Some(Some(&a)), None), Some((Some(Some(&b)), None)));
        assert!(matches!(verdict, Verdict::Pool(Version::V1, _, None)));
    }

    #[test]
    fn nothing_is_decided_before_v1_has_answered() {
        let b = pool();
        assert_eq!(verdict((None, None), None), Verdict::Open(None));
        let down = unreachable();
        let undecided = verdict((None, Some(&down)), Some((Some(Some(&b)), None)));
        assert!(matches!(undecided, Verdict::Open(Some(_))));
    }

    #[test]
    fn v1alpha2_counts_where_v1_has_none_or_may_not_be_read() {
        let (b, not_served, forbidden) = (pool(), Failure::NotServed, forbidden());
        for v1 in [
            (Some(None), None),
            (Some(None), Some(&not_served)),
            (None, Some(&forbidden)),
        ] {
            let verdict = verdict(v1, Some((Some(Some(&b)), None)));
            assert!(matches!(verdict, Verdict::Pool(Version::V1Alpha2, _, None)), "{v1:?}");
        }
    }

    #[test]
    fn a_pool_that_was_known_stays_through_a_failure() {
        let a = pool();
        for failure in [unreachable(), forbidden()] {
            let verdict = verdict((Some(Some(&a)), Some(&failure)), None);
            assert!(matches!(verdict, Verdict::Pool(Version::V1, _, Some(_))), "{failure}");
        }
    }

    #[test]
    fn a_pool_is_unknown_once_one_version_has_none_and_the_other_has_none_or_will_not_tell() {
        let (not_served, forbidden) = (Failure::NotServed, forbidden());
        let Verdict::Unknown(why) = verdict((Some(None), None), Some((Some(None), Some(&not_served)))) else {
            panic!("not unknown");
        };
        assert_eq!(
            why,
            "there is none (inference.networking.k8s.io/v1: none of that name; \
             inference.networking.x-k8s.io/v1alpha2: the API server does not serve it)"
        );
        let Verdict::Unknown(why) = verdict((Some(None), None), Some((None, Some(&forbidden)))) else {
            panic!("not unknown");
        };
        assert!(why.contains("User \"x\" cannot list"), "{why}");
        let open = verdict((None, Some(&forbidden)), Some((None, Some(&forbidden))));
        assert!(matches!(open, Verdict::Open(Some(why)) if why.contains("cannot list")));
    }

    #[test]
    fn a_pool_of_another_shape_leaves_what_was_known() {
        let unusable = Err(Unusable::NoSelector);
        let verdict = verdict((Some(Some(&unusable)), None), None);
        assert!(matches!(verdict, Verdict::Open(Some(why)) if why.contains("selector is empty")));
    }

    // === Told

    fn view(targets: Option<&[&str]>, why: Option<&str>) -> View {
        let target = |name: &&str| Target {
            name: (*name).into(),
            url: None,
            ready: Some(true),
            engine: None,
        };
        View {
            targets: targets.map(|names| names.iter().map(target).collect()),
            why: why.map(str::to_owned),
        }
    }

    /// What is told of one view after the other, as `Failing`'s words or the targets' names.
    fn told(views: &[View]) -> Vec<Vec<String>> {
        let mut told = Told::default();
        let text = |news: &Discovered| match news {
            Discovered::Targets(targets) => targets.iter().map(|target| &*target.name).collect::<Vec<_>>().join("+"),
            Discovered::Failing { why } => format!("failing: {why}"),
        };
        views
            .iter()
            .map(|view| told.news(view.clone()).iter().map(text).collect())
            .collect()
    }

    #[test]
    fn what_is_known_already_is_not_told_again() {
        let (a, down) = (view(Some(&["a"]), None), view(Some(&["a"]), Some("down")));
        let expected: [&[&str]; 6] = [&["a"], &[], &["failing: down"], &[], &["a"], &[]];
        assert_eq!(
            told(&[a.clone(), a.clone(), down.clone(), down, a.clone(), a]),
            expected
        );
    }

    #[test]
    fn a_failure_that_goes_on_is_told_behind_new_targets() {
        let views = [view(Some(&["a"]), Some("down")), view(Some(&["a", "b"]), Some("down"))];
        let expected: [&[&str]; 2] = [&["a", "failing: down"], &["a+b", "failing: down"]];
        assert_eq!(told(&views), expected);
    }

    #[test]
    fn a_failure_is_over_only_when_targets_are_known_again() {
        let views = [
            view(None, Some("down")),
            view(None, None),
            view(None, Some("down")),
            view(Some(&[]), None),
        ];
        let expected: [&[&str]; 4] = [&["failing: down"], &[], &[], &[""]];
        assert_eq!(told(&views), expected);
    }
}
