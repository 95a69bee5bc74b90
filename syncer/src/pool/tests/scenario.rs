//! [`Scenario`], a pool with a clock, and the parts of its tests.

use std::time::{Duration, Instant};

use crate::engine::{Adapters, ServerLoad};
use crate::exposition::test_util::{lines, series};
use crate::pool::{Pool, Settings};
use crate::scrape_status::{Attempt, Reason, ScrapeError};
use crate::target::{Discovered, Target};

pub const SETTINGS: Settings = Settings {
    stale_after: Duration::from_secs(3),
    queue_limit: 5.0,
};

/// A pool and a clock.
pub struct Scenario {
    pub pool: Pool,
    start: Instant,
    now_ms: u64,
}

// === impl Scenario ===

impl Scenario {
    pub fn new() -> Self {
        Self {
            pool: Pool::new("p", SETTINGS),
            start: tokio::time::Instant::now().into_std(),
            now_ms: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    pub fn at(&mut self, now_ms: u64) -> &mut Self {
        assert!(now_ms >= self.now_ms, "time does not go backwards");
        self.now_ms = now_ms;
        self
    }

    pub fn discovered(&mut self, targets: &[Target]) -> &mut Self {
        self.pool.discovered(Discovered::Targets(targets.to_vec()), self.now());
        self
    }

    pub fn discovery_fails(&mut self, why: &str) -> &mut Self {
        self.pool
            .discovered(Discovered::Failing { why: why.to_owned() }, self.now());
        self
    }

    /// A scrape of the target as it is known now, which took 10 ms.
    pub fn scraped(&mut self, name: &str, result: Result<ServerLoad, Reason>) -> &mut Self {
        let target = self
            .pool
            .targets()
            .find(|target| &*target.name == name)
            .unwrap()
            .clone();
        self.scraped_target(&target, result)
    }

    pub fn scraped_target(&mut self, target: &Target, result: Result<ServerLoad, Reason>) -> &mut Self {
        let attempt = Attempt {
            ended_at: self.now(),
            duration: Duration::from_millis(10),
            result: result.map_err(|reason| ScrapeError {
                reason,
                message: "a cause".to_owned(),
            }),
        };
        self.pool.scraped(target, attempt);
        self
    }

    pub fn series(&self) -> Vec<String> {
        series(&self.pool.families(self.now()))
    }

    /// Asserts the complete page, without comments.
    #[track_caller]
    pub fn shows(&mut self, expected: &str) -> &mut Self {
        self.shows_of("", expected)
    }

    /// Asserts the lines of the page that contain `part`.
    #[track_caller]
    pub fn shows_of(&mut self, part: &str, expected: &str) -> &mut Self {
        let mut series = self.series();
        series.retain(|line| line.contains(part));
        assert_eq!(series, lines(expected), "at {} ms", self.now_ms);
        self
    }

    #[track_caller]
    pub fn has(&mut self, line: &str) -> &mut Self {
        let series = self.series();
        assert!(
            series.iter().any(|found| found == line),
            "at {} ms no {line}\n{series:#?}",
            self.now_ms
        );
        self
    }

    #[track_caller]
    pub fn lacks(&mut self, part: &str) -> &mut Self {
        self.shows_of(part, "")
    }
}

pub fn target(name: &str, ready: Option<bool>) -> Target {
    Target {
        ready,
        ..format!("{name}=http://{name}:8000").parse().unwrap()
    }
}

pub fn load(waiting: f64, running: f64, kv_cache: f64) -> Result<ServerLoad, Reason> {
    Ok(ServerLoad {
        waiting: Some(waiting),
        running: Some(running),
        kv_cache: Some(kv_cache),
        ..ServerLoad::default()
    })
}

/// The load of a server that can run two adapters.
pub fn with_adapters(running: &[&str], waiting: &[&str]) -> Result<ServerLoad, Reason> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Ok(ServerLoad {
        adapters: Some(Adapters {
            max: Some(2),
            running: names(running),
            waiting: names(waiting),
        }),
        ..load(1.0, 1.0, 0.5)?
    })
}
