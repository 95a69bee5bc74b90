//! Scenarios: what happens to the Envoys, and the exact page at each step.

use super::*;
use crate::exposition::shown::{lines, series};
use crate::scrape::Reason;
use crate::scrape::schedule::Failure;

const STALE_AFTER: Duration = Duration::from_secs(3);

/// Envoys, and the time, in milliseconds since the start.
struct Scenario {
    proxies: Proxies,
    start: Instant,
    now_ms: u64,
}

impl Scenario {
    fn new(names: &[&str]) -> Self {
        Self {
            proxies: Proxies::new(names.iter().map(|name| Arc::from(*name)), STALE_AFTER),
            start: tokio::time::Instant::now().into_std(),
            now_ms: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn at(&mut self, now_ms: u64) -> &mut Self {
        assert!(now_ms >= self.now_ms, "time goes on");
        self.now_ms = now_ms;
        self
    }

    /// The Envoy of this name serves this page.
    fn reads(&mut self, name: &str, page: &str) -> &mut Self {
        self.tried(name, Ok(envoy::read(page.as_bytes()).unwrap()))
    }

    fn fails(&mut self, name: &str, reason: Reason) -> &mut Self {
        let why = "because".to_owned();
        self.tried(name, Err(Failure { reason, why }))
    }

    fn tried(&mut self, name: &str, outcome: Result<EnvoyPage, Failure>) -> &mut Self {
        let attempt = Attempt {
            at: self.now(),
            took: Duration::from_millis(10),
            outcome,
        };
        self.proxies.scraped(name, attempt);
        self
    }

    /// The page without comments must be this.
    #[track_caller]
    fn shows(&mut self, expected: &str) -> &mut Self {
        let series = series(&self.proxies.families(self.now()));
        assert_eq!(series, lines(expected), "at {} ms", self.now_ms);
        self
    }
}

fn requests(count: u64) -> String {
    format!("inference_model_request_total{{model_name=\"m\",target_model_name=\"t\"}} {count}\n")
}

#[test]
fn envoys_of_which_nothing_is_known_show_nothing_and_are_waited_for() {
    let mut scenario = Scenario::new(&["a:9901", "b:9901"]);
    let untried = |count| Err(format!("{count} of 2 Envoys were not read yet"));
    assert_eq!(scenario.shows("").proxies.ready(), untried(2));
    // An attempt that fails is one, too: an Envoy that is down must not keep the pool's gauges from being served.
    scenario.fails("a:9901", Reason::Connect);
    assert_eq!(scenario.proxies.ready(), untried(1));
    scenario.reads("b:9901", "");
    assert_eq!(scenario.proxies.ready(), Ok(()));
    assert_eq!(Scenario::new(&[]).shows("").proxies.ready(), Ok(()));
}

#[test]
fn one_envoy_has_the_guides_labels_and_no_other() {
    Scenario::new(&["a:9901"]).reads("a:9901", &requests(3)).at(500).shows(
        r#"
        inference_model_request_total{model_name="m",target_model_name="t"} 3
        infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0.5
        "#,
    );
}

#[test]
fn of_two_envoys_each_series_says_which_also_while_one_is_away() {
    Scenario::new(&["a:9901", "b:9901"])
        .reads("a:9901", &requests(3))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9901"} 3
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            "#,
        )
        .at(1_000)
        .reads("b:9901", &requests(5))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9901"} 3
            inference_model_request_total{model_name="m",target_model_name="t",envoy="b:9901"} 5
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="b:9901"} 0
            "#,
        );
}

#[test]
fn series_go_when_they_are_stale_and_come_back_as_they_are_then() {
    Scenario::new(&["a:9901"])
        .reads("a:9901", &requests(30))
        .at(1_000)
        .fails("a:9901", Reason::Connect)
        .at(2_999)
        .fails("a:9901", Reason::Connect)
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 30
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 2.999
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 2
            "#,
        )
        // Nothing happens but time.
        .at(3_000)
        .shows(
            r#"
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 3
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 2
            "#,
        )
        // It is back, another process by now: its counters begin anew, and nothing is added to them.
        .at(60_000)
        .reads("a:9901", &requests(1))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 2
            "#,
        );
}

#[test]
fn errors_are_counted_by_envoy_and_reason_and_an_envoy_that_was_never_read_has_no_age() {
    Scenario::new(&["a:9901", "b:9901"])
        .fails("b:9901", Reason::Timeout)
        .fails("a:9901", Reason::Status)
        .fails("a:9901", Reason::Connect)
        .fails("a:9901", Reason::Status)
        .shows(
            r#"
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 1
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="status"} 2
            infertally_syncer_envoy_scrape_errors_total{envoy="b:9901",reason="timeout"} 1
            "#,
        );
}

#[test]
fn what_the_last_page_had_that_cannot_be_served_is_counted_as_long_as_it_is_so() {
    let odd = requests(1)
        + "inference_model_running_requests{model_name=\"m\"} NaN\n\
           inference_model_running_requests{model_name=\"n\"} 0.5\n\
           inference_model_request_total{cluster=\"c\"} 1\n";
    Scenario::new(&["a:9901"])
        .reads("a:9901", &odd)
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            infertally_syncer_envoy_left_out{envoy="a:9901",reason="not_a_whole_number"} 2
            infertally_syncer_envoy_left_out{envoy="a:9901",reason="other_labels"} 1
            "#,
        )
        .at(1_000)
        .reads("a:9901", &requests(2))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 2
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            "#,
        )
        // It says something of the series that are served; without them, nothing.
        .reads("a:9901", &odd)
        .at(4_000)
        .shows(r#"infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 3"#);
}

#[test]
fn an_envoy_that_is_not_ours_changes_nothing() {
    Scenario::new(&["a:9901"])
        .reads("b:9901", &requests(1))
        .fails("b:9901", Reason::Connect)
        .shows("");
}
