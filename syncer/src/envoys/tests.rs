//! Scenarios: a sequence of scrapes, and the exact page after each step.

use super::*;
use crate::exposition::test_util::{lines, series};
use crate::scrape_status::{Reason, ScrapeError};

const STALE_AFTER: Duration = Duration::from_secs(3);

/// Envoys and a clock.
struct Scenario {
    envoys: Envoys,
    start: Instant,
    now_ms: u64,
}

impl Scenario {
    fn new(names: &[&str]) -> Self {
        Self {
            envoys: Envoys::new(names.iter().map(|name| Arc::from(*name)), STALE_AFTER),
            start: tokio::time::Instant::now().into_std(),
            now_ms: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn at(&mut self, now_ms: u64) -> &mut Self {
        assert!(now_ms >= self.now_ms, "time does not go backwards");
        self.now_ms = now_ms;
        self
    }

    fn serves(&mut self, name: &str, page: &str) -> &mut Self {
        self.scraped(name, Ok(envoy_stats::read([page.as_bytes()]).unwrap()))
    }

    fn fails(&mut self, name: &str, reason: Reason) -> &mut Self {
        let message = "a cause".to_owned();
        self.scraped(name, Err(ScrapeError { reason, message }))
    }

    fn scraped(&mut self, name: &str, result: Result<EnvoyPage, ScrapeError>) -> &mut Self {
        let attempt = Attempt {
            ended_at: self.now(),
            duration: Duration::from_millis(10),
            result,
        };
        self.envoys.scraped(name, attempt);
        self
    }

    /// Asserts the complete page, without comments.
    #[track_caller]
    fn shows(&mut self, expected: &str) -> &mut Self {
        let series = series(&self.envoys.families(self.now()));
        assert_eq!(series, lines(expected), "at {} ms", self.now_ms);
        self
    }
}

fn requests(count: u64) -> String {
    format!("inference_model_request_total{{model_name=\"m\",target_model_name=\"t\"}} {count}\n")
}

#[test]
fn unscraped_envoys_have_no_series_and_are_not_ready() {
    let mut scenario = Scenario::new(&["a:9901", "b:9901"]);
    let unscraped = |count| Err(format!("{count} of 2 Envoys have not been scraped yet"));
    assert_eq!(scenario.shows("").envoys.ready(), unscraped(2));
    // A failure suffices: an Envoy that is down must not keep the pool's gauges from being served.
    scenario.fails("a:9901", Reason::Connect);
    assert_eq!(scenario.envoys.ready(), unscraped(1));
    scenario.serves("b:9901", "");
    assert_eq!(scenario.envoys.ready(), Ok(()));
    assert_eq!(Scenario::new(&[]).shows("").envoys.ready(), Ok(()));
}

#[test]
fn series_of_a_single_envoy_have_exactly_the_guides_labels() {
    Scenario::new(&["a:9901"]).serves("a:9901", &requests(3)).at(500).shows(
        r#"
        inference_model_request_total{model_name="m",target_model_name="t"} 3
        infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0.5
        "#,
    );
}

#[test]
fn series_of_two_envoys_are_labelled_even_while_one_is_down() {
    Scenario::new(&["a:9901", "b:9901"])
        .serves("a:9901", &requests(3))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9901"} 3
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            "#,
        )
        .at(1_000)
        .serves("b:9901", &requests(5))
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
fn stale_series_disappear_and_return_with_the_envoys_present_values() {
    Scenario::new(&["a:9901"])
        .serves("a:9901", &requests(30))
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
        // Only time passes.
        .at(3_000)
        .shows(
            r#"
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 3
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 2
            "#,
        )
        // Another process serves now. Its counters start from 0, and nothing is added to them.
        .at(60_000)
        .serves("a:9901", &requests(1))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            infertally_syncer_envoy_scrape_errors_total{envoy="a:9901",reason="connect"} 2
            "#,
        );
}

#[test]
fn errors_are_counted_by_envoy_and_reason_and_an_envoy_without_success_has_no_age() {
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
fn dropped_series_of_the_last_page_are_counted_while_it_is_fresh() {
    let invalid = requests(1)
        + "inference_model_running_requests{model_name=\"m\"} NaN\n\
           inference_model_running_requests{model_name=\"n\"} 0.5\n\
           inference_model_request_total{cluster=\"c\"} 1\n";
    Scenario::new(&["a:9901"])
        .serves("a:9901", &invalid)
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            infertally_syncer_envoy_dropped_series{envoy="a:9901",reason="invalid_value"} 2
            infertally_syncer_envoy_dropped_series{envoy="a:9901",reason="unexpected_labels"} 1
            "#,
        )
        .at(1_000)
        .serves("a:9901", &requests(2))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t"} 2
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 0
            "#,
        )
        // A stale page has neither series nor a count of dropped ones.
        .serves("a:9901", &invalid)
        .at(4_000)
        .shows(r#"infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9901"} 3"#);
}

#[test]
fn a_scrape_of_an_unknown_envoy_is_ignored() {
    Scenario::new(&["a:9901"])
        .serves("b:9901", &requests(1))
        .fails("b:9901", Reason::Connect)
        .shows("");
}
