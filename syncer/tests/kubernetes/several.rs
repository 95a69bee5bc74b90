//! All pools of a namespace: those of both versions, those that are created later, and one that fails.

use std::collections::BTreeMap;

use infertally_syncer::discovery::kubernetes::MAX_POOLS;
use infertally_syncer::target::Discovered;
use serde_json::json;

use crate::api::{Api, Kind};
use crate::setup::{Setup, pool_v1, pool_v1alpha2, ready_pod};

const ALL: &str = "inference/*";

/// What discovery reported last of each pool.
struct Observed {
    setup: Setup,
    /// The pods' names, separated by blanks.
    pods: BTreeMap<String, String>,
    failing: BTreeMap<String, String>,
}

// === impl Observed ===

impl Observed {
    fn start(api: &Api) -> Self {
        Self {
            setup: Setup::follow(api, "*"),
            pods: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Applies updates until `done`.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let (pool, update) = self.setup.next_of_any().await;
            match update {
                Discovered::Targets(targets) => {
                    let names: Vec<_> = targets.iter().map(|target| &*target.name).collect();
                    self.failing.remove(&pool);
                    self.pods.insert(pool, names.join(" "));
                }
                Discovered::Failing { why } => _ = self.failing.insert(pool, why),
                Discovered::Removed => {
                    self.failing.remove(&pool);
                    assert!(self.pods.remove(&pool).is_some(), "{pool} was not there");
                }
            }
        }
    }

    /// Waits until exactly these pools have these pods, besides the list itself.
    async fn until_pods(&mut self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(pool, pods)| (format!("inference/{pool}"), (*pods).to_owned()))
            .chain([(ALL.to_owned(), String::new())])
            .collect();
        self.until(|observed| observed.pods == expected).await;
    }
}

/// Two pools in `v1`, and one in `v1alpha2`.
fn api() -> Api {
    let api = Api::serving(&[Kind::PoolV1, Kind::PoolV1Alpha2]);
    for (pool, last) in [("chat", 1), ("code", 2)] {
        api.put(Kind::PoolV1, pool, pool_v1(pool, &[8000]));
        api.put(Kind::Pod, &format!("{pool}-0"), ready_pod(pool, last));
    }
    api.put(Kind::PoolV1Alpha2, "old", pool_v1alpha2("old", 8000));
    api.put(Kind::Pod, "old-0", ready_pod("old", 3));
    api
}

const EXPECTED: [(&str, &str); 3] = [("chat", "chat-0"), ("code", "code-0"), ("old", "old-0")];

