//! Scenarios: a sequence of scrapes, and the exact page after each step.

use super::*;
use crate::exposition::test_util::{lines, series};

const STALE_AFTER: Duration = Duration::from_secs(3);

/// Envoys and a clock.
struct Scenario {
    envoys: Envoys,
    start: Instant,
    now_ms: u64,
}

impl Scenario {
    /// Envoys that are configured.
    fn new(names: &[&str]) -> Self {
        let source = if names.len() == 1 { Source::One } else { Source::List };
        let mut scenario = Self::of(source);
        scenario.finds(names);
        scenario
    }

    fn of(source: Source) -> Self {
        Self {
            envoys: Envoys::new(source, STALE_AFTER),
            start: tokio::time::Instant::now().into_std(),
            now_ms: 0,
        }
    }

    fn finds(&mut self, names: &[&str]) -> &mut Self {
        let targets = names.iter().map(|name| format!("http://{name}").parse().unwrap());
        let discovered = Discovered::Targets(targets.collect());
        self.envoys.discovered(discovered, self.now()).unwrap();
        self
    }

    fn discovery_fails(&mut self) -> &mut Self {
        let why = "a cause".to_owned();
        let error = self.envoys.discovered(Discovered::Failing { why }, self.now());
        assert_eq!(error, Err("a cause".to_owned()));
        self
    }

    /// The Envoys that are to be scraped.
    fn scrapes(&self) -> Vec<String> {
        self.envoys.targets().map(|target| target.name.to_string()).collect()
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
        self.envoys.scraped(name, attempt).unwrap();
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

// === discovery

#[test]
fn series_of_discovered_envoys_are_labelled_even_when_there_is_one() {
    Scenario::of(Source::Discovery)
        .finds(&["a:9902"])
        .serves("a:9902", &requests(3))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9902"} 3
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9902"} 0
            infertally_syncer_envoy_discovery_age_seconds 0
            "#,
        );
}

#[test]
fn the_last_page_of_an_envoy_that_is_gone_is_served_until_it_is_stale() {
    let mut scenario = Scenario::of(Source::Discovery);
    scenario
        .finds(&["b:9902", "a:9902"])
        .serves("a:9902", &requests(3))
        .fails("b:9902", Reason::Connect)
        .at(1_000)
        .finds(&["c:9902"])
        .serves("c:9902", &requests(1))
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9902"} 3
            inference_model_request_total{model_name="m",target_model_name="t",envoy="c:9902"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9902"} 1
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="c:9902"} 0
            infertally_syncer_envoy_discovery_age_seconds 0
            "#,
        );
    assert_eq!(scenario.scrapes(), ["c:9902"]);
    let rest = r#"
        inference_model_request_total{model_name="m",target_model_name="t",envoy="c:9902"} 1
        infertally_syncer_envoy_last_scrape_age_seconds{envoy="c:9902"} 2
        infertally_syncer_envoy_discovery_age_seconds 0
        "#;
    scenario.at(3_000).shows(rest);
    assert_eq!(scenario.envoys.envoys.len(), 2, "only time has passed");
    // The next scrape frees its memory.
    scenario.serves("c:9902", &requests(1));
    assert_eq!(scenario.envoys.envoys.len(), 1);
    // Another Envoy may have the address later.
    scenario
        .finds(&["a:9902"])
        .at(3_500)
        .serves("a:9902", &requests(1))
        .at(7_000)
        .shows(
            r#"
        infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9902"} 3.5
        infertally_syncer_envoy_discovery_age_seconds 0
        "#,
        );
}

#[test]
fn an_envoy_that_returns_keeps_its_state() {
    let mut scenario = Scenario::of(Source::Discovery);
    scenario
        .finds(&["a:9902"])
        .serves("a:9902", &requests(3))
        .finds(&[])
        .at(1_000)
        .finds(&["a:9902"])
        .shows(
            r#"
            inference_model_request_total{model_name="m",target_model_name="t",envoy="a:9902"} 3
            infertally_syncer_envoy_last_scrape_age_seconds{envoy="a:9902"} 1
            infertally_syncer_envoy_discovery_age_seconds 0
            "#,
        );
    assert_eq!(scenario.scrapes(), ["a:9902"]);
}

