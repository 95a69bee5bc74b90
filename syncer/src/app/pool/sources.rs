//! The sources of targets, from the arguments: which pools are followed, and their updates.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::PoolError;
use crate::cli::pool::PoolArgs;
use crate::discovery::dns::{self, Resolver};
use crate::discovery::file;
use crate::discovery::kubernetes::{self, PoolRef};
use crate::file::Reload;
use crate::target::{Discovered, PoolId};

/// Updates that wait for the writer. Sources wait while it is busy.
const UPDATE_QUEUE: usize = 1;

/// The pools that are followed from the start, and what is discovered of them.
pub(super) struct Sources {
    pub pools: Vec<PoolId>,
    pub updates: mpsc::Receiver<(PoolId, Discovered)>,
}

/// Starts the sources. Without one there is one pool, which is empty.
pub(super) async fn start(args: &PoolArgs, reload: Reload) -> Result<Sources, PoolError> {
    let (out, updates) = mpsc::channel(UPDATE_QUEUE);
    if !args.kubernetes.is_empty() {
        let pools = follow(args, out).await?;
        return Ok(Sources { pools, updates });
    }
    let pool = PoolId::new("", args.pool_name());
    let (source, discovered) = mpsc::channel(UPDATE_QUEUE);
    if let Some(path) = &args.targets_file {
        tokio::spawn(file::watch(path.clone(), reload, source));
    } else if let Some(name) = &args.dns {
        let resolver = Resolver::system()?;
        tokio::spawn(dns::watch(name.clone(), args.access.scheme(), resolver, source));
    } else {
        _ = source.send(Discovered::Targets(args.targets.clone())).await;
    }
    tokio::spawn(forward(pool.clone(), discovered, out));
    let pools = vec![pool];
    Ok(Sources { pools, updates })
}

async fn forward(pool: PoolId, mut discovered: mpsc::Receiver<Discovered>, out: mpsc::Sender<(PoolId, Discovered)>) {
    while let Some(update) = discovered.recv().await {
        if out.send((pool.clone(), update)).await.is_err() {
            return;
        }
    }
}

/// Starts a watch of each `--kubernetes`.
async fn follow(args: &PoolArgs, out: mpsc::Sender<(PoolId, Discovered)>) -> Result<Vec<PoolId>, PoolError> {
    let client = kubernetes::client().await?;
    let (pools, refs) = distinct(&args.kubernetes, client.default_namespace());
    for pool in refs {
        tokio::spawn(kubernetes::watch(
            client.clone(),
            pool,
            args.access.endpoint(),
            args.role_labels(),
            out.clone(),
        ));
    }
    Ok(pools)
}

/// The pools without those that another flag covers. Only with the default namespace it is known that `a` and `ns/a` are
/// the same.
fn distinct(refs: &[PoolRef], default_namespace: &str) -> (Vec<PoolId>, Vec<PoolRef>) {
    let ids = refs.iter().map(|pool| pool.id(default_namespace));
    let lists: BTreeSet<_> = ids.clone().filter(PoolId::is_list).map(|id| id.namespace).collect();
    let mut seen = BTreeSet::new();
    ids.zip(refs)
        .filter(|(id, pool)| {
            let is_covered = !id.is_list() && lists.contains(&id.namespace);
            let is_new = !is_covered && seen.insert(id.clone());
            if !is_new {
                tracing::warn!("--kubernetes {pool}: another --kubernetes covers {id}");
            }
            is_new
        })
        .map(|(id, pool)| (id, pool.clone()))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_is_followed_once() {
        let refs = ["a", "own/a", "other/a", "*", "third/*", "third/b", "third/*"].map(|text| text.parse().unwrap());
        let (ids, pools) = distinct(&refs, "own");
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["other/a", "own/*", "third/*"]);
        let pools: Vec<_> = pools.iter().map(ToString::to_string).collect();
        assert_eq!(pools, ["other/a", "*", "third/*"]);
        let (ids, _) = distinct(&["a", "own/a"].map(|text| text.parse().unwrap()), "own");
        assert_eq!(ids.len(), 1);
    }
}