#[tokio::test(start_paused = true)]
async fn pools_are_followed_from_their_creation_to_their_deletion() {
    let api = api();
    let mut observed = Observed::start(&api);
    observed.until_pods(&EXPECTED).await;
    assert!(observed.failing.is_empty(), "{:?}", observed.failing);
    // One list and watch for the pools of a version, whatever their number.
    let requests = api.requests();
    let of_pools = requests.iter().filter(|request| request.contains("/inferencepools"));
    assert_eq!(of_pools.count(), 4, "{requests:?}");

    api.put(Kind::Pod, "new-0", ready_pod("new", 4));
    api.put(Kind::PoolV1, "new", pool_v1("new", &[8000]));
    observed
        .until_pods(&[&EXPECTED[..], &[("new", "new-0")]].concat())
        .await;
    api.delete(Kind::PoolV1, "new");
    observed.until_pods(&EXPECTED).await;
    api.put(Kind::PoolV1, "new", pool_v1("new", &[8000]));
    api.put(Kind::Pod, "new-1", ready_pod("new", 5));
    observed
        .until_pods(&[&EXPECTED[..], &[("new", "new-0 new-1")]].concat())
        .await;
    assert!(observed.failing.is_empty(), "{:?}", observed.failing);
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_both_versions_is_one_pool() {
    let api = api();
    api.put(Kind::PoolV1, "old", pool_v1("new", &[8000]));
    api.put(Kind::Pod, "new-0", ready_pod("new", 4));
    let mut observed = Observed::start(&api);
    let v1 = [EXPECTED[0], EXPECTED[1], ("old", "new-0")];
    observed.until_pods(&v1).await;
    api.delete(Kind::PoolV1, "old");
    observed.until_pods(&EXPECTED).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_fails_does_not_hold_the_others_up() {
    let api = api();
    let mut observed = Observed::start(&api);
    observed.until_pods(&EXPECTED).await;
    let invalid = json!({"spec": {"selector": {"matchExpressions": []}}});
    api.put(Kind::PoolV1, "chat", invalid);
    observed
        .until(|observed| observed.failing.contains_key("inference/chat"))
        .await;
    assert!(observed.failing["inference/chat"].starts_with("InferencePool inference/chat: "));
    api.put(Kind::Pod, "code-1", ready_pod("code", 5));
    observed
        .until_pods(&[EXPECTED[0], ("code", "code-0 code-1"), EXPECTED[2]])
        .await;
    assert_eq!(observed.failing.len(), 1, "{:?}", observed.failing);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_api_server_is_reported_of_the_list_and_each_pool_and_ends_for_all() {
    let api = api();
    let mut observed = Observed::start(&api);
    observed.until_pods(&EXPECTED).await;
    api.set_unreachable(true);
    observed.until(|observed| observed.failing.len() == 4).await;
    assert!(
        observed.failing[ALL].starts_with("InferencePools of namespace inference: the API server can't be reached")
    );
    observed.until_pods(&EXPECTED).await;
    api.put(Kind::Pod, "code-1", ready_pod("code", 5));
    api.set_unreachable(false);
    observed.until(|observed| observed.failing.is_empty()).await;
    observed
        .until_pods(&[EXPECTED[0], ("code", "code-0 code-1"), EXPECTED[2]])
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_version_is_enough_and_none_is_a_failure_of_the_list() {
    for kind in [Kind::PoolV1, Kind::PoolV1Alpha2] {
        let api = api();
        api.forbid("list", kind);
        let mut observed = Observed::start(&api);
        let (v1, v1alpha2) = EXPECTED.split_at(2);
        let expected = if kind == Kind::PoolV1 { v1alpha2 } else { v1 };
        observed.until_pods(expected).await;
        observed.setup.settle().await;
        assert!(!observed.failing.contains_key(ALL), "{:?}", observed.failing);
    }
    let api = api();
    api.forbid("list", Kind::PoolV1);
    api.forbid("list", Kind::PoolV1Alpha2);
    let mut observed = Observed::start(&api);
    observed.until(|observed| observed.failing.contains_key(ALL)).await;
    let why = &observed.failing[ALL];
    assert_eq!(why.matches("User \"syncer\" cannot list").count(), 2, "{why}");
    assert!(observed.pods.is_empty(), "{:?}", observed.pods);
    api.permit("list", Kind::PoolV1);
    observed.until_pods(&EXPECTED[..2]).await;
    assert!(observed.failing.is_empty(), "{:?}", observed.failing);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_a_crd_or_a_pool_is_empty_until_there_is_one() {
    let api = Api::serving(&[]);
    let mut observed = Observed::start(&api);
    observed.until(|observed| observed.failing.contains_key(ALL)).await;
    let why = &observed.failing[ALL];
    assert_eq!(why.matches("does not serve it").count(), 2, "{why}");
    api.serve(Kind::PoolV1);
    observed.until(|observed| observed.failing.is_empty()).await;
    observed.until_pods(&[]).await;
    api.put(Kind::PoolV1, "chat", pool_v1("chat", &[8000]));
    observed.until_pods(&[("chat", "")]).await;
}

#[tokio::test(start_paused = true)]
async fn pools_over_the_limit_are_reported_and_not_followed() {
    let api = Api::serving(&[Kind::PoolV1]);
    let name = |number: usize| format!("pool-{number:03}");
    for number in 1..=MAX_POOLS {
        api.put(Kind::PoolV1, &name(number), pool_v1("app", &[8000]));
    }
    let mut observed = Observed::start(&api);
    observed.until(|observed| observed.pods.len() == MAX_POOLS + 1).await;
    assert!(observed.failing.is_empty(), "{:?}", observed.failing);
    // The first by name, but those that are followed stay.
    api.put(Kind::PoolV1, &name(0), pool_v1("app", &[8000]));
    observed.until(|observed| observed.failing.contains_key(ALL)).await;
    let why = &observed.failing[ALL];
    assert!(
        why.ends_with("101 InferencePools, the limit is 100; the others are not followed"),
        "{why}"
    );
    assert!(!observed.pods.contains_key("inference/pool-000"));
    api.delete(Kind::PoolV1, &name(50));
    observed
        .until(|observed| observed.pods.contains_key("inference/pool-000"))
        .await;
    observed.until(|observed| observed.failing.is_empty()).await;
    assert_eq!(observed.pods.len(), MAX_POOLS + 1);
}
