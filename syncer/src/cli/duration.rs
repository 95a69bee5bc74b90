//! The type of flags that are durations.

use std::time::Duration;

/// Longer ones are typing errors.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a duration such as `1s`, `900ms` or `1m 30s`, from above 0 to 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0".to_owned()),
        Ok(duration) if duration > MAX_DURATION => Err(format!(
            "must not be longer than {}",
            humantime::format_duration(MAX_DURATION)
        )),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error} (expected a duration such as 1s or 900ms)")),
    }
}