#[test]
fn the_last_known_envoys_stay_through_failures_and_their_age_rises() {
    let mut scenario = Scenario::of(Source::Discovery);
    scenario.shows("").discovery_fails();
    scenario
        .at(500)
        .shows("infertally_syncer_envoy_discovery_age_seconds 0.5")
        .finds(&["a:9902"])
        .shows("infertally_syncer_envoy_discovery_age_seconds 0")
        .at(1_000)
        .discovery_fails()
        .at(2_000)
        .discovery_fails()
        .shows("infertally_syncer_envoy_discovery_age_seconds 1");
    assert_eq!(scenario.scrapes(), ["a:9902"]);
}

#[test]
fn readiness_waits_for_the_first_envoys_and_stays() {
    let mut scenario = Scenario::of(Source::Discovery);
    let not_completed = Err("discovery of Envoys has not completed".to_owned());
    assert_eq!(scenario.envoys.ready(), not_completed);
    scenario.finds(&["a:9902"]);
    let unscraped = Err("1 of 1 Envoys have not been scraped yet".to_owned());
    assert_eq!(scenario.envoys.ready(), unscraped);
    scenario.fails("a:9902", Reason::Timeout);
    assert_eq!(scenario.envoys.ready(), Ok(()));
    // The gateway scales out.
    scenario.finds(&["a:9902", "b:9902"]);
    assert_eq!(scenario.envoys.ready(), Ok(()));
    // An API server that forbids the list does not keep the pool from being served.
    assert_eq!(Scenario::of(Source::Discovery).discovery_fails().envoys.ready(), Ok(()));
}

#[test]
fn more_envoys_than_the_limit_are_a_failure_of_discovery() {
    let mut scenario = Scenario::of(Source::Discovery);
    scenario.finds(&["a:9902"]);
    let target = |number| format!("http://h:{}", number + 1).parse().unwrap();
    let targets = (0..=MAX_ENVOYS).map(target).collect();
    let error = scenario.envoys.discovered(Discovered::Targets(targets), scenario.now());
    assert_eq!(error, Err("101 Envoys, the limit is 100".to_owned()));
    assert_eq!(scenario.scrapes(), ["a:9902"]);
    scenario
        .at(1_000)
        .shows("infertally_syncer_envoy_discovery_age_seconds 1");
}

#[test]
fn a_page_that_exceeds_the_limit_of_all_envoys_is_a_failed_scrape() {
    let page: String = (0..envoy_stats::MAX_SERIES)
        .map(|number| format!("inference_model_request_total{{model_name=\"{number}\",target_model_name=\"t\"}} 1\n"))
        .collect();
    let page = envoy_stats::read([page.as_bytes()]).unwrap();
    let names = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
    let mut scenario = Scenario::of(Source::Discovery);
    scenario.finds(&names);
    let attempt = |scenario: &Scenario| Attempt {
        ended_at: scenario.now(),
        duration: Duration::ZERO,
        result: Ok(page.clone()),
    };
    let mut results = names.map(|name| {
        let attempt = attempt(&scenario);
        scenario.envoys.scraped(name, attempt)
    });
    assert_eq!(results, [Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Err(TooManySeries)]);
    // It is reported once, and a page that replaces another of its Envoy is no excess.
    results = names.map(|name| {
        let attempt = attempt(&scenario);
        scenario.envoys.scraped(name, attempt)
    });
    assert_eq!(results, [const { Ok(()) }; 6]);
    let families = scenario.envoys.families(scenario.now());
    assert_eq!(families[0].series.len(), MAX_SERIES);
    let own = series(&families[1..]).join("\n");
    assert!(
        own.contains(r#"infertally_syncer_envoy_scrape_errors_total{envoy="f:1",reason="too_large"} 2"#),
        "{own}"
    );
    // One that goes makes room.
    scenario.finds(&names[1..]).at(3_000).serves("f:1", &requests(1));
    let attempt = attempt(&scenario);
    assert_eq!(scenario.envoys.scraped("f:1", attempt), Ok(()));
}
